"""What people and other systems know of a record is bound to the change that it was about, not to a time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.approval import EvidenceCheck, EvidenceOutcome
from shared.domain.pending_steps import closable, reported_again, unannounced, unfiled, unnotified
from shared.domain.revocation import Filed, Notification, Revocation
from shared.domain.states import Reason, State
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=5)
HALF = timedelta(seconds=0.5)


def reopened(record: Revocation, reason: Reason) -> Revocation:
    return record.reach(State.RECEIVED, now=LATER, detail="").end(reason, now=LATER, detail="")


# The clocks of two instances differ

EARLIER = NOW - HALF


def test_request_that_was_mailed_by_an_instance_whose_clock_is_behind_is_not_mailed_again() -> None:
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")
    sent = Notification(State.AWAITING_APPROVAL, (), EARLIER, change=record.changes[-1])

    assert not unnotified(replace(record, notifications=(sent,)))


def test_mail_of_an_instance_whose_clock_is_ahead_is_not_about_the_next_request() -> None:
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")
    sent = Notification(State.AWAITING_APPROVAL, (), LATER, change=record.changes[-1])
    anew = replace(record, notifications=(sent,)).reach(State.AWAITING_APPROVAL, now=NOW + HALF, detail="1 of 2")

    assert unnotified(anew)


def test_incident_that_could_not_be_updated_before_the_mail_is_updated_after_it() -> None:
    first = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")
    anew = first.reach(State.AWAITING_APPROVAL, now=LATER, detail="")
    filed = Filed("7", State.AWAITING_APPROVAL, change=first.changes[-1])
    sent = Notification(State.AWAITING_APPROVAL, (), LATER, change=anew.changes[-1])
    record = replace(anew, filed=filed, notifications=(sent,))

    assert unfiled(record)
    assert not unfiled(replace(record, filed=replace(filed, change=anew.changes[-1])))


@pytest.mark.parametrize(("sent_at", "due"), [(NOW, False), (EARLIER, True)])
def test_mail_of_an_earlier_version_is_compared_by_its_time(sent_at: datetime, *, due: bool) -> None:
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")

    assert unnotified(replace(record, notifications=(Notification(State.AWAITING_APPROVAL, (), sent_at),))) is due


def test_later_report_of_a_rejected_leak_is_mailed_once_whatever_the_clocks_say() -> None:
    record = samples.revocation().end(Reason.REJECTED, now=NOW, detail="")
    sent = Notification(State.DISMISSED, (), EARLIER, Reason.REJECTED, change=record.changes[-1], again=NOW)
    again = replace(record, reported_again_at=NOW, notifications=(sent,))

    assert not reported_again(again)
    assert reported_again(replace(again, reported_again_at=EARLIER))


# A revived record begins anew


def revived(record: Revocation) -> Revocation:
    return record.end(Reason.REVIVED, now=LATER, detail="Its policy is back.")


def notified() -> Revocation:
    """A record that is verified revoked, with all that it takes to close it."""
    record = samples.revocation(execution=samples.execution()).reach(State.PROVEN, now=NOW, detail="")
    change = record.changes[-1]
    return replace(
        record,
        announced=(change,),
        filed=Filed("7", State.PROVEN, change=change),
        notifications=(Notification(State.PROVEN, ("a@contoso.com",), NOW, change=change),),
    )


def test_all_is_due_again_once_a_revived_leak_is_revoked_again() -> None:
    record = revived(notified()).reach(State.PROVEN, now=LATER, detail="")

    assert unannounced(record) == [record.changes[-1]]
    assert (unfiled(record), unnotified(record), closable(record)) == (True, True, False)


@pytest.mark.parametrize("known", ["announced", "notifications"])
def test_what_was_known_before_a_revival_closes_no_record(known: str) -> None:
    before = notified()
    record = revived(before).reach(State.PROVEN, now=LATER, detail="")
    now = record.changes[-1]
    whole = replace(
        record,
        announced=(*before.announced, now),
        notifications=(*before.notifications, Notification(State.PROVEN, (), LATER, change=now)),
    )

    assert closable(whole)
    assert not closable(replace(whole, **{known: getattr(before, known)}))


def test_rows_of_earlier_versions_are_from_before_the_revival() -> None:
    before = notified()
    old = replace(before.notifications[0], change=None)
    record = revived(replace(before, notifications=(old,))).reach(State.PROVEN, now=LATER, detail="")

    assert not unnotified(replace(before, notifications=(old,)))
    assert unnotified(record)


def test_what_was_notified_since_the_revival_is_not_due_again_however_often_it_is_reopened() -> None:
    record = revived(notified()).end(Reason.NO_KEY_MATCHES, now=LATER, detail="")
    change = record.changes[-1]
    record = replace(
        record,
        announced=(*record.announced, change),
        filed=Filed("7", change.state, change.reason, change=change),
        notifications=(*record.notifications, Notification(change.state, (), LATER, change.reason, change=change)),
    )
    for _ in range(40):
        record = reopened(record, Reason.NO_KEY_MATCHES)

    assert (unannounced(record), unfiled(record), unnotified(record)) == ([], False, False)


def test_what_was_not_published_before_the_revival_still_is() -> None:
    record = revived(replace(notified(), announced=()))

    assert [change.state for change in unannounced(record)] == [State.PROVEN]


@pytest.mark.parametrize("shift", [-HALF, HALF])
def test_request_is_mailed_once_more_when_an_alert_confirms_it_whatever_the_clocks_say(shift: timedelta) -> None:
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")
    check = EvidenceCheck(EvidenceOutcome.CONFIRMED, LATER, "It says so.")
    asked = record.changes[-1]
    first = Notification(record.state, (), LATER + shift, change=asked)
    known = replace(record, filed=Filed("7", record.state, change=asked), notifications=(first,))
    confirmed = replace(known, evidence_check=check)
    again = replace(first, confirmed_at=LATER)
    informed = replace(confirmed, notifications=(first, again), filed=replace(confirmed.filed, confirmed_at=LATER))  # type: ignore[type-var]

    assert (unnotified(known), unfiled(known)) == (False, False)
    assert unfiled(confirmed)
    assert unnotified(replace(confirmed, notifications=(replace(first, to=("a@contoso.com",)),)))
    assert not unfiled(informed)
