"""The chain of a history, and what a copy of it shows. The canonical form is in docs/security.md."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.history import ChainEnd, CopiedLine, HistoryEntry, Integrity, chained, hash_of, judge, missing
from shared.domain.revocation import HistoryHead
from shared.domain.states import State

FINGERPRINT = "ab" * 32
AT = datetime(2026, 11, 30, 12, 0, 0, 250000, tzinfo=UTC)

texts = st.text(max_size=20)
lines = st.builds(
    HistoryEntry,
    at=st.integers(0, 10**12).map(lambda microseconds: AT + timedelta(microseconds=microseconds)),
    who=texts,
    state=st.sampled_from(State),
    what=texts,
    evidence=texts,
    correlation_id=st.none() | texts,
)
histories = st.lists(lines, min_size=1, max_size=8)


def entry(what: str = "Reported by scanner.", at: datetime = AT) -> HistoryEntry:
    return HistoryEntry(at, "sasquash", State.RECEIVED, what)


def written(entries: list[HistoryEntry]) -> tuple[list[HistoryEntry], HistoryHead]:
    """The lines as the ledger chains them, one after the other."""
    head: HistoryHead | None = None
    linked = []
    for one in entries:
        line, head = chained(one, head, fingerprint=FINGERPRINT)
        linked.append(line)
    assert head is not None
    return linked, head


def copy_of(entries: list[HistoryEntry]) -> list[CopiedLine]:
    links = [one.link for one in entries if one.link is not None]
    return [CopiedLine(link.chain, link.line, link.sha256) for link in links]


def judged(
    entries: list[HistoryEntry],
    head: HistoryHead | None,
    copied: list[CopiedLine] | None = None,
    *,
    pruned: tuple[ChainEnd, ...] = (),
) -> Integrity:
    return judge(entries, head, fingerprint=FINGERPRINT, copied=copied, pruned=pruned).integrity


def test_hash_is_that_of_the_documented_canonical_form() -> None:
    line, _ = chained(
        HistoryEntry(AT, "Ada Lindqvist (00000000-0000-4000-8000-00000000000a)", State.FAILED, "Grüße", "", None),
        None,
        fingerprint=FINGERPRINT,
    )
    canonical = (
        f'["sasquash-history-1","{FINGERPRINT}","20261130T120000250000",1,"","2026-11-30T12:00:00.250000Z",'
        '"Ada Lindqvist (00000000-0000-4000-8000-00000000000a)","failed","Gr\\u00fc\\u00dfe","",null]'
    )
    assert line.link is not None
    assert line.link.sha256 == hashlib.sha256(canonical.encode()).hexdigest()


@given(histories)
def test_history_in_the_copy_is_intact(entries: list[HistoryEntry]) -> None:
    linked, head = written(entries)
    assert judged(linked, head, copy_of(linked)) is Integrity.INTACT


@given(histories)
def test_lines_are_stored_in_the_order_of_the_chain_whatever_the_clocks_say(entries: list[HistoryEntry]) -> None:
    head: HistoryHead | None = None
    times = []
    for one in entries:
        _, head = chained(one, head, fingerprint=FINGERPRINT)
        times.append(head.at)
    assert times == sorted(times)


@given(histories, st.data())
def test_changed_line_breaks_the_history_without_a_copy(entries: list[HistoryEntry], data: st.DataObject) -> None:
    linked, head = written(entries)
    number = data.draw(st.integers(0, len(linked) - 1))
    change = data.draw(
        st.sampled_from(
            [
                {"what": linked[number].what + "x"},
                {"who": linked[number].who + "x"},
                {"evidence": linked[number].evidence + "x"},
                {"at": linked[number].at + timedelta(microseconds=1)},
                {"correlation_id": (linked[number].correlation_id or "") + "x"},
            ]
        )
    )
    linked[number] = replace(linked[number], **change)
    assert judged(linked, head) is Integrity.BROKEN


def test_changed_line_with_its_hash_computed_again_breaks_the_line_after_it() -> None:
    linked, head = written([entry(), entry("Approved."), entry("Contained.")])
    changed = replace(linked[1], what="Rejected.")
    assert changed.link is not None
    sha256 = hash_of(changed, fingerprint=FINGERPRINT)
    linked[1] = replace(changed, link=replace(changed.link, sha256=sha256))
    assert judged(linked, head) is Integrity.BROKEN


@given(histories, st.data())
def test_removed_line_breaks_the_history_without_a_copy(entries: list[HistoryEntry], data: st.DataObject) -> None:
    linked, head = written(entries)
    del linked[data.draw(st.integers(0, len(linked) - 1))]
    assert judged(linked, head) is Integrity.BROKEN


@given(histories.filter(lambda found: len(found) > 1), st.data())
def test_swapped_lines_break_the_history_without_a_copy(entries: list[HistoryEntry], data: st.DataObject) -> None:
    linked, head = written(entries)
    one, other = data.draw(st.lists(st.integers(0, len(linked) - 1), min_size=2, max_size=2, unique=True).map(sorted))
    linked[one], linked[other] = linked[other], linked[one]
    assert judged(linked, head) is Integrity.BROKEN


@given(histories)
def test_line_added_at_the_end_breaks_the_history(entries: list[HistoryEntry]) -> None:
    linked, head = written(entries)
    more, _ = chained(entry("Approved."), head, fingerprint=FINGERPRINT)
    assert judged([*linked, more], head) is Integrity.BROKEN


def test_line_of_another_record_breaks_the_history() -> None:
    line, head = chained(entry(), None, fingerprint="cd" * 32)
    assert judged([line], head) is Integrity.BROKEN


@given(histories.filter(lambda found: len(found) > 1), st.data())
def test_history_that_was_rewritten_as_a_whole_contradicts_the_copy(
    entries: list[HistoryEntry], data: st.DataObject
) -> None:
    """Who holds the identity can compute every hash again. The copy still has the hashes that were sent."""
    honest, _ = written(entries)
    number = data.draw(st.integers(0, len(entries) - 1))
    forged = [replace(one, what=one.what + "x") if n == number else one for n, one in enumerate(entries)]
    rewritten, head = written(forged)
    assert judged(rewritten, head) is Integrity.UNCONFIRMED
    assert judged(rewritten, head, copy_of(honest)) is Integrity.BROKEN


def test_history_cut_short_with_its_head_contradicts_the_copy() -> None:
    honest, _ = written([entry(), entry("Approved."), entry("Contained.")])
    cut, head = written([entry(), entry("Approved.")])
    assert judged(cut, head, copy_of(honest)) is Integrity.BROKEN


def test_history_begun_anew_contradicts_the_copy() -> None:
    honest, _ = written([entry()])
    anew, head = written([entry(at=AT + timedelta(hours=1))])
    assert judged(anew, head, copy_of(honest)) is Integrity.BROKEN


def test_two_versions_of_a_line_in_the_copy_break_the_history() -> None:
    linked, head = written([entry()])
    forged, _ = written([entry("Forged.")])
    assert judged(linked, head, [*copy_of(linked), *copy_of(forged)]) is Integrity.BROKEN


@given(histories, st.data())
def test_line_that_the_copy_lacks_is_unconfirmed(entries: list[HistoryEntry], data: st.DataObject) -> None:
    """It has not arrived yet, was lost on its way, or is past the copy's retention."""
    linked, head = written(entries)
    copied = copy_of(linked)
    lost = copied.pop(data.draw(st.integers(0, len(copied) - 1)))
    assert judged(linked, head, copied) is Integrity.UNCONFIRMED
    assert [one.link.line for one in missing(linked, copied) if one.link] == [lost.line]


