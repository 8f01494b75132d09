"""What keeps a record open: verification, alerts of other tools, lockdowns, and outstanding steps."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.execution import LockedDown, Outcome, Verification
from shared.domain.named_alerts import NamedAlerts
from shared.domain.pending_steps import closable, open_alerts, outstanding, with_verification
from shared.domain.revocation import ClosedAlert, Filed, Notification, Revocation, Sighting
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=5)


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


def test_record_in_a_shared_incident_is_not_closable() -> None:
    record = all_notified(samples.revocation(execution=samples.execution()).reach(State.PROVEN, now=NOW, detail=""))

    assert closable(record)
    assert not closable(replace(record, filed=Filed("aa" * 32, State.PROVEN, shared=True)))


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


def test_alert_beyond_the_first_reports_is_closed_and_does_not_hold_up_the_record() -> None:
    record = done(execution=samples.execution(), named_alerts=NamedAlerts((samples.ALERT,)))

    assert open_alerts(record) == (samples.ALERT,)
    assert closable(record)
    assert outstanding(all_notified(replace(record, state=State.CLOSED)), now=NOW)


# what blocks a leak


BLOCK = replace(samples.execution(), action=ActionKind.SAS_EXPIRATION_BLOCK, target="7.00:00:00")
BLOCKING = LockedDown("7.00:00:00", NOW, "{}", "{}", action=ActionKind.SAS_EXPIRATION_BLOCK)


def blocked(**changed: Any) -> Revocation:
    return samples.revocation(state=State.CONTAINED, execution=BLOCK, lockdown=BLOCKING, **changed)


def test_verified_block_is_contained_in_effect_and_waits_for_nothing() -> None:
    verified = with_verification(blocked(), Verification(Outcome.IN_EFFECT, LATER, ("seen",)))

    assert verified is not None
    assert (verified.state, verified.reason) == (State.CONTAINED, Reason.IN_EFFECT)
    assert not closable(verified)
    assert with_verification(verified, Verification(Outcome.STILL_ALIVE, LATER, ("seen",))) is None


def test_block_that_is_not_enforced_has_its_leak_decided_on_anew_without_it() -> None:
    known = blocked(key_name="key2", key_sha256=samples.SIGNER.key_sha256)

    again = with_verification(known, Verification(Outcome.NOT_ENFORCED, LATER, ("late",)))

    assert again is not None
    assert (again.state, again.execution) == (State.RECEIVED, None)
    assert again.ineffective is ActionKind.SAS_EXPIRATION_BLOCK


def test_order_of_a_block_that_is_not_enforced_has_failed() -> None:
    order = samples.ordered(ActionKind.SAS_EXPIRATION_BLOCK, "7.00:00:00")

    failed = with_verification(blocked(finding=order), Verification(Outcome.NOT_ENFORCED, LATER, ("late",)))

    assert failed is not None
    assert (failed.state, failed.reason) == (State.FAILED, Reason.STILL_ALIVE)


def test_sas_policy_may_stay_once_the_leak_is_revoked() -> None:
    assert closable(done(lockdown=BLOCKING))
