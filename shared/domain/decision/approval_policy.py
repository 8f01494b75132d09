"""Who decides: the mode, a person's approval, the limits, and the rule table (design decision 3). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import MODE_TAG, tag_in
from shared.domain.approval import Approval, AtDeadline
from shared.domain.decision.people import Quorum
from shared.domain.decision.policy import DecisionPolicy, Mode
from shared.domain.decision.rules import Rule, RuleOutcome
from shared.domain.decision.snapshot import PastExecution
from shared.domain.execution import Plan
from shared.domain.target import CUTS_OFF_MANY, ActionKind

_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done without a person, and the English clause that says why."""

    outcome: RuleOutcome
    why: str
    only_person: bool = False  # no deadline may decide in a person's place
    first: Approval | None = None  # of this plan, by a person: it counts, and is not enough


def decide(
    plan: Plan,
    ground: Rule | str,
    *,
    tags: Mapping[str, str],
    executions: Iterable[PastExecution],
    approvals: Sequence[Approval],
    quorum: Quorum,
    policy: DecisionPolicy,
    now: datetime,
) -> Decision:
    """Return who decides on `plan`.

    `ground` is the rule that applies, or why no rule may decide. `executions` are ours of this account, `approvals`
    are of this very leak, and `quorum` says how many it takes; `tags` were read from Azure Resource Manager just now.
    Nothing overrides the mode observe; people's approval overrides everything else, the deadline's everything but the
    limits.
    """
    mode, from_where = effective_mode(tags, policy)
    in_mode = f"(mode {mode}: {from_where})"
    if mode is Mode.OBSERVE:
        return Decision(RuleOutcome.OBSERVE, f"the mode is observe ({from_where}): Sasquash changes nothing")
    by_people = _by_people(plan, ground, approvals, quorum, in_mode)
    if by_people is not None:
        return by_people
    if isinstance(ground, str):
        return _ask_person(f"{ground} {in_mode}")
    limit = _limit(plan, executions, policy, now)
    if limit is not None:
        return _ask_person(f"{limit} {in_mode}")
    if approvals and policy.at_deadline is AtDeadline.REVOKE:  # by the deadline, and the setting still allows that
        return Decision(RuleOutcome.ACT, f"approved by {approvals[-1].who}")
    if mode is Mode.APPROVE:
        return Decision(RuleOutcome.ASK, f"the mode is approve ({from_where}): every plan requires approval")
    return Decision(ground.then, f"rule {ground.name}: {ground.why} {in_mode}")


def _by_people(
    plan: Plan, ground: Rule | str, approvals: Sequence[Approval], quorum: Quorum, in_mode: str
) -> Decision | None:
    """Return what people's approvals decide; None where they decide nothing, and where the limits and rules may."""
    stale = next((one for one in approvals if one.digest != plan.digest), None)
    if stale is not None:
        return _ask_person(f"the plan has changed since {stale.who} approved it {in_mode}")
    if quorum.is_met_by(approvals):
        return Decision(RuleOutcome.ACT, f"approved by {' and '.join(one.who for one in approvals)}")
    if not quorum.is_order:
        return None
    why = ground if isinstance(ground, str) else "no leaked credential was proven"
    return replace(_ask_person(f"{why} {in_mode}"), first=next(filter(quorum.counts, approvals), None))


def _ask_person(why: str) -> Decision:
    return Decision(RuleOutcome.ASK, why, only_person=True)


def at_deadline(plan: Plan, decision: Decision, *, proven: bool, policy: DecisionPolicy) -> AtDeadline:
    """Return what happens to `plan` if nobody decides in time.

    `proven`: signature verification has shown which key signed the leak. Only the smallest actions may run without a
    person's decision.
    """
    may = proven and policy.actions[plan.action].may_run_at_deadline and not decision.only_person
    return policy.at_deadline if may else AtDeadline.ESCALATE


def effective_mode(tags: Mapping[str, str], policy: DecisionPolicy) -> tuple[Mode, str]:
    """Return the mode for an account, and where it comes from. The tag counts only as far as the settings allow."""
    wanted = tag_in(tags, MODE_TAG)
    if wanted is None:
        return policy.mode, "SASQUASH_MODE"
    allowed = next((mode for mode in policy.tag_modes if mode.value == wanted.lower()), None)
    if allowed is None:
        return (
            policy.mode,
            f"SASQUASH_MODE; the account's tag {MODE_TAG} asks for a mode that SASQUASH_TAG_MODES forbids",
        )
    return allowed, f"the account's tag {MODE_TAG}"


def _limit(plan: Plan, executions: Iterable[PastExecution], policy: DecisionPolicy, now: datetime) -> str | None:
    """Return the limit that requires approval. Other actions cut off few consumers, or can be undone."""
    if plan.action not in CUTS_OFF_MANY:
        return None
    lately = [
        execution for execution in executions if execution.action in CUTS_OFF_MANY and now - execution.at < _DAY
    ]
    if plan.action is ActionKind.ACCOUNT_KEY and any(
        execution.action is ActionKind.ACCOUNT_KEY and execution.target != plan.target for execution in lately
    ):
        return "the account's other key was rotated within 24 hours: a second rotation could cut off every client"
    if len(lately) >= policy.rotations_a_day:
        return (
            f"the account's keys were rotated or revoked {len(lately)} times within 24 hours, and "
            f"SASQUASH_ROTATIONS_A_DAY is {policy.rotations_a_day}: the reports may be an attack"
        )
    return None
