"""What a person's act makes of a record, and which records it may be done to."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain import transitions
from shared.domain.approval import Approval, AtDeadline, Rejection
from shared.domain.caller import Caller
from shared.domain.execution import LockedDown
from shared.domain.finding import Finding, Order
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.errors import NotAPerson, NotPermitted, WrongState
from tests.support import other_services, samples
from tests.support.samples import NOW

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)
EVE = Caller("eve@contoso.com", "00000000-0000-4000-8000-00000000000e", is_person=True)
LOCKED = LockedDown(Lockdown.SHARED_KEY, NOW, '{"allowSharedKeyAccess":true}', '{"allowSharedKeyAccess":false}')
LATER = NOW + timedelta(minutes=5)


def approval(by: Caller = BOB, **changed: object) -> Approval:
    return replace(Approval(by, LATER, samples.plan().digest, "It is ours."), **changed)  # type: ignore[arg-type]


def awaiting(*, reported_by: Caller | None = None) -> Revocation:
    found = replace(samples.finding(), reported_by=reported_by)
    record = samples.revocation(
        finding=found, key_name="key2", plan=samples.plan(), deadline=NOW + timedelta(hours=4)
    )
    return record.reach(State.AWAITING_APPROVAL, now=NOW, detail="A person decides.")


def order(*, reported_by: Caller = ADA) -> Finding:
    wanted = Order(samples.ACCOUNT, ActionKind.ACCOUNT_KEY, "key2")
    return Finding("0" * 64, None, "responder", None, NOW, order=wanted, reported_by=reported_by)


def in_state(state: State, **changed: object) -> Revocation:
    return replace(samples.revocation().reach(state, now=NOW, detail="So it is."), **changed)  # type: ignore[arg-type]


# --- approve


@pytest.mark.parametrize("reporter", [None, ADA])
def test_approved_plan_goes_on_with_the_approval_in_its_record(reporter: Caller | None) -> None:
    record = transitions.approved(awaiting(reported_by=reporter), approval(), second_person=True)
    assert (record.state, record.approval) == (State.RECEIVED, approval())
    assert (record.changes[-1].at, record.plan) == (LATER, samples.plan())
    assert str(BOB) in record.detail


@pytest.mark.parametrize("state", sorted(set(State) - {State.AWAITING_APPROVAL}))
def test_only_what_awaits_approval_is_approved(state: State) -> None:
    with pytest.raises(WrongState, match=state):
        transitions.approved(in_state(state, plan=samples.plan()), approval(), second_person=True)


def test_plan_that_changed_is_not_approved_by_its_old_digest() -> None:
    with pytest.raises(WrongState, match="The plan has changed"):
        transitions.approved(awaiting(), approval(digest="e" * 64), second_person=True)


@pytest.mark.parametrize(("late", "possible"), [(timedelta(0), True), (timedelta(microseconds=1), False)])
def test_deadline_ends_the_time_to_approve(late: timedelta, possible: bool) -> None:
    record = awaiting()
    assert record.deadline is not None
    given = approval(at=record.deadline + late)
    if possible:
        assert transitions.approved(record, given, second_person=True).state is State.RECEIVED
    else:
        with pytest.raises(WrongState, match="Retry"):
            transitions.approved(record, given, second_person=True)


def test_reporter_under_another_name_is_the_same_person() -> None:
    with pytest.raises(NotPermitted, match="second person"):
        transitions.approved(awaiting(reported_by=ADA), approval(replace(ADA, name="Ada L.")), second_person=True)


def test_reporter_s_namesake_is_a_second_person() -> None:
    namesake = replace(ADA, object_id=BOB.object_id)
    record = transitions.approved(awaiting(reported_by=ADA), approval(namesake), second_person=True)
    assert record.state is State.RECEIVED


def test_reporter_may_approve_where_the_settings_take_one_person() -> None:
    assert transitions.approved(awaiting(reported_by=ADA), approval(ADA), second_person=False).state is State.RECEIVED


def test_order_takes_two_people_whatever_the_settings_say() -> None:
    record = replace(awaiting(), finding=order())
    with pytest.raises(NotPermitted):
        transitions.approved(record, approval(ADA), second_person=False)
    assert transitions.approved(record, approval(BOB), second_person=False).state is State.RECEIVED


# --- two approvers


EVIDENCE = samples.alerted()


def unproven(finding: Finding = EVIDENCE) -> Revocation:
    """The record of an order that no person gave, or of what else `finding` is, without a proven credential."""
    return replace(awaiting(), finding=finding, key_name=None)


def approved(record: Revocation, by: Caller, **changed: object) -> Revocation:
    return transitions.approved(record, approval(by, **changed), second_person=False)


def test_order_that_no_person_gave_waits_for_a_second_approver() -> None:
    record = approved(unproven(), BOB)
    assert (record.state, record.first_approval, record.approval) == (State.AWAITING_APPROVAL, approval(), None)
    assert (record.changes[-1].at, record.deadline) == (LATER, unproven().deadline)  # no more time than before
    assert record.detail.endswith(
        "1 of 2 approvals is there: another person with the role Sasquash.Approver has to approve, too."
    )


def test_two_approvers_are_enough() -> None:
    record = approved(approved(unproven(), BOB), EVE)
    assert (record.state, record.approvals) == (State.RECEIVED, (approval(), approval(EVE)))


@pytest.mark.parametrize("again", [BOB, replace(BOB, name="Robert")], ids=["same", "under another name"])
def test_same_person_twice_is_one_person(again: Caller) -> None:
    with pytest.raises(NotPermitted, match="second approval has to come from another person"):
        approved(approved(unproven(), BOB), again)


def test_second_approval_of_another_plan_is_refused() -> None:
    with pytest.raises(WrongState, match="The plan has changed"):
        approved(approved(unproven(), BOB), EVE, digest="e" * 64)


def test_delegation_sas_that_azure_has_not_accepted_is_an_order() -> None:
    finding = samples.finding(samples.delegation_sas())
    assert approved(unproven(finding), BOB).state is State.AWAITING_APPROVAL
    assert approved(replace(unproven(finding), liveness=samples.liveness()), BOB).state is State.RECEIVED


def test_person_who_reported_what_is_not_proven_can_not_approve_it_whatever_the_settings_say() -> None:
    record = unproven(replace(samples.finding(samples.delegation_sas()), reported_by=ADA))
    with pytest.raises(NotPermitted):
        approved(record, ADA)
    assert approved(record, BOB).state is State.RECEIVED


def test_caller_of_the_intake_can_not_approve_what_they_submitted() -> None:
    record = unproven(replace(EVIDENCE, submitted_by=BOB.object_id))
    with pytest.raises(NotPermitted):
        approved(record, BOB)
    proven = replace(awaiting(), finding=replace(samples.finding(), submitted_by=BOB.object_id))
    with pytest.raises(NotPermitted):
        transitions.approved(proven, approval(BOB), second_person=True)


@pytest.mark.parametrize("record", [awaiting(), unproven(), unproven(order())], ids=["leak", "evidence", "order"])
def test_application_approves_nothing(record: Revocation) -> None:
    with pytest.raises(NotAPerson, match="Sign in as a user"):
        approved(record, replace(BOB, is_person=False))


def test_order_of_an_application_takes_two_approvers() -> None:
    record = approved(unproven(order(reported_by=replace(ADA, is_person=False))), BOB)
    assert record.state is State.AWAITING_APPROVAL
    assert approved(record, EVE).state is State.RECEIVED


# --- reject


def no(by: Caller = BOB, reason: str = "A test account.") -> Rejection:
    return Rejection(by, LATER, reason)


def small() -> Revocation:
    """A leak that one person may reject."""
    return replace(awaiting(), finding=samples.finding(samples.blob_sas()))


@pytest.mark.parametrize("record", [small(), unproven(), unproven(order())], ids=["small", "evidence", "order"])
def test_rejected_plan_is_dismissed_with_the_reason(record: Revocation) -> None:
    after = transitions.rejected(record, no())
    assert (after.state, after.reason) == (State.DISMISSED, Reason.REJECTED)
    assert after.detail == f"Rejected by {BOB}. A test account."


@pytest.mark.parametrize("state", sorted(set(State) - {State.AWAITING_APPROVAL}))
def test_only_what_awaits_approval_is_rejected(state: State) -> None:
    with pytest.raises(WrongState, match=state):
        transitions.rejected(in_state(state), no())


def test_severe_leak_that_works_is_rejected_by_two_people() -> None:
    first = transitions.rejected(awaiting(), no(BOB))
    second = transitions.rejected(first, no(EVE))
    assert (first.state, first.rejections, first.deadline) == (
        State.AWAITING_APPROVAL,
        (no(BOB),),
        awaiting().deadline,
    )
    assert "another person with the role Sasquash.Approver has to reject it, too" in first.detail
    assert (second.state, second.reason, second.rejections) == (
        State.DISMISSED,
        Reason.REJECTED,
        (no(BOB), no(EVE)),
    )
    assert second.detail == f"Rejected by {BOB} and {EVE}. A test account."


def test_same_person_does_not_reject_it_twice() -> None:
    first = transitions.rejected(awaiting(), no(BOB))
    with pytest.raises(NotPermitted, match="already"):
        transitions.rejected(first, no(replace(BOB, name="Robert")))


def test_one_rejection_does_not_keep_a_leak_from_being_approved() -> None:
    first = transitions.rejected(awaiting(), no(BOB))
    assert transitions.approved(first, approval(EVE), second_person=True).state is State.RECEIVED


def test_rejection_ends_the_first_of_two_approvals() -> None:
    assert transitions.rejected(approved(unproven(), BOB), no(EVE)).first_approval is None


def test_application_rejects_nothing() -> None:
    with pytest.raises(NotAPerson):
        transitions.rejected(small(), no(replace(BOB, is_person=False)))


# --- undo a rejection


def undone(record: Revocation, by: Caller = ADA, *, is_approver: bool = True) -> Revocation:
    return transitions.reconsidered(record, by=by, reason="It is real.", now=LATER, is_approver=is_approver)


def rejected() -> Revocation:
    return transitions.rejected(transitions.rejected(awaiting(), no(BOB)), no(EVE))


def test_rejection_is_undone_by_another_approver() -> None:
    record = undone(rejected())
    assert (record.state, record.rejections, record.plan) == (State.RECEIVED, (), None)
    assert record.detail == f"The rejection was undone by {ADA}. It is real."


@pytest.mark.parametrize("by", [BOB, EVE])
def test_nobody_undoes_their_own_rejection(by: Caller) -> None:
    with pytest.raises(NotPermitted, match="another approver"):
        undone(rejected(), by)


def test_undoing_a_rejection_requires_the_role_of_an_approver() -> None:
    with pytest.raises(NotPermitted, match=r"Sasquash\.Approver"):
        undone(rejected(), is_approver=False)
    with pytest.raises(NotAPerson):
        undone(rejected(), replace(ADA, is_person=False))


def test_rejection_of_an_earlier_version_is_undone_by_any_approver() -> None:
    assert undone(replace(rejected(), rejections=()), BOB).state is State.RECEIVED


# --- retry


@pytest.mark.parametrize("state", [State.FAILED, State.UNRESOLVED, State.OBSERVED])
def test_record_without_a_revocation_is_processed_again(state: State) -> None:
    known = in_state(state, plan=samples.plan(), key_name="key2", approval=approval())
    record = transitions.retried(known, by="Bob", reason="The lock is gone.", now=LATER)
    assert (record.state, record.changes[-1].at) == (State.RECEIVED, LATER)
    assert (record.plan, record.key_name, record.approval) == (None, None, None)


@pytest.mark.parametrize("state", sorted(set(State) - {State.FAILED, State.UNRESOLVED, State.OBSERVED}))
def test_what_is_on_its_way_or_over_is_not_retried(state: State) -> None:
    with pytest.raises(WrongState, match=state):
        transitions.retried(in_state(state), by="Bob", reason="", now=LATER)


@pytest.mark.parametrize(("hours", "possible"), [(3, False), (5, True)])
def test_plan_that_nobody_approved_in_time_is_weighed_anew(hours: int, possible: bool) -> None:
    now = NOW + timedelta(hours=hours)
    if possible:
        assert transitions.retried(awaiting(), by="Bob", reason="", now=now).state is State.RECEIVED
    else:
        with pytest.raises(WrongState):
            transitions.retried(awaiting(), by="Bob", reason="", now=now)


def test_retry_does_not_run_an_executed_action_again() -> None:
    with pytest.raises(WrongState, match="already ran"):
        transitions.retried(in_state(State.FAILED, execution=samples.execution()), by="Bob", reason="", now=LATER)


def test_leak_that_an_undone_lockdown_lets_in_again_is_retried() -> None:
    known = replace(
        samples.revocation(execution=samples.execution()).end(Reason.LOCKDOWN_UNDONE, now=NOW, detail=""),
        lockdown=replace(LOCKED, undone_at=NOW),
    )
    assert transitions.retried(known, by="Bob", reason="", now=LATER).state is State.RECEIVED


def test_report_that_could_not_be_read_is_not_retried() -> None:
    unreadable = replace(order(), order=None)
    with pytest.raises(WrongState, match="Send the report again"):
        transitions.retried(in_state(State.UNRESOLVED, finding=unreadable), by="Bob", reason="", now=LATER)


def test_credential_of_another_service_is_not_retried() -> None:
    other = replace(order(), order=None, other=other_services.COSMOS_KEY)
    with pytest.raises(WrongState, match="another Azure service"):
        transitions.retried(in_state(State.UNRESOLVED, finding=other), by="Bob", reason="", now=LATER)


def test_order_that_failed_is_retried() -> None:
    record = transitions.retried(in_state(State.FAILED, finding=order()), by="Bob", reason="", now=LATER)
    assert record.state is State.RECEIVED


# --- undo a lockdown


@pytest.mark.parametrize("state", sorted(set(State) - {State.RECEIVED}))
def test_lockdown_can_be_undone_from_any_state_but_while_it_is_worked_on(state: State) -> None:
    record = in_state(state, lockdown=LOCKED, account=samples.account())
    assert transitions.way_back(record) == (LOCKED, samples.account())


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        (in_state(State.RECEIVED, lockdown=LOCKED, account=samples.account()), "being processed"),
        (in_state(State.PROVEN, account=samples.account()), "no lockdown to undo"),
        (
            in_state(State.PROVEN, lockdown=replace(LOCKED, undone_at=NOW), account=samples.account()),
            "undone at 2026-11-21 10:00 UTC",
        ),
    ],
)
def test_what_is_not_locked_down_is_not_undone(record: Revocation, rule: str) -> None:
    with pytest.raises(WrongState, match=rule):
        transitions.way_back(record)


def test_leak_that_was_only_kept_out_is_open_again() -> None:
    undone = replace(LOCKED, undone_at=LATER)
    record = transitions.unlocked(
        in_state(State.PROVEN, lockdown=LOCKED), undone, by="Bob", reason="Moved.", now=LATER
    )
    assert (record.state, record.reason, record.lockdown) == (State.UNRESOLVED, Reason.LOCKDOWN_UNDONE, undone)


def test_order_ends_with_its_lockdown() -> None:
    record = in_state(State.PROVEN, lockdown=LOCKED, finding=order())
    opened = transitions.unlocked(record, replace(LOCKED, undone_at=LATER), by="Bob", reason="Moved.", now=LATER)
    assert (opened.state, opened.reason) == (State.CLOSED, None)


# A deadline


DUE = NOW + timedelta(hours=4)


@pytest.mark.parametrize(
    ("at_deadline", "state", "reason"),
    [
        (AtDeadline.ESCALATE, State.UNRESOLVED, Reason.UNDECIDED),
        (AtDeadline.REVOKE, State.RECEIVED, None),
    ],
)
def test_plan_past_its_deadline_is_escalated_or_revoked(
    at_deadline: AtDeadline, state: State, reason: Reason | None
) -> None:
    after = transitions.overdue(replace(awaiting(), at_deadline=at_deadline), now=DUE, setting=AtDeadline.REVOKE)

    assert after is not None
    assert (after.state, after.reason) == (state, reason)


@pytest.mark.parametrize("recorded", list(AtDeadline))
def test_plan_past_its_deadline_is_escalated_where_the_setting_says_so_now(recorded: AtDeadline) -> None:
    waiting = replace(awaiting(), at_deadline=recorded)
    after = transitions.overdue(waiting, now=DUE, setting=AtDeadline.ESCALATE)

    assert after is not None
    assert (after.reason, after.at_deadline, after.approval) == (Reason.UNDECIDED, AtDeadline.ESCALATE, None)


@pytest.mark.parametrize(
    ("recorded", "setting", "comes"),
    [
        (AtDeadline.REVOKE, AtDeadline.REVOKE, AtDeadline.REVOKE),
        (AtDeadline.REVOKE, AtDeadline.ESCALATE, AtDeadline.ESCALATE),
        (AtDeadline.ESCALATE, AtDeadline.REVOKE, AtDeadline.ESCALATE),
    ],
)
def test_setting_of_now_counts_only_where_it_is_stricter_than_the_request(
    recorded: AtDeadline, setting: AtDeadline, comes: AtDeadline
) -> None:
    assert transitions.held_to(replace(awaiting(), at_deadline=recorded), setting).at_deadline is comes


def test_record_that_was_revoked_at_its_deadline_goes_on_saying_so() -> None:
    after = transitions.overdue(
        replace(awaiting(), at_deadline=AtDeadline.REVOKE), now=DUE, setting=AtDeadline.REVOKE
    )

    assert after is not None
    assert transitions.held_to(after, AtDeadline.ESCALATE) == after


def test_yes_of_the_deadline_is_nobody_s_and_bound_to_the_plan() -> None:
    after = transitions.overdue(
        replace(awaiting(), at_deadline=AtDeadline.REVOKE), now=DUE, setting=AtDeadline.REVOKE
    )

    assert after is not None
    assert after.approval == Approval(None, DUE, samples.plan().digest, "")


def test_one_of_two_approvals_never_acts_and_is_kept_at_the_deadline() -> None:
    waiting = replace(approved(unproven(), BOB), at_deadline=AtDeadline.ESCALATE)
    after = transitions.overdue(waiting, now=DUE, setting=AtDeadline.REVOKE)

    assert after is not None
    assert (after.reason, after.first_approval) == (Reason.UNDECIDED, approval())
    assert f"{BOB} approved the plan, and a second approver is missing" in after.detail
    assert "Sasquash.Approver" in after.detail


def test_retry_after_the_deadline_keeps_the_first_approval() -> None:
    after = transitions.overdue(approved(unproven(), BOB), now=DUE, setting=AtDeadline.REVOKE)
    assert after is not None
    record = transitions.retried(after, by="Ada", reason="We slept.", now=DUE + timedelta(hours=1))

    assert (record.state, record.first_approval) == (State.RECEIVED, approval())


def test_one_of_two_rejections_is_named_at_the_deadline() -> None:
    after = transitions.overdue(transitions.rejected(awaiting(), no()), now=DUE, setting=AtDeadline.REVOKE)

    assert after is not None
    assert f"{BOB} rejected the plan, and a second approver is missing" in after.detail


def test_nothing_comes_of_a_deadline_before_its_time() -> None:
    assert transitions.overdue(awaiting(), now=DUE - timedelta(seconds=1), setting=AtDeadline.REVOKE) is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.AWAITING_APPROVAL])
def test_nothing_comes_of_a_deadline_once_somebody_has_decided(state: State) -> None:
    assert transitions.overdue(in_state(state, deadline=DUE), now=DUE, setting=AtDeadline.REVOKE) is None
