"""What a payload holds, item by item, in the order in which it stands there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.domain.alert import AlertReference


class Skip(StrEnum):
    """Why an item is ignored."""

    NO_CREDENTIAL = "no_credential"  # nothing of Azure Storage in it
    OTHER_EVENT = "other_event"  # not a report, or one of our own doing
    OTHER_SECRET = "other_secret"  # noqa: S105 -- of a type that the settings do not list
    REDACTED = "redacted"  # the tool has masked the secret


@dataclass(frozen=True, slots=True)
class Text:
    """A text in which a credential may stand. It is the secret itself: it stays in memory, and out of every repr.

    `url` is where it was found, `detected_at` when, both as the tool says, and hostile.
    """

    text: str = field(repr=False)
    url: str | None = None
    detected_at: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that its tool keeps: the secret is read there."""

    reference: AlertReference


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that reports nothing for us."""

    why: Skip


@dataclass(frozen=True, slots=True)
class Invalid:
    """An item that can't be read. `why` is a sentence that names the field and the rule, and repeats no value."""

    why: str


type Entry = Text | Alert | Skipped | Invalid


class InvalidPayload(ValueError):
    """The payload as a whole is not what its tool writes. The message names the rule and repeats nothing of it."""


def text_of(item: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a text with something in it, else None."""
    value = item.get(name)
    return value if isinstance(value, str) and value else None


def object_of(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is an object, else an empty one."""
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def list_of(item: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is a list, else an empty one."""
    value = item.get(name)
    return value if isinstance(value, list) else []
