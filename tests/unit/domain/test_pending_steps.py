"""What is due about a record: once for each state and reason, and again only for news."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.approval import EvidenceCheck, EvidenceOutcome
from shared.domain.execution import Liveness, LockedDown, Outcome, Verification
from shared.domain.named_alerts import NamedAlerts
from shared.domain.pending_steps import (
    closable,
    confirmed,
    incident_due,
    left_incident,
    mail_due_in,
    mailed_at_once,
    needs_evidence_check,
    open_alerts,
    outstanding,
    reported_again,
    shares_incident,
    unannounced,
    unfiled,
    unnotified,
    with_verification,
)
from shared.domain.revocation import ClosedAlert, Filed, Notification, Revocation, Sighting, StepLease
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.persistence.step_leases import without_lease
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=5)
HALF = timedelta(seconds=0.5)
_STATES_WITHOUT_MAIL = (State.RECEIVED, State.CLOSED, State.DISMISSED)


def ended(reason: Reason) -> Revocation:
    return samples.revocation().end(reason, now=NOW, detail="")


def reopened(record: Revocation, reason: Reason) -> Revocation:
    return record.reach(State.RECEIVED, now=LATER, detail="").end(reason, now=LATER, detail="")


def test_every_state_but_the_first_is_announced_in_order() -> None:
    record = samples.revocation().reach(State.CONTAINED, now=NOW, detail="").reach(State.PROVEN, now=LATER, detail="")

    assert [change.state for change in unannounced(record)] == [State.CONTAINED, State.PROVEN]


def test_what_was_announced_is_not_due_again_when_it_comes_back_as_it_was() -> None:
    record = ended(Reason.NO_KEY_MATCHES)
    published = replace(record, announced=record.changes)

    assert unannounced(reopened(published, Reason.NO_KEY_MATCHES)) == []


def test_another_reason_is_news_to_announce_to_file_and_to_tell() -> None:
    record = ended(Reason.NO_KEY_MATCHES)
    known = replace(
        record,
        announced=record.changes,
        filed=Filed("7", State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        notifications=(Notification(State.UNRESOLVED, (), NOW, Reason.NO_KEY_MATCHES),),
    )

    news = reopened(known, Reason.PATH_LOST)

    assert [change.reason for change in unannounced(news)] == [Reason.PATH_LOST]
    assert unfiled(news)
    assert unnotified(news)


def test_same_state_again_is_neither_filed_nor_mailed_again() -> None:
    known = replace(
        ended(Reason.NO_KEY_MATCHES),
        filed=Filed("7", State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        notifications=(Notification(State.UNRESOLVED, (), NOW, Reason.NO_KEY_MATCHES),),
    )

    again = reopened(known, Reason.NO_KEY_MATCHES)

    assert not unfiled(again)
    assert not unnotified(again)


@pytest.mark.parametrize("state", State)
def test_nobody_is_mailed_about_what_needs_nobody(state: State) -> None:
    assert unnotified(samples.revocation(state=state)) is (state not in _STATES_WITHOUT_MAIL)


@pytest.mark.parametrize("state", State)
def test_what_is_dismissed_gets_no_incident(state: State) -> None:
    assert unfiled(samples.revocation(state=state)) is (state not in (State.RECEIVED, State.DISMISSED))


def test_an_incident_that_was_filed_shows_even_a_dismissal() -> None:
    record = replace(ended(Reason.COVERED), filed=Filed("7", State.UNRESOLVED, Reason.NO_KEY_MATCHES))

    assert unfiled(record)


def test_a_claim_is_given_up_and_the_others_stay() -> None:
    mail, incident = StepLease("mail", LATER), StepLease("incident", LATER)

    assert without_lease(samples.revocation(leases=(mail, incident)), "mail").leases == (incident,)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.PROVEN, State.PROVEN),
        (Outcome.ARM_ONLY, State.PROVEN),
        (Outcome.STILL_ALIVE, State.FAILED),
    ],
)
def test_verification_ends_the_wait_and_removes_its_tokens(outcome: Outcome, state: State) -> None:
    record = samples.revocation(state=State.CONTAINED, execution=samples.execution(samples.verification_token()))

    proven = with_verification(record, Verification(outcome, LATER, ("seen",)))

    assert proven is not None
    assert proven.state is state
    assert proven.execution is not None
    assert proven.execution.verification_tokens == ()


def test_what_was_alive_when_it_could_last_be_asked_is_not_proven_by_arm_alone() -> None:
    before = Verification(Outcome.PENDING, NOW, ("ARM: changed.", "blob: accepted."), accepted=True)
    record = samples.revocation(state=State.CONTAINED, execution=samples.execution(), verification=before)

    proven = with_verification(record, Verification(Outcome.ARM_ONLY, LATER, ("ARM: changed.",)))

    assert proven is not None
    assert proven.reason is Reason.STILL_ALIVE


@pytest.mark.parametrize("state", [State.PROVEN, State.CLOSED, State.FAILED])
def test_late_verification_changes_nothing(state: State) -> None:
    record = samples.revocation(state=state, execution=samples.execution())

    assert with_verification(record, Verification(Outcome.PROVEN, LATER, ())) is None


def test_lockdown_is_not_called_a_revocation() -> None:
    locked = replace(samples.execution(), action=ActionKind.LOCKDOWN, target="shared_key")
    record = samples.revocation(state=State.CONTAINED, execution=locked)

    proven = with_verification(record, Verification(Outcome.ARM_ONLY, LATER, ()))

    assert proven is not None
    assert (
        proven.detail
        == "The lockdown is in effect, according to ARM. The leaked credential is blocked, but not revoked."
    )


def asked() -> Revocation:
    """A record whose plan awaits approval, and of whom everybody knows."""
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")
    sent = Notification(State.AWAITING_APPROVAL, (), NOW)
    return replace(record, announced=record.changes, filed=Filed("7", State.AWAITING_APPROVAL), notifications=(sent,))


def test_who_was_asked_once_is_not_asked_again() -> None:
    assert (unannounced(asked()), unfiled(asked()), unnotified(asked())) == ([], False, False)


def test_a_plan_that_changed_after_its_approval_is_asked_of_people_anew() -> None:
    """The digest that they know is void: without word of the new one nobody could approve."""
    approved = asked().reach(State.RECEIVED, now=LATER, detail="")

    anew = approved.reach(State.AWAITING_APPROVAL, now=LATER, detail="")

    assert unannounced(anew) == [anew.changes[-1]]
    assert unfiled(anew)
    assert unnotified(anew)


@pytest.mark.parametrize(
    ("facts", "hear"),
    [
        ({"key_name": "key1"}, True),
        ({"execution": samples.execution()}, True),
        ({"liveness": Liveness(NOW, True, "Accepted.")}, True),
        ({"finding": samples.ordered(ActionKind.ACCOUNT_KEY, "key1")}, True),
        ({"liveness": Liveness(NOW, False, "Refused.")}, False),
        ({"liveness": Liveness(NOW, None, "Not asked.")}, False),
        ({}, False),
    ],
)
def test_owners_hear_only_of_what_is_confirmed(facts: dict[str, Any], hear: bool) -> None:
    assert confirmed(samples.revocation(plan=samples.plan(), **facts)) is hear
    assert not confirmed(samples.revocation(**facts))


def done(**changed: Any) -> Revocation:
    """A record about which nothing is left to do."""
    record = samples.revocation().reach(State.PROVEN, now=NOW, detail="")
    sent = (Notification(State.PROVEN, (), NOW),)
    return replace(
        replace(record, announced=record.changes, filed=Filed("7", State.PROVEN), notifications=sent),
        **changed,
    )


def test_what_has_nothing_open_closes() -> None:
    assert closable(done())


@pytest.mark.parametrize(
    "missing",
    [{"filed": None}, {"notifications": ()}, {"announced": ()}, {"state": State.CONTAINED}, {"state": State.CLOSED}],
)
def test_what_has_something_open_does_not_close(missing: dict[str, Any]) -> None:
    assert not closable(done(**missing))


def test_a_lockdown_stays_open_until_somebody_undoes_it() -> None:
    locked = LockedDown(Lockdown.SHARED_KEY, NOW, "{}", "{}")

    assert not closable(done(lockdown=locked))
    assert closable(done(lockdown=replace(locked, undone_at=LATER)))


def test_a_lockdown_that_was_never_put_on_keeps_nothing_open() -> None:
    assert closable(done(lockdown=LockedDown(Lockdown.NETWORK, NOW, "{}")))


# What is left to do


def all_notified(record: Revocation) -> Revocation:
    return replace(
        record,
        announced=record.changes,
        filed=Filed("7", record.state, record.reason),
        notifications=(Notification(record.state, (), NOW, record.reason),),
    )


@pytest.mark.parametrize("state", [State.RECEIVED, State.CONTAINED])
def test_record_that_waits_for_a_verdict_or_verification_is_outstanding(state: State) -> None:
    assert outstanding(all_notified(samples.revocation().reach(state, now=NOW, detail="")), now=NOW)


@pytest.mark.parametrize("state", [State.OBSERVED, State.UNRESOLVED, State.FAILED, State.CLOSED])
def test_filed_mailed_and_published_record_is_not_outstanding(state: State) -> None:
    assert not outstanding(all_notified(samples.revocation().reach(state, now=NOW, detail="")), now=NOW)


@pytest.mark.parametrize("missing", [{"announced": ()}, {"filed": None}, {"notifications": ()}])
def test_what_lacks_one_of_them_is_outstanding(missing: dict[str, Any]) -> None:
    record = all_notified(samples.revocation().reach(State.FAILED, now=NOW, detail=""))

    assert outstanding(replace(record, **missing), now=NOW)


def test_undistributed_key_is_outstanding() -> None:
    record = all_notified(samples.revocation(execution=samples.execution()).reach(State.CLOSED, now=NOW, detail=""))

    assert outstanding(record, now=NOW)


def test_plan_that_waits_is_outstanding_from_its_deadline_on() -> None:
    waiting = samples.revocation(deadline=LATER).reach(State.AWAITING_APPROVAL, now=NOW, detail="")

    assert [outstanding(all_notified(waiting), now=at) for at in (NOW, LATER)] == [False, True]


# What is worth a mail of its own


@pytest.mark.parametrize(
    "reason",
    [
        *(Reason.NO_KEY_MATCHES, Reason.BLOCKED, Reason.LOOSE, Reason.MALFORMED, Reason.UNDELIVERED),
        *(Reason.UNREAD, Reason.CRASHED),
    ],
)
def test_what_nobody_confirmed_is_left_to_the_digest(reason: Reason) -> None:
    assert not mailed_at_once(ended(reason))


def test_verified_signature_is_mailed_at_once() -> None:
    assert mailed_at_once(replace(ended(Reason.POLICY_EXPIRED), key_name="key1"))


# Alerts of other tools


def with_alerts(**changed: Any) -> Revocation:
    other = Sighting("azure-devops", None, NOW, replace(samples.ALERT, alert="43"))
    finding = replace(samples.finding(), alert=samples.ALERT)
    given = {
        "finding": finding,
        "sightings": (other, Sighting("wiz", None, NOW), other),
        "execution": samples.execution(),
    }
    return done(**(given | changed))


@pytest.mark.parametrize("state", [State.PROVEN, State.CLOSED])
def test_every_alert_about_a_revoked_leak_is_closed_once(state: State) -> None:
    record = with_alerts(state=state)

    assert open_alerts(record) == record.alerts
    assert [alert.alert for alert in record.alerts] == ["42", "43"]


def test_what_is_done_with_is_not_closed_again() -> None:
    assert open_alerts(with_alerts(closed_alerts=(ClosedAlert(samples.ALERT, NOW, "Closed."),)))[0].alert == "43"


@pytest.mark.parametrize("state", [state for state in State if state not in (State.PROVEN, State.CLOSED)])
def test_no_alert_is_closed_before_the_leak_is_verified_revoked(state: State) -> None:
    assert open_alerts(with_alerts(state=state)) == ()


def test_covered_leak_closes_its_alert() -> None:
    covered = replace(with_alerts(execution=None), state=State.DISMISSED, reason=Reason.COVERED)

    assert len(open_alerts(covered)) == 2
    assert outstanding(all_notified(covered), now=NOW)


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.NOT_OURS, Reason.REJECTED, Reason.INVALID])
def test_what_was_dismissed_for_another_reason_leaves_its_alert_to_people(reason: Reason) -> None:
    assert open_alerts(replace(with_alerts(execution=None), state=State.DISMISSED, reason=reason)) == ()


def test_lockdown_closes_no_alert() -> None:
    execution = replace(samples.execution(), action=ActionKind.LOCKDOWN, target="network")

    assert open_alerts(with_alerts(execution=execution)) == ()


def test_a_record_with_an_open_alert_stays_open_and_outstanding() -> None:
    record = with_alerts()

    assert not closable(record)
    assert outstanding(all_notified(replace(record, state=State.CLOSED)), now=NOW)


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


def test_alert_beyond_the_first_reports_is_closed_and_does_not_hold_up_the_record() -> None:
    record = done(execution=samples.execution(), named_alerts=NamedAlerts((samples.ALERT,)))

    assert open_alerts(record) == (samples.ALERT,)
    assert closable(record)
    assert outstanding(all_notified(replace(record, state=State.CLOSED)), now=NOW)


# A rejected leak that is reported again


def test_people_are_notified_once_that_a_rejected_leak_was_reported_again() -> None:
    rejected = samples.revocation(key_name="key2", plan=samples.plan()).end(Reason.REJECTED, now=NOW, detail="")
    again = replace(rejected, reported_again_at=LATER)
    heard = replace(again, notifications=(Notification(State.DISMISSED, (), LATER, Reason.REJECTED),))

    assert (unnotified(rejected), unnotified(again), unnotified(heard)) == (False, True, False)
    assert outstanding(again, now=NOW)
    assert not reported_again(replace(again, reason=Reason.COVERED))


def test_an_earlier_mail_about_the_rejection_is_not_about_the_later_report() -> None:
    rejected = samples.revocation().end(Reason.REJECTED, now=NOW, detail="")
    sent = (Notification(State.DISMISSED, (), NOW, Reason.REJECTED),)

    assert unnotified(replace(rejected, reported_again_at=LATER, notifications=sent))


# Evidence is read again before people are asked


def asked_about_evidence() -> Revocation:
    record = samples.revocation(finding=samples.alerted(), plan=samples.plan())
    return record.reach(State.AWAITING_APPROVAL, now=NOW, detail="")


def test_neither_incident_nor_mail_asks_about_evidence_that_was_not_read_again() -> None:
    record = asked_about_evidence()
    checked = replace(record, evidence_check=EvidenceCheck(EvidenceOutcome.CONFIRMED, NOW, "It says so."))

    assert (needs_evidence_check(record), incident_due(record), mail_due_in(record, now=NOW)) == (True, False, None)
    assert (needs_evidence_check(checked), incident_due(checked), mail_due_in(checked, now=NOW)) == (False, True, 0.0)


@pytest.mark.parametrize("state", [state for state in State if state is not State.AWAITING_APPROVAL])
def test_evidence_is_read_again_only_where_people_are_asked(state: State) -> None:
    assert not needs_evidence_check(replace(asked_about_evidence(), state=state))


def test_a_leak_has_no_evidence_to_read_again() -> None:
    record = samples.revocation(plan=samples.plan()).reach(State.AWAITING_APPROVAL, now=NOW, detail="")

    assert not needs_evidence_check(record)


# What an alert alone says


def test_owners_hear_of_an_alerts_evidence_only_once_a_person_has_acted_on_it() -> None:
    record = samples.revocation(finding=samples.alerted(), plan=samples.plan())

    assert (mailed_at_once(record), confirmed(record)) == (False, False)
    assert confirmed(replace(record, execution=samples.execution()))


# What shares an incident with its kind

SHARED = Filed("aa" * 32, State.UNRESOLVED, Reason.BLOCKED, shared=True)
SUMMARIZED = Notification(State.FAILED, (), NOW, Reason.BLOCKED)


def blocked(**changed: Any) -> Revocation:
    return replace(ended(Reason.BLOCKED), **changed)


def proven_by_signature(record: Revocation) -> Revocation:
    return replace(record, key_name="key1")


@pytest.mark.parametrize(
    ("record", "shares"),
    [
        (blocked(), True),
        (blocked(filed=SHARED), True),
        (blocked(filed=Filed("7", State.OBSERVED)), False),
        (proven_by_signature(blocked()), False),
        (ended(Reason.EXPIRED), False),
        (samples.revocation(finding=samples.alerted(), plan=samples.plan(), state=State.AWAITING_APPROVAL), True),
    ],
)
def test_incident_is_shared_by_what_nobody_confirmed_and_has_none_of_its_own(
    record: Revocation, shares: bool
) -> None:
    assert shares_incident(record) is shares


def test_confirmed_leak_is_filed_alone_although_its_state_is_in_a_shared_incident() -> None:
    filed = replace(SHARED, state=State.FAILED)

    assert [unfiled(each) for each in (blocked(filed=filed), proven_by_signature(blocked(filed=filed)))] == [
        False,
        True,
    ]


def test_confirmed_leak_is_mailed_although_its_state_was_in_a_summary() -> None:
    record = blocked(notifications=(SUMMARIZED,))

    assert [unnotified(each) for each in (record, proven_by_signature(record))] == [False, True]


@pytest.mark.parametrize(
    ("record", "left"),
    [
        (blocked(), False),
        (blocked(filed=replace(SHARED, state=State.FAILED)), False),
        (blocked(filed=SHARED), True),
        (proven_by_signature(blocked(filed=replace(SHARED, state=State.FAILED))), True),
        (replace(ended(Reason.REJECTED), filed=SHARED), True),
        (blocked(filed=Filed("7", State.OBSERVED)), False),
    ],
)
def test_shared_incident_is_left_by_what_is_of_another_kind_or_confirmed(record: Revocation, left: bool) -> None:
    assert left_incident(record) is left


def test_record_in_a_shared_incident_is_not_closable() -> None:
    record = all_notified(samples.revocation(execution=samples.execution()).reach(State.PROVEN, now=NOW, detail=""))

    assert closable(record)
    assert not closable(replace(record, filed=Filed("aa" * 32, State.PROVEN, shared=True)))
