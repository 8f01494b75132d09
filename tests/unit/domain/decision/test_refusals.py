"""When an action that Azure refused is tried again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.decision.duplicates import due_again
from shared.domain.pending_steps import next_check, outstanding, unannounced, unfiled, unnotified
from shared.domain.refusal import Refusal, refused_again
from shared.domain.revocation import Filed, Notification, Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import Blocked
from tests.support import samples
from tests.support.samples import NOW

SPREADS = Blocked("Refused: no right.", cause="Regenerating key1 failed: 403 AuthorizationFailed")


def attempts(*, lasting: bool = False, days: int = 4) -> list[float]:
    """The minutes since the first refusal at which an action is tried that is refused each time."""
    refusal, now, tried = None, NOW, []
    while now < NOW + timedelta(days=days):
        refusal = refused_again(refusal, "403", is_lasting=lasting, now=now)
        assert refusal.next_at is not None
        now = refusal.next_at
        tried.append((now - NOW) / timedelta(minutes=1))
    return tried


def test_refused_action_is_tried_again_after_1_5_15_and_60_minutes_then_daily() -> None:
    day = 24 * 60
    assert attempts() == [1, 6, 21, 81, 81 + day, 81 + 2 * day, 81 + 3 * day, 81 + 4 * day]


def test_refusal_that_needs_a_person_is_tried_again_daily() -> None:
    assert attempts(lasting=True, days=2) == [24 * 60, 48 * 60]


def test_another_cause_starts_the_minutes_again_once() -> None:
    first = refused_again(None, "a lock", is_lasting=True, now=NOW)
    later = NOW + timedelta(days=1)
    second = refused_again(first, "403", is_lasting=False, now=later)
    assert (second.next_at, second.earlier) == (later + timedelta(minutes=1), (first.cause_id,))
    third = refused_again(second, "a lock", is_lasting=True, now=later + timedelta(minutes=1))
    back = refused_again(third, "403", is_lasting=False, now=later + timedelta(days=1))
    assert back.next_at == later + timedelta(days=2)


@given(st.lists(st.text(max_size=3), min_size=1, max_size=60))
def test_causes_that_keep_changing_are_bounded_and_end_in_daily_attempts(causes: list[str]) -> None:
    refusal, now, minutes = None, NOW, 0
    for cause in causes:
        refusal = refused_again(refusal, cause, is_lasting=False, now=now)
        assert refusal.next_at is not None
        assert refusal.next_at > now
        minutes += refusal.next_at - now < timedelta(hours=2)
        now = refusal.next_at
    assert refusal is not None
    assert len(refusal.earlier) <= 8
    assert minutes <= 9 * 4


def test_reports_in_between_do_not_prolong_the_minutes() -> None:
    first = refused_again(None, "403", is_lasting=False, now=NOW)
    again = refused_again(first, "403", is_lasting=False, now=NOW + timedelta(minutes=90))
    assert again.next_at == NOW + timedelta(minutes=90, days=1)


def test_record_of_a_refusal_is_failed_and_says_when_it_is_tried_again() -> None:
    record = refused()
    assert (record.state, record.reason, record.detail) == (State.FAILED, Reason.BLOCKED, "Refused: no right.")
    assert (record.next_attempt, next_check(record)) == (NOW + timedelta(minutes=1),) * 2


def refused(error: Blocked = SPREADS, **changed: object) -> Revocation:
    return samples.revocation(**changed).blocked(error, now=NOW)


def test_refused_action_is_outstanding_when_it_is_due() -> None:
    record = refused()
    settled = replace(
        record,
        announced=record.changes,
        filed=Filed("7", record.state, record.reason),
        notifications=(Notification(record.state, (), NOW, record.reason),),
    )
    assert [outstanding(settled, now=NOW + timedelta(seconds=s)) for s in (59, 60)] == [False, True]


def known_to_all(record: Revocation) -> Revocation:
    change = record.changes[-1]
    sent = Notification(record.state, ("a@contoso.com",), NOW, record.reason, change=change)
    return replace(
        record,
        key_name="key2",
        announced=(*record.announced, change),
        filed=Filed("7", record.state, record.reason, change=change),
        notifications=(*record.notifications, sent),
    )


def refused_next(record: Revocation, error: Blocked) -> Revocation:
    now = record.next_attempt
    assert now is not None
    again = due_again(record, now=now)
    assert again is not None
    return again.blocked(error, now=now)


def news(record: Revocation) -> list[bool]:
    return [unnotified(record), unfiled(record), bool(unannounced(record))]


def test_same_refusal_again_is_no_news_and_another_cause_is() -> None:
    first = known_to_all(refused())
    assert news(refused_next(first, Blocked("In other words.", cause=SPREADS.cause))) == [False, False, False]
    second = refused_next(first, Blocked("A ReadOnly lock forbids it."))
    assert news(second) == [True, True, True]
    third = refused_next(known_to_all(second), SPREADS)
    assert news(third) == [False, True, False]  # the incident shows what is


def test_attempt_keeps_the_approval_and_the_attribution() -> None:
    record = refused(approval=samples.approval("d" * 64), signer=samples.SIGNER)
    again = due_again(record, now=NOW + timedelta(minutes=1))
    assert again is not None
    assert (again.state, again.approval, again.signer) == (State.RECEIVED, record.approval, record.signer)


def test_attempt_is_not_made_before_it_is_due() -> None:
    assert due_again(refused(), now=NOW + timedelta(seconds=59)) is None


@pytest.mark.parametrize("reason", [Reason.NO_KEY_MATCHES, Reason.STILL_ALIVE, Reason.EXPIRED])
def test_record_that_ended_otherwise_is_not_tried_again(reason: Reason) -> None:
    record = refused().end(reason, now=NOW, detail="")
    assert (record.next_attempt, due_again(record, now=NOW + timedelta(days=9))) == (None, None)


def test_last_attempt_at_a_token_is_at_its_end() -> None:
    lasting = Blocked("Refused.", is_lasting=True)
    ends = NOW + timedelta(hours=20)
    assert refused(lasting, finding=samples.finding(samples.account_sas(life=ends - NOW))).next_attempt == ends


def test_order_is_tried_again_for_a_week() -> None:
    ordered = samples.revocation(finding=samples.ordered(ActionKind.ACCOUNT_KEY, "key1"))
    refusal = Refusal(SPREADS.cause, NOW, NOW)
    for days, due in ((5, NOW + timedelta(days=6)), (6.5, None)):
        again = replace(ordered, refusal=refusal).blocked(SPREADS, now=NOW + timedelta(days=days))
        assert again.next_attempt == due


def test_cause_from_outside_is_stored_in_its_harmless_form() -> None:
    record = refused(Blocked("No.", cause="`rm -rf`\x1b[31m" + "x" * 999))
    assert record.refusal is not None
    assert "\x1b" not in record.refusal.cause
    assert len(record.refusal.cause) <= 300
