"""Rows in the order of their keys are lines in the order in which they were written."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.history import HistoryEntry, chained
from shared.domain.revocation import HistoryHead
from shared.domain.states import State
from shared.persistence import history_rows
from shared.persistence.history_rows import Copied, Pruned

FINGERPRINT = "ab" * 32
AT = datetime(2026, 11, 30, 12, 0, 0, 250000, tzinfo=UTC)
# Instances whose clocks differ, and lines of one microsecond.
offsets = st.lists(st.integers(-5_000_000, 5_000_000) | st.just(0), min_size=1, max_size=30)


def keys(of: list[int], *, ids: list[int]) -> list[str]:
    """The keys of lines that were written at these times, in microseconds; each with a random id."""
    head: HistoryHead | None = None
    made = []
    for microseconds, number in zip(of, ids, strict=True):
        line = HistoryEntry(AT + timedelta(microseconds=microseconds), "sasquash", State.CLOSED, "Closed.")
        entry, head = chained(line, head, fingerprint=FINGERPRINT)
        row = history_rows.row(FINGERPRINT, entry, stored_at=head.at, new_id=f"{number:08x}")
        made.append(str(row["RowKey"]))
    return made


@given(offsets, st.data())
def test_keys_are_in_the_order_of_the_chain(of: list[int], data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=len(of), max_size=len(of)))
    made = keys(of, ids=ids)
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_lines_are_between_the_record_and_what_stands_beside_it() -> None:
    [line] = keys([0], ids=[1])
    pruned = history_rows.pruned_row(FINGERPRINT, Pruned(AT, "c", 1, "ab", line, AT))["RowKey"]
    beside = [*history_rows.beside(FINGERPRINT), str(pruned)]
    assert all(FINGERPRINT < line < f"{FINGERPRINT}~~" < other < f"{FINGERPRINT}~~~" for other in beside)


def test_copy_has_a_history_up_to_its_last_line() -> None:
    head = HistoryHead("c", 3, "ab", AT)
    assert Copied("c", 3, "key").has(head)
    assert not Copied("c", 2, "key").has(head)
    assert not Copied("other", 3, "key").has(head)
    assert Copied().has(None)
