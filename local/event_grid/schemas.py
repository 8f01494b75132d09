"""Events as published to a custom topic: CloudEvents 1.0 and the Event Grid schema, validated strictly.

Sources: CloudEvents 1.0.2 (core specification, JSON event format 3 and 4); "Azure Event Grid event schema";
"Post events to Azure Event Grid custom topics" for limits and error bodies.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from local import json_text
from local.event_grid.display import clean

LARGEST_BODY = 1024 * 1024  # bytes: an event, and an array of events

_CLOUD_REQUIRED = ("id", "source", "specversion", "type")
_CLOUD_TEXTS = ("subject", "time", "datacontenttype", "dataschema")  # optional
_CLOUD_DATA = ("data", "data_base64")
_GRID_REQUIRED = ("id", "subject", "eventType", "eventTime", "dataVersion")
_GRID_OPTIONAL = ("topic", "metadataVersion", "data")
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Schema(StrEnum):
    """The schema in which an event is published and delivered."""

    CLOUD_EVENTS = "CloudEventSchemaV1_0"
    EVENT_GRID = "EventGridSchema"


class Rejected(Exception):
    """The topic refuses a publish request, with the status and code of its error body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted event. `envelope` is the event as published, including raw secrets: never show it."""

    schema: Schema
    envelope: dict[str, Any] = field(repr=False)

    @property
    def type(self) -> str:
        return str(self.envelope["type" if self.schema is Schema.CLOUD_EVENTS else "eventType"])

    def describe(self) -> dict[str, Any]:
        """Return id, type, source, subject, time and data without credentials, to be shown."""
        cloud = self.schema is Schema.CLOUD_EVENTS
        shown = {
            "id": self.envelope["id"],
            "type": self.type,
            "source": self.envelope["source" if cloud else "topic"],
            "subject": self.envelope.get("subject"),
            "time": self.envelope.get("time" if cloud else "eventTime"),
            "data": self.envelope.get("data"),
        }
        return {name: clean(value) for name, value in shown.items()}


def parse(body: bytes, *, content_type: str, topic: str) -> list[Event]:
    """Return the events of a publish request to `topic` (its resource id). Raises Rejected if one is invalid."""
    if len(body) > LARGEST_BODY:
        raise Rejected(413, "RequestEntityTooLarge", "The maximum size of a request is 1 MB.")
    match content_type.partition(";")[0].strip().lower():
        case "application/cloudevents+json":
            return [_cloud_event(_load(body))]
        case "application/cloudevents-batch+json":
            return [_cloud_event(document) for document in _array(body)]
        case "application/json":
            return [_grid_event(document, topic) for document in _array(body)]
    raise Rejected(415, "UnsupportedMediaType", "The content type is not one of an event schema.")


def _load(body: bytes) -> object:
    try:
        # Lone surrogates are allowed, so that tests can send them to the app.
        return json_text.parse(body, any_text=True)
    except json_text.InvalidJson as error:
        raise _malformed(f"The request body is invalid: {error}.") from None


def _array(body: bytes) -> list[object]:
    document = _load(body)
    if not isinstance(document, list):
        raise _malformed("Events are published as a JSON array.")
    return document


def _cloud_event(document: object) -> Event:
    event = _object(document)
    _strings(_CLOUD_REQUIRED, event=event)
    if event["specversion"] != "1.0":
        raise _malformed("Attribute 'specversion' must be '1.0'.")
    _strings((name for name in _CLOUD_TEXTS if event.get(name) is not None), event=event)
    _timestamp(event, "time")
    if "data" in event and "data_base64" in event:
        raise _malformed("Only one of 'data' and 'data_base64' is allowed.")
    for name in event.keys() - {*_CLOUD_REQUIRED, *_CLOUD_TEXTS, *_CLOUD_DATA}:
        if not _EXTENSION_NAME.fullmatch(name) or not isinstance(event[name], str | int | None):
            raise _malformed("An extension attribute has an invalid name, or is not a string, number or boolean.")
    return Event(Schema.CLOUD_EVENTS, event)


def _grid_event(document: object, topic: str) -> Event:
    event = _object(document)
    _strings(_GRID_REQUIRED, event=event)
    _timestamp(event, "eventTime")
    if event.keys() - {*_GRID_REQUIRED, *_GRID_OPTIONAL}:
        raise _malformed("The event has a property that the Event Grid schema does not have.")
    if str(event.get("topic") or topic).lower() != topic.lower():
        raise _malformed("Property 'topic' must be empty or the resource id of this topic.")
    if event.get("metadataVersion") not in (None, "", "1"):
        raise _malformed("Property 'metadataVersion' must be '1'.")
    return Event(Schema.EVENT_GRID, event | {"topic": topic, "metadataVersion": "1"})


def _object(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _malformed("An event is a JSON object.")
    return document


def _strings(names: Iterable[str], *, event: dict[str, Any]) -> None:
    for name in names:
        value = event.get(name)
        # Of the required attributes, only dataVersion may be empty.
        if not isinstance(value, str) or not (value or name == "dataVersion"):
            raise _malformed(f"Attribute '{name}' must be a non-empty string.")


def _timestamp(event: dict[str, Any], name: str) -> None:
    """Require RFC 3339 where the attribute is present."""
    value = event.get(name)
    if value is not None and not _is_timestamp(value):
        raise _malformed(f"Attribute '{name}' must be a timestamp.")


def _is_timestamp(text: str) -> bool:
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return _TIMESTAMP.fullmatch(text) is not None


def _malformed(message: str) -> Rejected:
    """Return the error. Its message names attributes, never values, since a value may be the leaked credential."""
    return Rejected(400, "InputJsonInvalid", message)
