"""Parsers of settings. A parser returns the value, or raises ValueError with a text that completes "it …"."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from shared.domain.guid import GUID, is_guid

_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?P<domain>[A-Za-z0-9.-]+)")
_SECRET_ID = re.compile(r"https://[a-z0-9-]{3,24}\.vault\.[a-z0-9.-]{5,60}/secrets/[A-Za-z0-9-]{1,127}")
_SENDER = re.compile(r"[a-z][a-z0-9-]{1,30}")


def _matching(pattern: str, must: str, *, lower: bool = False) -> Callable[[str], str]:
    """Return a parser of texts that match `pattern`; with `lower`, in lower case."""

    def parse(text: str) -> str:
        given = text.lower() if lower else text
        if not re.fullmatch(pattern, given):
            raise ValueError(must)
        return given

    return parse


guid = _matching(GUID, "must be a GUID such as 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33", lower=True)
tag_name = _matching(r"[^<>%&\\?/,]{1,512}", "must be a tag name: at most 512 characters, none of <>%&\\?/")
opaque = _matching(r"[A-Za-z0-9.,_-]{1,300}", "must be an id of letters, digits and .,_-")  # of another service
workspace = _matching(
    r"(?i:/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.OperationalInsights"
    r"/workspaces/[A-Za-z0-9-]{4,63})",
    "must be the ARM id of a Log Analytics workspace: /subscriptions/…/workspaces/name",
)
vault = _matching(
    r"[a-z](?:-?[a-z0-9]){2,23}", "must be a key vault's name: 3 to 24 letters, digits and single hyphens", lower=True
)
account_name = _matching(
    r"[a-z0-9]{3,24}", "must be the name of a storage account: 3 to 24 lower-case letters and digits"
)
management_group = _matching(
    r"[A-Za-z0-9_().-]{1,90}", "must be the id of a management group: letters, digits and _().-, at most 90"
)
rule_id = _matching(r"dcr-[0-9a-f]{32}", "must be the immutable id of a data collection rule: dcr- and 32 hex digits")
word = _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "must have names of letters, digits and ._-")


def choice(kind: type[StrEnum]) -> Callable[[str], Any]:
    """One member of `kind`, by its value."""

    def parse(text: str) -> Any:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError("must be one of " + ", ".join(kind)) from None

    return parse


def listed(parse: Callable[[str], Any], *, least: int = 0) -> Callable[[str], Any]:
    """Values separated by commas, without duplicates; at least `least`."""

    def parse_list(text: str) -> Any:
        parts = [parse(part.strip()) for part in text.split(",") if part.strip()]
        if len(parts) < least:
            raise ValueError(f"must have at least {least}, separated by commas")
        return tuple(dict.fromkeys(parts))

    return parse_list


def optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The value of `parse`, None for an empty text."""
    return lambda text: parse(text) if text else None


def https(text: str) -> str:
    """An https URL without a query."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.username:
        raise ValueError("must be an https URL without a query")
    return text.rstrip("/")


def connection_string(text: str) -> str:
    """A connection string of Application Insights, or empty (learn.microsoft.com, "Connection strings")."""
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    if text and not (
        is_guid(parts.get("InstrumentationKey")) and parts.get("IngestionEndpoint", "").startswith("https://")
    ):
        raise ValueError("must be a connection string with an InstrumentationKey and an https IngestionEndpoint")
    return text


def domain(text: str) -> str:
    """A domain name, in lower case."""
    if not _DOMAIN.fullmatch(text.lower()):
        raise ValueError("must be a domain name such as contoso.com")
    return text.lower()


def address(text: str) -> str:
    """A mail address."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError("must be a mail address")
    domain(match["domain"])
    return text


def audience(text: str) -> str:
    """An access token's audience."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~/-]{1,250}|[0-9A-Fa-f-]{36}", text):
        raise ValueError(
            "must be a client id, or an application id URI such as api://d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57"
        )
    return text.rstrip("/")


def switch(text: str) -> bool:
    """on or off."""
    if text.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return text.lower() == "on"


def number(low: int, high: int) -> Callable[[str], int]:
    """A whole number within these limits."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def retention(text: str) -> int:
    """Days, 0 for never; at least a month, in which people still work with a record."""
    days = number(0, 4000)(text)
    if 0 < days < 30:
        raise ValueError("must be 0, or a whole number from 30 to 4000")
    return days


@dataclass(frozen=True, slots=True)
class SecretSetting:
    """A secret, or the id of a Key Vault secret with it (`secret_settings.py`). Kept out of every repr."""

    value: str = field(repr=False)

    @property
    def vault_id(self) -> str | None:
        """The Key Vault secret's id, None where the value is the secret itself."""
        return self.value if self.value.startswith("https://") else None


def secret(text: str) -> SecretSetting | None:
    """A secret or the id of one; None for an empty text."""
    if not text:
        return None
    if text.startswith("https://") and not _SECRET_ID.fullmatch(text):
        raise ValueError("must be a secret, or the id of a Key Vault secret without a version")
    return SecretSetting(text)


def senders(text: str) -> dict[str, SecretSetting]:
    """`name=secret` of each sender, separated by commas; a secret of Standard Webhooks, or the id of one."""
    found: dict[str, SecretSetting] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, value = part.partition("=")
        given = secret(value.strip())
        if not _SENDER.fullmatch(name) or given is None or name in found:
            raise ValueError("must be name=secret, separated by commas, with unique names of a-z, 0-9 and hyphens")
        if given.vault_id is None:
            webhook_key(given.value)
        found[name] = given
    return found


def webhook_key(text: str) -> bytes:
    """The key in a secret of Standard Webhooks: 24 to 64 bytes in base64, after `whsec_`."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("must have secrets of 24 to 64 bytes in base64 after whsec_ (Standard Webhooks)")
    return key
