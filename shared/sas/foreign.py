"""Credentials of other Azure services, which look like those of storage: named, so that nobody believes them revoked.

A row for each service: a word that only its texts have, and the secret near it. Nothing here is ever attributed.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .anchors import has_run
from .fingerprint import signature_sha256
from .normalize import percent_decoded

_SHORTEST = 42  # characters of base64 that every secret has
_REACH = 400  # characters between a service's name and its credential
_FEWEST_MARKS = 12  # different characters in a secret; with fewer it is a placeholder

_SIGNATURE = r"\bsig=(?P<secret>(?:[A-Za-z0-9+/_-]|%2[BbFf]){43}(?:=|%3[Dd])?)(?![A-Za-z0-9+/=])"
_SHARED_KEY = r"SharedAccessKey=(?P<secret>[A-Za-z0-9+/]{43}=)"
_LONG_KEY = r"(?<![A-Za-z0-9+/])(?P<secret>[A-Za-z0-9+/]{86}==)(?![A-Za-z0-9+/=])"


class OtherService(StrEnum):
    """An Azure service whose credentials look like a storage account's."""

    SERVICE_BUS = "service_bus"
    IOT_HUB = "iot_hub"
    COSMOS_DB = "cosmos_db"
    BATCH = "batch"
    LOGIC_APPS = "logic_apps"
    API_MANAGEMENT = "api_management"


_ROWS = tuple(
    (word, service, re.compile(pattern))
    for word, service, pattern in (
        (".servicebus.windows.net", OtherService.SERVICE_BUS, f"{_SIGNATURE}|{_SHARED_KEY.replace('secret', 'key')}"),
        (".azure-devices.net", OtherService.IOT_HUB, f"{_SIGNATURE}|{_SHARED_KEY.replace('secret', 'key')}"),
        (".documents.azure.com", OtherService.COSMOS_DB, _LONG_KEY),
        (".cosmos.azure.com", OtherService.COSMOS_DB, f"{_SIGNATURE}|{_LONG_KEY.replace('secret', 'key')}"),
        (".batch.azure.com", OtherService.BATCH, _LONG_KEY),
        (".logic.azure.com", OtherService.LOGIC_APPS, _SIGNATURE),
        ("integration&", OtherService.API_MANAGEMENT, r"\bintegration&[0-9]{12}&(?P<secret>[A-Za-z0-9+/]{86}==)"),
    )
)


_WORDS = ("azure", ".servicebus.windows.net", "integration&")  # one is in every row's
_WORDS_IN_BYTES = tuple(word.encode() for word in _WORDS)


@dataclass(frozen=True, slots=True)
class ForeignCredential:
    """A credential of another service at an offset of a text. `sha256` is by the recipe of `fingerprint.py`."""

    at: int
    service: OtherService
    sha256: str


def names_other_service(data: bytes) -> bool:
    """Whether the bytes of a text have a word of another service."""
    return any(word in data for word in _WORDS_IN_BYTES)


def foreign_credentials(text: str) -> tuple[ForeignCredential, ...]:
    """Return the credentials of other services in `text`, each once, in order."""
    if not any(word in text for word in _WORDS) or not has_run(text, _SHORTEST):
        return ()
    found: dict[str, ForeignCredential] = {}
    for each in _all(text):
        found.setdefault(each.sha256, each)
    return tuple(sorted(found.values(), key=lambda each: each.at))


def _all(text: str) -> Iterator[ForeignCredential]:
    for word, service, pattern in _ROWS:
        at = text.find(word)
        while at >= 0:
            for match in pattern.finditer(text, max(at - _REACH, 0), at + _REACH):
                groups = match.groupdict()
                secret = percent_decoded(groups.get("secret") or groups.get("key") or "")
                if len(set(secret)) >= _FEWEST_MARKS:
                    yield ForeignCredential(match.start(), service, _digest(secret))
            at = text.find(word, at + len(word))


def _digest(secret: str) -> str:
    """Return the hash of a signature's text, or of a key's bytes."""
    if len(secret) < 88:
        return signature_sha256(secret.rstrip("=") + "=")
    return hashlib.sha256(base64.b64decode(secret)).hexdigest()
