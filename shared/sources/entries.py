"""The entries of a payload, in its order: what every format is parsed to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.domain.alert import AlertReference
from shared.sources.scanner_place import Around, Place


class Skip(StrEnum):
    """Why an item is ignored."""

    NO_CREDENTIAL = "no_credential"  # no Azure Storage credential in it
    OTHER_EVENT = "other_event"  # not a report, or caused by Sasquash itself
    OTHER_SECRET = "other_secret"  # noqa: S105 -- of a type that the settings do not list
    REDACTED = "redacted"  # the tool has masked the secret


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may contain a credential. It contains the secret: it is kept in memory only, and out of every repr.

    `url` is where it was found, `detected_at` when. Both are untrusted. `place` is where a scanner found it, `around`
    the text there, where it can be read. `masked`: the tool has masked the secret, so that only `around` has it.
    `verified`: the tool says that the credential works at this address. That is a hint: it is checked like any other.
    """

    text: str = field(repr=False)
    url: str | None = None
    detected_at: str | None = None
    place: Place | None = None
    around: Around | None = None
    masked: bool = False
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of a tool. The secret is read from the tool."""

    reference: AlertReference


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that is ignored."""

    why: Skip


@dataclass(frozen=True, slots=True)
class Invalid:
    """An item that can't be parsed. `why` is a sentence that names the field and the rule, and has no value."""

    why: str


type Entry = Text | Alert | Skipped | Invalid


class InvalidPayload(ValueError):
    """The payload as a whole is not in the format. The message names the rule and has no part of the payload."""


def text_of(item: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a non-empty string, else None."""
    value = item.get(name)
    return value if isinstance(value, str) and value else None


def object_of(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is an object, else an empty object."""
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def list_of(item: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list, else an empty list."""
    value = item.get(name)
    return value if isinstance(value, list) else []
