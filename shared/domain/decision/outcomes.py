"""What a record becomes once its leak was weighed, and what ends together with what was pulled. Pure."""

from dataclasses import replace
from datetime import datetime

from shared.domain.account import AccountFacts
from shared.domain.action_text import done
from shared.domain.decision.approval_policy import Decision, at_deadline
from shared.domain.decision.evaluation import Evaluation, Snapshot, policy_of
from shared.domain.decision.rules import RuleOutcome
from shared.domain.revocation import Execution, Plan, Reason, Revocation, State
from shared.domain.target import ActionKind
from shared.settings import Settings

_SECOND_KEY = "the account's other key has just been rotated: a second rotation could cut off every client"


def with_verdict(record: Revocation, one: Evaluation, snapshot: Snapshot) -> Revocation:
    """Return the record with what was found out about its leak."""
    return replace(
        record,
        account=snapshot.account,
        policy=snapshot.policies.get(str(policy_of(one.finding, snapshot))),
        attributed_at=snapshot.at if one.verdict.key_name is not None else None,
        key_name=one.verdict.key_name,
        key_sha256=one.verdict.key_sha256,
        plan=one.plan,
        decided_by=one.decision.why if one.decision is not None else "",
    )


def decided(
    record: Revocation, one: Evaluation, *, executed: Plan | None, settings: Settings, now: datetime
) -> Revocation | None:
    """Return the record in the state that its decision makes of it, None where its own turn is still to come.

    `pulled` is the plan that was carried out meanwhile for another leak of the account.
    """
    if one.verdict.reason is not None:
        if executed is not None and one.verdict.reason is Reason.POLICY_GONE and one.acts:
            return None  # its tombstone takes a turn with the lock
        # The plan is the tombstone that may be left for a policy that is gone.
        ended = record.end(one.verdict.reason, now=now, detail=one.verdict.detail)
        return replace(ended, plan=one.plan if one.acts else None)
    if one.decision is None or one.plan is None:
        return None
    if one.decision.outcome is RuleOutcome.OBSERVE:
        return record.reach(State.OBSERVED, now=now, detail=f"Would have acted: {one.plan.reason}")
    decision = one.decision
    if decision.outcome is RuleOutcome.ACT:
        if executed is None or {executed.action, one.plan.action} != {ActionKind.ACCOUNT_KEY}:
            return None  # the lever of another leak came first, or failed
        decision = Decision(RuleOutcome.ASK, _SECOND_KEY, only_person=True)
    waiting = record.reach(State.AWAITING_APPROVAL, now=now, detail=f"A person decides, because {decision.why}.")
    proven = one.verdict.key_name is not None and one.finding.order is None
    return replace(
        waiting,
        deadline=now + settings.approval_time,
        at_deadline=at_deadline(one.plan, decision, proven=proven, settings=settings),
        decided_by=decision.why,
        approval=None,
    )


def of_execution(record: Revocation, execution: Execution, account: AccountFacts, *, now: datetime) -> Revocation:
    """Return the record whose lever was pulled."""
    lost = "Its answer was lost; what is there now shows that it happened."
    settled = (lost,) if execution.confirmed_by == "listing" else ()
    detail = " ".join((done(execution, account.name), *settled, *execution.notes))
    return replace(record, execution=execution).reach(State.CONTAINED, now=now, detail=detail)


def of_covered(record: Revocation, execution: Execution, account: AccountFacts, *, now: datetime) -> Revocation:
    """Return the record of a leak that was known to hang on what was pulled for another."""
    what = done(execution, account.name).removesuffix(".")
    return record.end(Reason.COVERED, now=now, detail=f"{what}, for another leak. This one ended with it.")


def ends_with(one: Evaluation, plan: Plan) -> bool:
    """Whether what `one` is about is dead once `plan`'s lever was pulled."""
    match plan.action:
        case ActionKind.ACCOUNT_KEY:  # whatever the key signed, under a stored access policy or not
            return (one.verdict.key_name, one.verdict.key_sha256) == (plan.target, plan.version)
        case ActionKind.STORED_POLICY:
            return one.verdict.reason is None and same_target(one.plan, plan)
        case ActionKind.DELEGATION_KEY:  # what was reported before they were revoked had been signed before
            return one.verdict.action is ActionKind.DELEGATION_KEY
        case ActionKind.LOCKDOWN:  # it revokes nothing
            return False


def same_target(one: Plan | None, other: Plan) -> bool:
    """Whether two plans pull the same lever on the same target."""
    return one is not None and (one.action, one.target) == (other.action, other.target)


def has_its_own_turn(one: Evaluation, record: Revocation) -> bool:
    """Whether its own record, or whoever received it, knows more about it than was read for all that waits."""
    return record.approval is not None or one.verdict.action is ActionKind.DELEGATION_KEY
