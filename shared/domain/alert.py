"""An alert of another tool about a leak: its reference, by which it is closed, and its evidence.

Both come from outside: every field is validated, since paths are built from them and people read them.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from shared.redaction import redact

_KEY_NAMES = ("key1", "key2")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_WORD = 200
_MOST_WORDS = 20


class InvalidAlert(ValueError):
    """A field of an alert is not in its form. The message names the field and the rule, never the value."""


class AlertSource(StrEnum):
    """The tools whose alerts can be read and closed."""

    GITHUB = "github"
    AZURE_DEVOPS = "azure-devops"
    DEFENDER = "defender"


# A project or repository of Azure DevOps: its id, or its name as people read it, not percent-encoded
# (learn.microsoft.com "Naming restrictions and conventions"). Stricter than those: no `%`, and no backtick, between
# which people find commands.
_DEVOPS_NAME = r"""(?![_.])[^\x00-\x1f\\/:*?"<>|;#$%`{},+=\[\]]{1,64}(?<!\.)"""

# Where an alert is, and which one it is there. GitHub: owner/repository and a number ("Get a secret scanning alert").
# Azure DevOps: organization/project/repository, the last two by id or name, and a number (MicrosoftDocs/
# vsts-rest-api-specs, advancedSecurity 7.2, Alerts_Get: "Project ID or project name", "Name or id of a repository").
# Defender: an alert's id in Microsoft Graph ("alert resource type"), which needs no place.
_PLACES = {
    AlertSource.GITHUB: re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}"),
    AlertSource.AZURE_DEVOPS: re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]{{0,49}}/{_DEVOPS_NAME}/{_DEVOPS_NAME}"),
    AlertSource.DEFENDER: re.compile(r""),
}
_LABELS = {
    AlertSource.GITHUB: "GitHub",
    AlertSource.AZURE_DEVOPS: "Azure DevOps",
    AlertSource.DEFENDER: "Defender",
}
_IDS = {
    AlertSource.GITHUB: re.compile(r"[1-9][0-9]{0,9}"),
    AlertSource.AZURE_DEVOPS: re.compile(r"[1-9][0-9]{0,18}"),
    AlertSource.DEFENDER: re.compile(r"[A-Za-z0-9_-]{1,100}"),
}


@dataclass(frozen=True, slots=True)
class AlertReference:
    """The reference of one alert in its tool. Raises InvalidAlert.

    `place` is "owner/repository", "organization/project/repository", or empty; `alert` its number or id there.
    """

    source: AlertSource
    place: str
    alert: str

    def __post_init__(self) -> None:
        if not _PLACES[self.source].fullmatch(self.place) or not self.place.isprintable():
            raise InvalidAlert(f"place: not where {self.source} keeps an alert")
        if not _IDS[self.source].fullmatch(self.alert):
            raise InvalidAlert(f"alert: not the number or id of an alert of {self.source}")

    def __str__(self) -> str:
        return f"{_LABELS[self.source]} alert {self.alert}{f' of {self.place}' if self.place else ''}"

    def to_json(self) -> dict[str, object]:
        """Return the wire form, `alert` in an event's data."""
        return {"source": self.source.value, "place": self.place, "alert": self.alert}

    @classmethod
    def from_json(cls, data: object) -> "AlertReference":
        """Read the wire form. Raises InvalidAlert."""
        if not isinstance(data, Mapping) or data.keys() != {"source", "place", "alert"}:
            raise InvalidAlert("alert: not an object of source, place and alert")
        source, place, alert = data["source"], data["place"], data["alert"]
        if source not in list(AlertSource) or not isinstance(place, str) or not isinstance(alert, str):
            raise InvalidAlert("alert: its source is not known, or its place or id is no text")
        return cls(AlertSource(source), place, alert)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvidence:
    """An alert's facts about a token that its tool saw in use. It is unverified: the token itself is unknown.

    `key` is the account's key that is said to have signed it. `seen_at` is when it was last seen, in UTC. Raises
    InvalidAlert; texts are shown to people and have to be clean: see `cleaned`.
    """

    account: str
    key: str
    title: str
    seen_at: datetime
    signature_sha256: str | None = None
    permissions: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()
    addresses: str | None = None
    expires: datetime | None = None

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise InvalidAlert("account: not the name of a storage account")
        if self.key not in _KEY_NAMES:
            raise InvalidAlert("key: neither key1 nor key2")
        if self.signature_sha256 is not None and not _DIGEST.fullmatch(self.signature_sha256):
            raise InvalidAlert("signature_sha256: not 64 lower-case hex digits")
        lists = (self.permissions, self.services, self.resource_types)
        if any(len(words) > _MOST_WORDS for words in lists):
            raise InvalidAlert(f"permissions, services and resource_types: over {_MOST_WORDS} of them")
        texts = (self.title, self.addresses or "", *(word for words in lists for word in words))
        if any(text != cleaned(text) for text in texts):
            raise InvalidAlert(f"a text is over {_LONGEST_WORD} characters, not printable, or holds a secret")

    @property
    def fingerprint(self) -> str:
        """The token's identity: the same for every alert about it, 64 hex digits."""
        parts = ("evidence", self.account, self.key, self.signature_sha256 or f"{self.title}|{self.seen_at:%Y-%m-%d}")
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return the wire form, `evidence` in an event's data."""
        return {
            "account": self.account,
            "key": self.key,
            "title": self.title,
            "seen_at": self.seen_at.isoformat(),
            "signature_sha256": self.signature_sha256,
            "permissions": list(self.permissions),
            "services": list(self.services),
            "resource_types": list(self.resource_types),
            "addresses": self.addresses,
            "expires": self.expires.isoformat() if self.expires is not None else None,
        }

    @classmethod
    def from_json(cls, data: object) -> "AlertEvidence":
        """Read the wire form. Raises InvalidAlert."""
        if not isinstance(data, Mapping) or not data.keys() <= set(cls.__annotations__):
            raise InvalidAlert("evidence: not an object, or one with a field that is not in the contract")
        seen_at = _moment(data, "seen_at")
        if seen_at is None:
            raise InvalidAlert("seen_at: missing")
        return cls(
            account=_text(data, "account") or "",
            key=_text(data, "key") or "",
            title=_text(data, "title") or "",
            seen_at=seen_at,
            signature_sha256=_text(data, "signature_sha256"),
            permissions=_words(data, "permissions"),
            services=_words(data, "services"),
            resource_types=_words(data, "resource_types"),
            addresses=_text(data, "addresses"),
            expires=_moment(data, "expires"),
        )


def cleaned(text: str) -> str:
    """Return `text` as it may stand in evidence: on one line, of bounded length, without a secret."""
    visible = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_WORD]).split())
    return redact(visible)[:_LONGEST_WORD].strip()


def moment_in(text: str | None) -> datetime | None:
    """Return the time in `text`, ISO 8601, in UTC; None where there is none."""
    try:
        moment = datetime.fromisoformat(text) if text is not None else None
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(data: Mapping[object, object], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidAlert(f"{name}: not a text")
    return value


def _words(data: Mapping[object, object], name: str) -> tuple[str, ...]:
    value = data.get(name, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise InvalidAlert(f"{name}: not a list of texts")
    return tuple(value)


def _moment(data: Mapping[object, object], name: str) -> datetime | None:
    text = _text(data, name)
    if text is None:
        return None
    moment = moment_in(text)
    if moment is None:
        raise InvalidAlert(f"{name}: not a time in ISO 8601")
    return moment
