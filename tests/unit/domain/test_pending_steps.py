"""What is due about a record: once for each state and reason, and again only for news."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.alert import AlertReference, AlertSource
from shared.domain.approval import EvidenceCheck, EvidenceOutcome, ReadAlert
from shared.domain.execution import Liveness
from shared.domain.pending_steps import (
    confirmed,
    incident_due,
    left_incident,
    mail_due_in,
    mailed_at_once,
    needs_evidence_check,
    outstanding,
    reported_again,
    shares_incident,
    unannounced,
    unfiled,
    unnotified,
    unread_alerts,
)
from shared.domain.revocation import Filed, Notification, Revocation, Sighting, StepLease
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.step_leases import without_lease
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=5)
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


def read_as(outcome: EvidenceOutcome, *alerts: AlertReference, at: datetime = NOW) -> EvidenceCheck:
    return EvidenceCheck(outcome, at, "It says so.", tuple(ReadAlert(alert, outcome) for alert in alerts))


def named(*names: str) -> tuple[AlertReference, ...]:
    return tuple(AlertReference(AlertSource.DEFENDER, "", name) for name in names)


def sighted(record: Revocation, *alerts: AlertReference) -> Revocation:
    return replace(record, sightings=tuple(Sighting("defender", None, NOW, alert) for alert in alerts))


def test_each_alert_that_reports_name_is_read_until_one_confirms_the_evidence() -> None:
    first, second, third = named("dc1", "dc2", "dc3")
    record = sighted(asked_about_evidence(), second, third)
    differs = replace(record, evidence_check=read_as(EvidenceOutcome.DIFFERS, first, third))
    confirmed = replace(record, evidence_check=read_as(EvidenceOutcome.CONFIRMED, second))

    assert [unread_alerts(one) for one in (record, differs, confirmed)] == [(first, second, third), (second,), ()]
    assert [needs_evidence_check(one) for one in (record, differs, confirmed)] == [True, True, False]
    assert outstanding(differs, now=NOW)


def test_people_do_not_wait_for_alerts_that_are_named_after_the_first_check() -> None:
    record = sighted(asked_about_evidence(), *named("dc2"))
    checked = replace(record, evidence_check=read_as(EvidenceOutcome.DIFFERS, *named("dc1")))

    assert (needs_evidence_check(checked), incident_due(checked), mail_due_in(checked, now=NOW)) == (True, True, 0.0)


@pytest.mark.parametrize("outcome", EvidenceOutcome)
@pytest.mark.parametrize("to", [(), ("security@contoso.com",)])
def test_people_are_asked_again_where_an_alert_confirms_the_evidence_and_nowhere_else(
    outcome: EvidenceOutcome, to: tuple[str, ...]
) -> None:
    asked = replace(
        asked_about_evidence(),
        filed=Filed("7", State.AWAITING_APPROVAL),
        notifications=(Notification(State.AWAITING_APPROVAL, to, NOW),),
    )
    known = replace(asked, evidence_check=read_as(outcome, *named("dc1"), at=LATER))
    is_news = outcome is EvidenceOutcome.CONFIRMED
    informed = replace(
        known,
        notifications=(*asked.notifications, Notification(State.AWAITING_APPROVAL, ("security@contoso.com",), LATER)),
    )

    assert (unnotified(known), unfiled(known)) == (is_news, is_news)
    assert (unnotified(informed), unfiled(informed)) == (False, False)


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
