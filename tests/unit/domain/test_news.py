"""Which changes of a record are news, and what it keeps of its mails and events."""

from dataclasses import replace
from datetime import timedelta

from shared.domain.news import last_change_to, news_since, with_announced, with_notification
from shared.domain.pending_steps import unannounced, unnotified
from shared.domain.revocation import Change, Notification, Revocation
from shared.domain.states import Reason, State
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=5)


def revived(record: Revocation) -> Revocation:
    return record.end(Reason.REVIVED, now=LATER, detail="Its policy is back.")


def asked(record: Revocation, number: int) -> Revocation:
    return record.reach(State.AWAITING_APPROVAL, now=NOW + timedelta(hours=number), detail="")


def mailed(record: Revocation) -> Revocation:
    change = record.changes[-1]
    return with_notification(record, Notification(change.state, (), change.at, change.reason, change=change))


def test_all_changes_are_news_where_there_was_no_revival() -> None:
    record = samples.revocation().reach(State.PROVEN, now=NOW, detail="")

    assert news_since(record) == record.changes


def test_only_the_last_revival_and_what_came_after_it_are_news() -> None:
    record = revived(revived(samples.revocation().reach(State.PROVEN, now=NOW, detail="")))
    record = record.end(Reason.BLOCKED, now=LATER, detail="")

    assert news_since(record) == (
        Change(State.RECEIVED, LATER, Reason.REVIVED, revivals=2),
        Change(State.FAILED, LATER, Reason.BLOCKED, revivals=2),
    )
    assert last_change_to(record, State.PROVEN) is None


def test_changes_are_of_their_revival_although_that_is_no_longer_kept() -> None:
    record = revived(asked(samples.revocation(), 0))
    for number in range(40):
        record = asked(record, number)

    assert news_since(record) == record.changes


def test_verdict_on_a_record_that_was_revived_meanwhile_is_news() -> None:
    record = revived(samples.revocation())

    assert record.changes_with(Change(State.CONTAINED, LATER))[-1].revivals == 1


def test_mail_is_noted_once_although_the_answer_to_the_first_write_is_lost() -> None:
    record = asked(samples.revocation(), 0)

    assert mailed(mailed(record)) == mailed(record)


def test_leak_that_is_asked_about_for_years_does_not_outgrow_its_record() -> None:
    record = samples.revocation().end(Reason.BLOCKED, now=NOW, detail="")
    record = with_announced(mailed(record), record.changes[-1:])
    for number in range(300):
        record = mailed(asked(record, number))
        record = with_announced(record, unannounced(record))

    again = record.end(Reason.BLOCKED, now=LATER, detail="")
    assert (len(record.notifications), len(record.announced) <= 32) == (11, True)
    assert (unnotified(again), unannounced(again)) == (False, [])


def test_event_is_noted_once_although_the_answer_to_the_first_write_is_lost() -> None:
    record = asked(samples.revocation(), 0)
    once = with_announced(record, record.changes[-1:])

    assert with_announced(once, record.changes[-1:]) == once


def test_last_mail_before_a_revival_gives_way_to_later_ones() -> None:
    record = revived(mailed(samples.revocation().reach(State.PROVEN, now=NOW, detail="")))
    for number in range(10):
        record = mailed(asked(record, number))

    assert {sent.state for sent in record.notifications} == {State.AWAITING_APPROVAL}


def test_confirmed_leak_keeps_its_mail_to_people_beside_that_of_a_summary() -> None:
    record = samples.revocation().end(Reason.BLOCKED, now=NOW, detail="")
    change = record.changes[-1]
    by_name = Notification(change.state, ("a@contoso.com",), NOW, change.reason, change=change)
    record = with_notification(record, by_name)
    for second in range(20):
        summary = Notification(change.state, (), NOW + timedelta(seconds=second), change.reason, change=change)
        record = with_notification(record, summary)

    assert by_name in record.notifications
    assert not unnotified(replace(record, key_name="key1"))
