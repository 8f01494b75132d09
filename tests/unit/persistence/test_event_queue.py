"""Messages that Event Grid puts into a queue: events in either schema, as JSON or base64. Others are refused."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.report import REPORTED, Report
from shared.errors import MalformedEvent
from shared.persistence.event_queue import read

CLOUD_EVENT: dict[str, Any] = {"specversion": "1.0", "id": "e1", "source": "/s", "type": REPORTED, "data": {"n": 1}}
GRID_EVENT: dict[str, Any] = {"id": "e1", "topic": "/t", "eventType": REPORTED, "subject": "s", "data": {"n": 1}}


def stored(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("event", "source"), [(CLOUD_EVENT, "/s"), (GRID_EVENT, "/t")], ids=["CloudEvent", "Event Grid"]
)
def test_event_is_read_in_either_form(event: dict[str, Any], source: str) -> None:
    expected = (Report("e1", REPORTED, source, {"n": 1}),)

    assert read(stored(event)) == read(base64.b64encode(stored(event))) == expected


def test_events_of_a_list_are_read_in_their_order() -> None:
    found = read(stored([CLOUD_EVENT, CLOUD_EVENT | {"id": "e2"}]))

    assert [report.event_id for report in found] == ["e1", "e2"]


@pytest.mark.parametrize("data", [None, "text", [1], 7, "\ud800"])
def test_data_of_any_shape_is_passed_on(data: object) -> None:
    """The ingest records what is no finding: nothing is lost here."""
    assert read(stored(CLOUD_EVENT | {"data": data}))[0].data == data


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b"7", b'"x"', b"hello", b"\xff", base64.b64encode(b"\xff\xfe"), b"[" * 100_000),
        *(stored({"specversion": "1.0", "id": 7, "type": REPORTED}), stored([CLOUD_EVENT, 7])),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read(content)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_content_does_anything_else(content: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read(content)
