"""The rows of the copy, and the calls that they are sent in.

Source: MicrosoftDocs/azure-monitor-docs, "Azure Monitor service limits", Logs Ingestion API: 1 MB a call, 64 KB a
field.
"""

import json
from datetime import UTC, datetime

import pytest

from shared.cloud import history_copy
from shared.cloud.history_copy import LONGEST, rows_of
from shared.domain.history import HistoryEntry, chained
from shared.domain.states import State

FINGERPRINT = "ab" * 32
AT = datetime(2026, 11, 30, 12, 0, 0, 250000, tzinfo=UTC)


def lines(number: int, *, what: str = "Contained.") -> list[HistoryEntry]:
    head, made = None, []
    for _ in range(number):
        line, head = chained(HistoryEntry(AT, "sasquash", State.CONTAINED, what), head, fingerprint=FINGERPRINT)
        made.append(line)
    return made


def test_last_line_has_the_record() -> None:
    rows = rows_of(FINGERPRINT, lines(3), record="{}")
    assert [row.Record for row in rows] == ["", "", "{}"]


def test_record_that_the_service_would_cut_is_left_out() -> None:
    [row] = rows_of(FINGERPRINT, lines(1), record="x" * (LONGEST + 1))
    assert row.Record == ""


def test_lines_of_version_0_2_are_not_copied() -> None:
    assert rows_of(FINGERPRINT, [HistoryEntry(AT, "sasquash", State.CLOSED, "Closed.")], record="{}") == ()


def test_time_has_microseconds_so_that_the_hash_can_be_computed_again() -> None:
    [row] = rows_of(FINGERPRINT, lines(1), record="")
    assert row.At == "2026-11-30T12:00:00.250000Z"
    assert history_copy._entry(json.loads(history_copy.msgspec.json.encode(row))) == lines(1)[0]


def test_calls_are_below_a_megabyte_and_have_each_row_once() -> None:
    rows = rows_of(FINGERPRINT, lines(400, what="\U0001f98d" * 4000), record="")
    bodies = list(history_copy._bodies(rows))
    assert len(bodies) > 1
    assert max(map(len, bodies)) < 1_000_000
    assert [row["Line"] for body in bodies for row in json.loads(body)] == list(range(1, 401))


def test_nothing_to_send_is_no_call() -> None:
    assert list(history_copy._bodies(())) == []


@pytest.mark.parametrize("text", ["x", "AB", "ab' or true", "a" * 65, "ab\n"])
def test_nothing_but_hex_digits_goes_into_a_query(text: str) -> None:
    with pytest.raises(ValueError, match="hex digits"):
        history_copy._checked(text)
