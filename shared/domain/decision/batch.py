"""What is decided for one account at once: the actions to run, in order, and the verdicts on the leaks that wait.

Pure. The snapshot is read once; `containment.service` runs its actions: each that was run, refused or
postponed gives the batch that is left. Keys come first, since a regenerated key revokes everything that it signed.
After one action only stored access policies may follow under the same lock, and nothing follows a regenerated key:
the keys in the snapshot are no longer the account's.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.decision import outcomes
from shared.domain.decision.evaluation import Evaluation, Known, evaluate
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Plan
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Revocation
from shared.domain.states import OF_THE_PATH, State
from shared.domain.target import ActionKind
from shared.errors import Blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides by the deployment's policy. `retired` are the keys that this process regenerated lately."""

    policy: DecisionPolicy
    retired: RetiredKeys

    def decide(self, snapshot: Snapshot, own: Revocation, *, now: datetime) -> "Batch":
        """Return what to do about all leaks that wait for the account."""
        leaks = tuple(self.evaluate(finding, snapshot, own, now=now) for finding in snapshot.waiting)
        return Batch(self, snapshot, own, leaks)

    def preview(self, snapshot: Snapshot, own: Revocation, *, now: datetime) -> Revocation:
        """Return what `own` would come to: a dry run."""
        leak = self.evaluate(snapshot.waiting[0], snapshot, own, now=now)
        record = outcomes.with_verdict(own, leak, snapshot)
        if leak.acts and leak.verdict.reason is None:
            return record.reach(State.OBSERVED, now=now, detail=f"Would act without asking: {record.decided_by}.")
        return Batch(self, snapshot, own).verdict(leak, own, now=now) or record

    def ends(self, leak: Evaluation, plan: Plan) -> bool:
        """Whether `leak` is revoked once `plan` was executed."""
        return outcomes.ends_with(leak, plan, self.policy.actions)

    def evaluate(self, finding: Finding, snapshot: Snapshot, own: Revocation, *, now: datetime) -> Evaluation:
        """Return the verdict on a leak and its plan. Of `own` its record is known; of the others what waits alone."""
        is_own = finding.fingerprint == own.fingerprint
        return evaluate(
            finding,
            snapshot,
            known=Known(own.approvals, own.liveness, own.signer, own.ineffective) if is_own else Known(),
            retired=self.retired,
            policy=self.policy,
            now=now,
        )


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One containment action. It is run for `leak`; `ends` are all the leaks that it revokes, `leak` first."""

    plan: Plan
    leak: Evaluation
    ends: tuple[Evaluation, ...]

    @property
    def may_cover_late(self) -> bool:
        """Whether it revokes leaks that came while it was run.

        A user delegation SAS that came so late may be of a key from after the revocation: it has a batch of its own.
        """
        return self.plan.action is not ActionKind.DELEGATION_KEY


@dataclass(frozen=True, slots=True)
class Batch:
    """What is left to do for an account. `own` is the record that its lock was acquired for.

    `last` is the plan that was run last, or that Azure refused; `regenerated` the one that regenerated a key.
    """

    decider: Decider
    snapshot: Snapshot
    own: Revocation
    leaks: tuple[Evaluation, ...] = ()
    last: Plan | None = None
    regenerated: Plan | None = None

    def next_action(self) -> PlannedAction | None:
        """Return the action to run next, None where no other may be run under this lock."""
        acting = [leak for leak in self.leaks if leak.acts and leak.verdict.reason is None and self._may_run(leak)]
        leak = min(acting, key=lambda one: not _regenerates(one.plan), default=None)
        if leak is None or leak.plan is None:
            return None
        plan = leak.plan
        others = (one for one in self.leaks if one is not leak and self.decider.ends(one, plan))
        return PlannedAction(plan, leak, (leak, *others))

    def _may_run(self, leak: Evaluation) -> bool:
        if self.last is None:
            return True
        return self.regenerated is None and leak.plan is not None and leak.plan.action is ActionKind.STORED_POLICY

    def covers(self, action: PlannedAction, late: Iterable[Finding], *, now: datetime) -> tuple[Evaluation, ...]:
        """Return the leaks that ended with the one that `action` was run for, also of those that came `late`."""
        evaluated = (self.decider.evaluate(finding, self.snapshot, self.own, now=now) for finding in late)
        return (
            *action.ends[1:],
            *(leak for leak in evaluated if self.decider.ends(leak, action.plan)),
        )

    def is_about_own(self, leaks: Iterable[Evaluation]) -> bool:
        """Whether the leak that the lock was acquired for is among `leaks`."""
        return any(leak.finding.fingerprint == self.own.fingerprint for leak in leaks)

    def without(self, leaks: Collection[Evaluation]) -> "Batch":
        """Return the batch without some leaks: they were decided on, or wait for a batch of their own."""
        return replace(self, leaks=tuple(leak for leak in self.leaks if leak not in leaks))

    def executed(self, action: PlannedAction) -> "Batch":
        """Return what is left once `action` was run: all that it revokes is decided."""
        return replace(
            self.without(action.ends),
            last=action.plan,
            regenerated=action.plan if _regenerates(action.plan) else self.regenerated,
        )

    def refused(self, action: PlannedAction) -> tuple["Batch", tuple[Evaluation, ...]]:
        """Return what is left where Azure refused `action`, and the leaks that asked for it."""
        asking = tuple(leak for leak in self.leaks if leak.acts and outcomes.same_target(leak.plan, action.plan))
        return replace(self.without(asking), last=action.plan), asking

    def verdict(self, leak: Evaluation, record: Revocation, *, now: datetime) -> Revocation | None:
        """Return the record of a leak for which nothing was run, None where its own batch is still to come.

        So it is for one that was reported with a path that this batch did not know.
        """
        if record.fingerprint != self.own.fingerprint and outcomes.has_its_own_turn(leak, record):
            return None
        if leak.verdict.reason in OF_THE_PATH and not record.weighed(leak.finding):
            return None
        if leak.found is not None:
            return self.contained(leak, record, leak.found, now=now)
        known = outcomes.with_verdict(record, leak, self.snapshot)
        return outcomes.decided(known, leak, executed=self.regenerated, policy=self.decider.policy, now=now)

    def contained(self, leak: Evaluation, record: Revocation, execution: Execution, *, now: datetime) -> Revocation:
        """Return the record of the leak that an action was run for, by us or by somebody else."""
        known = outcomes.with_verdict(record, leak, self.snapshot)
        return outcomes.of_execution(
            known, execution, self.snapshot.account, actions=self.decider.policy.actions, now=now
        )

    def covered(self, leak: Evaluation, record: Revocation, execution: Execution, *, now: datetime) -> Revocation:
        """Return the record of a leak that an action for another one has revoked."""
        known = outcomes.with_verdict(record, leak, self.snapshot)
        return outcomes.of_covered(
            known, execution, self.snapshot.account, actions=self.decider.policy.actions, now=now
        )

    def blocked(self, leak: Evaluation, record: Revocation, why: Blocked, *, now: datetime) -> Revocation:
        """Return the record of a leak whose action Azure refused: it is tried again later."""
        return outcomes.with_verdict(record, leak, self.snapshot).blocked(why, now=now)


def _regenerates(plan: Plan | None) -> bool:
    return plan is not None and plan.action is ActionKind.ACCOUNT_KEY