def test_line_that_the_copy_has_twice_is_one_line() -> None:
    linked, head = written([entry(), entry("Approved.")])
    assert judged(linked, head, copy_of(linked) * 2) is Integrity.INTACT


def test_lines_of_version_0_2_are_unconfirmed() -> None:
    assert judged([entry(), entry("Contained.")], None, []) is Integrity.UNCONFIRMED


def test_chain_after_lines_of_version_0_2_is_unconfirmed() -> None:
    linked, head = written([entry("Closed.")])
    assert judged([entry(), *linked], head, copy_of(linked)) is Integrity.UNCONFIRMED


def test_chain_begun_again_after_version_0_2_wrote_the_record_is_unconfirmed() -> None:
    first, _ = written([entry()])
    second, head = written([entry("Closed.", at=AT + timedelta(hours=1))])
    stored = [*first, entry("By the older version."), *second]
    assert judged(stored, head, copy_of([*first, *second])) is Integrity.UNCONFIRMED


def end_of(head: HistoryHead) -> ChainEnd:
    """What retention leaves of a chain."""
    return ChainEnd(head.chain, head.line, head.sha256)


def test_lines_of_an_earlier_record_that_was_pruned_contradict_nothing() -> None:
    earlier, gone = written([entry(), entry("Dismissed.")])
    linked, head = written([entry(at=AT + timedelta(days=500))])
    copied = [*copy_of(earlier), *copy_of(linked)]
    assert judged(linked, head, copied, pruned=(end_of(gone),)) is Integrity.INTACT
    assert judged(linked, head, copied) is Integrity.BROKEN


def test_chain_that_was_cut_before_it_was_pruned_contradicts_the_copy() -> None:
    honest, _ = written([entry(), entry("Approved."), entry("Dismissed.")])
    _, cut = written([entry(), entry("Approved.")])
    linked, head = written([entry(at=AT + timedelta(days=500))])
    copied = [*copy_of(honest), *copy_of(linked)]
    assert judged(linked, head, copied, pruned=(end_of(cut),)) is Integrity.BROKEN


def test_chain_whose_last_line_was_rewritten_before_it_was_pruned_contradicts_the_copy() -> None:
    honest, _ = written([entry(), entry("Dismissed.")])
    _, rewritten = written([entry(), entry("Forged.")])
    linked, head = written([entry(at=AT + timedelta(days=500))])
    copied = [*copy_of(honest), *copy_of(linked)]
    assert judged(linked, head, copied, pruned=(end_of(rewritten),)) is Integrity.BROKEN


def test_line_without_a_link_has_no_hash() -> None:
    with pytest.raises(ValueError, match="without a link"):
        hash_of(entry(), fingerprint=FINGERPRINT)
