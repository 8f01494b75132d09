"""What a record becomes after its evaluation, and which leaks an execution covers. Pure."""

from dataclasses import replace
from datetime import datetime

from shared.domain.account import AccountFacts, PolicyReading, PolicyState
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.decision.approval_policy import Decision, at_deadline
from shared.domain.decision.evaluation import Evaluation, policy_of
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.decision.rules import RuleOutcome
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Plan
from shared.domain.revocation import Revocation
from shared.domain.signer import Signer
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import Blocked

_MAY_BE_REVOKED = (Reason.NO_KEY_MATCHES, Reason.POLICY_GONE, Reason.POLICY_EXPIRED)
_SECOND_KEY = "the account's other key has just been rotated: a second rotation could cut off every client"


def with_verdict(record: Revocation, one: Evaluation, snapshot: Snapshot) -> Revocation:
    """Return the record with the result of its evaluation, and with the path that verified."""
    policy = snapshot.policies.get(str(policy_of(one.finding, snapshot)))
    return replace(
        _with_path(record, one),
        account=snapshot.account,
        policy=policy,
        signer=_signer(record.signer, one, policy, at=snapshot.at),
        attributed_at=snapshot.at if one.verdict.key_name is not None else None,
        key_name=one.verdict.key_name,
        key_sha256=one.verdict.key_sha256,
        plan=one.plan,
        decided_by=one.decision.why if one.decision is not None else "",
    )


def _signer(before: Signer | None, one: Evaluation, policy: PolicyReading | None, *, at: datetime) -> Signer | None:
    """Return which key is known to have signed the leak. A policy that was in force once stays known."""
    name, sha256 = one.verdict.key_name, one.verdict.key_sha256
    if one.found is not None or name is None or sha256 is None:
        return before
    if policy is not None and policy.state is PolicyState.LIVE:
        return Signer(name, sha256, at, str(policy.target), policy.version)
    if before is not None and before.key_sha256 == sha256:
        return before
    return Signer(name, sha256, at)


def _with_path(record: Revocation, one: Evaluation) -> Revocation:
    known, weighed = record.finding.credential, one.finding.credential
    if known is None or weighed is None:
        return record
    if one.verdict.key_name is not None:
        return record.with_verified(weighed)
    return replace(record, paths=record.paths.tried(known, one.finding.readings))


def decided(
    record: Revocation, one: Evaluation, *, executed: Plan | None, policy: DecisionPolicy, now: datetime
) -> Revocation | None:
    """Return the record in the state that its decision leads to, None where its own batch is still to come.

    `executed` is the plan that was executed meanwhile for another leak of the account.
    """
    if one.verdict.reason is Reason.BLOCKED:
        return record.blocked(Blocked(one.verdict.detail), now=now)
    if one.verdict.reason is not None:
        if executed is not None and one.verdict.reason is Reason.POLICY_GONE and one.acts:
            return None  # its tombstone needs a batch of its own
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
            return None  # another leak's action came first, or failed
        decision = Decision(RuleOutcome.ASK, _SECOND_KEY, only_person=True)
    detail = f"Requires approval, because {decision.why}."
    if decision.first is not None:
        detail = f"{detail} 1 of 2 approvals is there: by {decision.first.who}."
    waiting = record.reach(State.AWAITING_APPROVAL, now=now, detail=detail)
    proven = one.verdict.key_name is not None and one.finding.order is None
    return replace(
        waiting,
        deadline=now + policy.approval_time,
        at_deadline=at_deadline(one.plan, decision, proven=proven, policy=policy),
        decided_by=decision.why,
        first_approval=decision.first,
        approval=None,
        rejections=(),
    )


def of_execution(
    record: Revocation, execution: Execution, account: AccountFacts, *, actions: ActionSpecs, now: datetime
) -> Revocation:
    """Return the record whose plan was executed, or whose leak somebody else has revoked. It is verified next."""
    done = actions[execution.action].happened(execution, account.name)
    lost = "Azure's answer was lost; reading the account back shows that it happened."
    settled = (lost,) if execution.confirmed_by == "listing" else ()
    detail = " ".join((done, *settled, *execution.notes))
    return replace(record, execution=execution).reach(State.CONTAINED, now=now, detail=detail)


def of_covered(
    record: Revocation, execution: Execution, account: AccountFacts, *, actions: ActionSpecs, now: datetime
) -> Revocation:
    """Return the record of a leak that another leak's execution revoked, too."""
    done = actions[execution.action].done(execution.target, account.name).removesuffix(".")
    return record.end(Reason.COVERED, now=now, detail=f"{done}, for another leak, which revoked this one, too.")


def ends_with(one: Evaluation, plan: Plan, actions: ActionSpecs) -> bool:
    """Whether the leak of `one` is revoked once `plan` was executed."""
    return actions[plan.action].ends(plan, one.verdict, one.plan)


def same_target(one: Plan | None, other: Plan) -> bool:
    """Whether two plans are for the same action on the same target."""
    return one is not None and (one.action, one.target) == (other.action, other.target)


def has_its_own_turn(one: Evaluation, record: Revocation) -> bool:
    """Whether a batch of its own knows more about the leak: an approval, Azure's answer to the leaked token, which
    key signed it before, other accounts whose it may be, or an action that did not stop it.
    """
    was_verified = record.signer is not None and one.verdict.reason in _MAY_BE_REVOKED
    may_be_elsewhere = bool(record.elsewhere.waiting) or one.finding.host != record.finding.host
    is_unknown = may_be_elsewhere and one.verdict.reason is not None
    asks = one.verdict.action is ActionKind.DELEGATION_KEY
    return bool(record.approvals) or asks or was_verified or is_unknown or record.ineffective is not None
