"""All settings, and the only reader of the environment. docs/settings.md is checked against this file by a test."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from shared.clouds import CLOUDS, AzureCloud, CloudName
from shared.decide.rule_table import parse as parse_rules
from shared.decide.rules import Rule, default_rules
from shared.errors import SettingsError
from shared.revocation import AtDeadline

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?P<domain>[A-Za-z0-9.-]+)")
_TAG_NAME = re.compile(r"[^<>%&\\?/,]{1,512}")


class Mode(StrEnum):
    """What Sasquash may do without a person: nothing, nothing but ask, or what the rule table lets it."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Setting:
    """How one field of `Settings` is read. `default` is text as in the environment; None makes it required."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str


# ruff: noqa: RUF009 -- `_setting` only describes a field: it computes nothing at import
def _setting(name: str, parse: Callable[[str], Any], meaning: str, default: str | None = None) -> Any:
    return field(metadata={"setting": Setting(name, parse, default, meaning)})


def _choice(kind: type[StrEnum]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError("must be one of " + ", ".join(kind)) from None

    return parse


def _listed(parse: Callable[[str], Any], *, least: int = 0) -> Callable[[str], Any]:
    def parse_list(text: str) -> Any:
        parts = [parse(part.strip()) for part in text.split(",") if part.strip()]
        if len(parts) < least:
            raise ValueError(f"needs at least {least}, separated by commas")
        return tuple(dict.fromkeys(parts))

    return parse_list


def _guid(text: str) -> str:
    if not _GUID.fullmatch(text.lower()):
        raise ValueError("must be a GUID such as 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33")
    return text.lower()


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


def _https(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.username:
        raise ValueError("must be an https URL without a query")
    return text.rstrip("/")


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text.lower()):
        raise ValueError("must be a domain name such as contoso.com")
    return text.lower()


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError("must be a mail address")
    _domain(match["domain"])
    return text


def _tag_name(text: str) -> str:
    if not _TAG_NAME.fullmatch(text):
        raise ValueError("must be a tag name: at most 512 characters, none of <>%&\\?/")
    return text


def _opaque(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.,_-]{1,300}", text):
        raise ValueError("must be an id of letters, digits and .,_-")
    return text


def _audience(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~/-]{1,250}|[0-9A-Fa-f-]{36}", text):
        raise ValueError("must be an application id URI such as api://sasquash, or a client id")
    return text.rstrip("/")


def _vault(text: str) -> str:
    if not re.fullmatch(r"[a-z](?:-?[a-z0-9]){2,23}", text.lower()):
        raise ValueError("must be a key vault's name: 3 to 24 letters, digits and single hyphens")
    return text.lower()


def _switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return text.lower() == "on"


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The app's settings, checked. Made by `read`, at start."""

    mode: Mode = _setting(
        "SASQUASH_MODE",
        _choice(Mode),
        "What may happen without a person: `observe` (nothing), `approve` (ask for everything), `auto` (what the "
        "rule table lets it). Start with a week of `observe`.",
    )
    subscriptions: tuple[str, ...] = _setting(
        "SASQUASH_SUBSCRIPTIONS",
        _listed(_guid, least=1),
        "Ids of the subscriptions whose storage accounts Sasquash looks after, separated by commas.",
    )
    table_endpoint: str = _setting(
        "SASQUASH_STORAGE__tableServiceUri",
        _https,
        "Table endpoint of Sasquash's own storage account.",
    )
    queue_endpoint: str = _setting(
        "SASQUASH_STORAGE__queueServiceUri",
        _https,
        "Queue endpoint of Sasquash's own storage account; the queue triggers read it too.",
    )
    blob_endpoint: str = _setting(
        "SASQUASH_STORAGE__blobServiceUri",
        _https,
        "Blob endpoint of Sasquash's own storage account, where Event Grid puts its dead letters.",
    )
    client_id: str | None = _setting(
        "SASQUASH_CLIENT_ID",
        _optional(_guid),
        "Client id of the app's user-assigned managed identity. Empty: whoever is signed in on this machine "
        "(`az login`), for development.",
        default="",
    )
    cloud_name: CloudName = _setting(
        "SASQUASH_CLOUD",
        _choice(CloudName),
        "The Azure cloud: `public`, `usgovernment` or `china`.",
        default="public",
    )
    topic_endpoint: str = _setting(
        "SASQUASH_TOPIC_ENDPOINT",
        _https,
        "Endpoint of the Event Grid topic, where each change of state is announced.",
    )
    tenant_id: str = _setting(
        "SASQUASH_TENANT_ID",
        _guid,
        "Id of the Entra tenant whose people may call the app, and whose user delegation SAS it knows to be ours.",
    )
    api_audiences: tuple[str, ...] = _setting(
        "SASQUASH_API_AUDIENCES",
        _listed(_audience),
        "Audiences that a caller's access token may be for, separated by commas: the app registration's id URI "
        "(`api://sasquash`) and its client id. Empty: every call but health is refused.",
        default="",
    )
    key_vaults: tuple[str, ...] = _setting(
        "SASQUASH_KEY_VAULTS",
        _listed(_vault),
        "Names of the key vaults in which a tag `sasquash-key-vault` may name a secret that gets the new key, "
        "separated by commas. Empty: no key is handed over.",
        default="",
    )
    security_mailbox: str = _setting(
        "SASQUASH_SECURITY_MAILBOX",
        _address,
        "The security team's mailbox. It gets a copy of every mail, and the mails that owners must not get.",
    )
    mail_sender: str = _setting(
        "SASQUASH_MAIL_SENDER",
        _address,
        "The mailbox that Sasquash sends from; Mail.Send is scoped to it.",
    )
    mail_domains: tuple[str, ...] = _setting(
        "SASQUASH_MAIL_DOMAINS",
        _listed(_domain, least=1),
        "Domains that an owner's address may be in, separated by commas. Tags are written by people we don't trust.",
    )
    owner_tags: tuple[str, ...] = _setting(
        "SASQUASH_OWNER_TAGS",
        _listed(_tag_name),
        "Names of the tags that hold owners' mail addresses, in order of preference.",
        default="sasquash-owner,owner",
    )
    incident_site: str = _setting(
        "SASQUASH_INCIDENT_SITE",
        _opaque,
        "Id of the SharePoint site that holds the incident list (`host,site-guid,web-guid`).",
    )
    incident_list: str = _setting(
        "SASQUASH_INCIDENT_LIST",
        _opaque,
        "Id of the SharePoint list that incidents are filed in.",
    )
    raw_events: bool = _setting(
        "SASQUASH_RAW_EVENTS",
        _switch,
        "Whether an event may carry a raw token (`on`). Event Grid stores and dead-letters what it carries, so "
        "the default is `off`.",
        default="off",
    )
    tag_modes: tuple[Mode, ...] = _setting(
        "SASQUASH_TAG_MODES",
        _listed(_choice(Mode)),
        "Modes that the tag `sasquash-mode` on a storage account may choose for it. Empty: the tag has no effect.",
        default="",
    )
    act_alone_hours: int = _setting(
        "SASQUASH_ACT_ALONE_HOURS",
        _number(0, 24 * 365 * 100),
        "A read-only token of one resource is revoked without asking when it would live longer than this many hours "
        "(rule `lives-long` of the default table; `SASQUASH_RULES` has hours of its own).",
        default="24",
    )
    rules: tuple[Rule, ...] = _setting(
        "SASQUASH_RULES",
        lambda text: parse_rules(text) if text else (),
        "The rule table of mode `auto`, as JSON (docs/rules.md). Empty: the default table of that page.",
        default="",
    )
    rotations_a_day: int = _setting(
        "SASQUASH_ROTATIONS_A_DAY",
        _number(1, 100),
        "More rotations of one account than this within 24 hours ask a person first. Revocations of its user "
        "delegation keys count, too.",
        default="2",
    )
    approval_hours: int = _setting(
        "SASQUASH_APPROVAL_HOURS",
        _number(1, 24 * 30),
        "How long a plan may be approved, in hours. Then comes what `SASQUASH_AT_DEADLINE` says.",
        default="4",
    )
    at_deadline: AtDeadline = _setting(
        "SASQUASH_AT_DEADLINE",
        _choice(AtDeadline),
        "What becomes of a plan that nobody decided on in time: `escalate` (the record is unresolved, and people are "
        "mailed again) or `revoke` (it is carried out, if arithmetic has proven it and no limit asks for a person).",
        default="escalate",
    )
    escalation_mailbox: str | None = _setting(
        "SASQUASH_ESCALATION_MAILBOX",
        _optional(_address),
        "Who is mailed, too, when nobody decided in time. Empty: those who were asked, and the security mailbox.",
        default="",
    )
    source_quota: int = _setting(
        "SASQUASH_SOURCE_QUOTA",
        _number(1, 1_000_000),
        "Findings an hour from one publisher (the event's source) that each instance deals with at once. More are as "
        "durable, and dealt with from the queue, later.",
        default="600",
    )
    second_person: bool = _setting(
        "SASQUASH_SECOND_PERSON",
        _switch,
        "Whether who reported a leak may not approve its plan (`on`). An order without a leak always takes two "
        "people.",
        default="on",
    )

    @property
    def cloud(self) -> AzureCloud:
        return CLOUDS[self.cloud_name]

    @property
    def rule_table(self) -> tuple[Rule, ...]:
        """The rules of mode `auto`, in order; the last one always applies."""
        return self.rules or default_rules(act_alone_hours=self.act_alone_hours)

    @property
    def approval_time(self) -> timedelta:
        return timedelta(hours=self.approval_hours)

    @property
    def own_accounts(self) -> frozenset[str]:
        """Names of the storage accounts that Sasquash itself lives in, which are never a target."""
        endpoints = (self.table_endpoint, self.queue_endpoint, self.blob_endpoint)
        hosts = (urlsplit(endpoint).hostname or "" for endpoint in endpoints)
        return frozenset(host.split(".")[0] for host in hosts)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read and check every setting. Raises SettingsError, one line that names the first bad setting."""
        values: dict[str, Any] = {}
        for attribute, setting in declared().items():
            text = environment.get(setting.name, "").strip() or setting.default
            if text is None:
                raise SettingsError(f"{setting.name} is missing: set it (see docs/settings.md).")
            try:
                values[attribute] = setting.parse(text)
            except ValueError as error:
                raise SettingsError(f"{setting.name} is malformed: it {error} (see docs/settings.md).") from None
        return cls(**values)


def declared() -> dict[str, Setting]:
    """Every setting by the name of the field that holds it, in order."""
    return {item.name: item.metadata["setting"] for item in fields(Settings)}
