"""What is done while an account's lock is held: list, attribute, plan and decide for all that waits, pull once.

Nothing is saved here but the lock's own row, and the way back from a lockdown: the caller writes the records, and
gives the lock back when they stand.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.actions.registry import Actions, signer
from shared.actions.stored_policy import Revived
from shared.cloud.accounts import AccountRef, Accounts
from shared.containment.execution import HeldLock, PlanExecutor
from shared.domain.account import AccountKey, PolicyReading
from shared.domain.decision import outcomes
from shared.domain.decision.approval_policy import PastExecution
from shared.domain.decision.evaluation import Evaluation, Known, Snapshot, evaluate, policy_of
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Execution, Plan, Reason, Revocation, State
from shared.domain.target import ActionKind
from shared.errors import Blocked, SasquashError, TransientFailure, WritesThrottled
from shared.persistence.accounts import COOLDOWN, AccountTable, Rotation
from shared.persistence.revocations import Ledger
from shared.settings import Settings

_log = logging.getLogger(__name__)

_CLOCK_SKEW = timedelta(seconds=30)  # between ARM and us, and never as long as a list lags
_MOST_POLICIES = 16  # read under one lock; the rest of a flood has turns of its own


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A lever that Azure refused to pull, for every leak that it was for."""

    plan: Plan
    error: Blocked


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one turn: the records to save, the one whose lever was pulled first.

    `next` is a record that waits for another stored access policy to be ended: it can be, under the same lock and
    with the `keys` that were listed for this turn.
    """

    records: list[Revocation]
    next: Revocation | None
    keys: Mapping[str, AccountKey] = field(repr=False)


class UnderLock:
    """Decides on every finding that waits for an account, and pulls at most one lever a turn."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        table: AccountTable,
        accounts: Accounts,
        actions: Actions,
        executor: PlanExecutor,
        retired: RetiredKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._actions = actions
        self._executor = executor
        self._retired = retired
        self._clock = clock

    async def decide_and_execute(
        self,
        held: HeldLock,
        ref: AccountRef,
        revocation: Revocation,
        *,
        partitions: tuple[str, ...],
        keys: Mapping[str, AccountKey] | None = None,
    ) -> Turn | None:
        """Return what came of a turn for `revocation` and all that waits; None where others have decided on it.

        `revocation` is not among the records where it needs a turn of its own. `keys` are those of an earlier turn
        under this lock; where none are given, they are listed. Raises TransientFailure (try again), Blocked only when
        the account can't be read at all.
        """
        if keys is None:
            held.listed_at = self._clock()
        snapshot, current = await self._read(ref, revocation, partitions, keys)
        if current is None or current.state is not State.RECEIVED:
            return None  # another worker decided on it while this one waited for the lock
        revocation = current
        evaluated = [self._evaluate(finding, snapshot, revocation) for finding in snapshot.waiting]
        records, left = await self._carried_out(held, snapshot, evaluated, revocation, partitions)
        regenerated = any(r.execution is not None and r.execution.action is ActionKind.ACCOUNT_KEY for r in records)
        following = None if regenerated else await self._next(left, records, revocation)
        return Turn(records, following, snapshot.keys)

    async def _carried_out(
        self,
        held: HeldLock,
        snapshot: Snapshot,
        evaluated: list[Evaluation],
        revocation: Revocation,
        partitions: tuple[str, ...],
    ) -> tuple[list[Revocation], list[Evaluation]]:
        """Pull at most one lever, and return the records with what was left to decide on.

        ARM may take no more changes. Then what waits for that waits on, and holds up nothing else: `revocation` may
        need a person, a policy, or no lever at all.
        """
        while True:
            chosen, record, left = await self._choose(evaluated, revocation)
            plan = chosen.plan if chosen is not None else None
            if chosen is None or plan is None or record is None:
                return await self._buried(snapshot, await self._records(snapshot, left, revocation)), left
            try:
                records = await self._executed(
                    held, snapshot, chosen, record=record, left=left, revocation=revocation, partitions=partitions
                )
            except WritesThrottled:
                waiting = [w for w in left if w is chosen or outcomes.ends_with(w, plan)]
                if any(w.finding.fingerprint == revocation.fingerprint for w in waiting):
                    raise
                evaluated = [w for w in left if w not in waiting]
            else:
                return records, left

    async def _next(
        self, evaluated: list[Evaluation], records: list[Revocation], revocation: Revocation
    ) -> Revocation | None:
        """Return the record whose policy can be ended in the next turn. Each other lever has a lock of its own."""
        decided = {record.fingerprint for record in records}
        for one in evaluated:
            is_policy = one.plan is not None and one.plan.action is ActionKind.STORED_POLICY
            if one.acts and is_policy and one.finding.fingerprint not in decided:
                return await self._current(one.finding, revocation)
        return None

    async def _executed(
        self,
        held: HeldLock,
        snapshot: Snapshot,
        chosen: Evaluation,
        *,
        record: Revocation,
        left: list[Evaluation],
        revocation: Revocation,
        partitions: tuple[str, ...],
    ) -> list[Revocation]:
        """Pull the lever of `chosen`, whose record is `record`, and return what became of all that is `left`."""
        plan = chosen.plan
        if plan is None:
            raise ValueError("only a plan can be pulled")
        ended = [w for w in left if w is chosen or outcomes.ends_with(w, plan)]
        try:
            execution, record = await self._executor.execute(
                held, snapshot, chosen, record, ends=_first(chosen, ended)
            )
        except Blocked as error:
            blocked = _Blocked(plan, error)
            return await self._buried(snapshot, await self._records(snapshot, left, revocation, blocked=blocked))
        late = await self._late(snapshot, partitions, revocation, plan)
        if record.fingerprint == revocation.fingerprint:
            revocation = record
        killed = outcomes.with_verdict(record, chosen, snapshot)
        others = await self._records(
            snapshot, [w for w in (*left, *late) if w is not chosen], revocation, executed=(plan, execution)
        )
        return [outcomes.of_execution(killed, execution, snapshot.account, now=self._clock()), *others]

    async def preview(self, ref: AccountRef, revocation: Revocation, *, partitions: tuple[str, ...]) -> Revocation:
        """Return what `revocation` would come to, without its lock: a dry run. Nothing is changed or saved."""
        snapshot, _ = await self._read(ref, revocation, partitions, None)
        one = self._evaluate(revocation.finding, snapshot, revocation)
        record = outcomes.with_verdict(revocation, one, snapshot)
        if one.acts and one.verdict.reason is None:
            now = self._clock()
            return record.reach(State.OBSERVED, now=now, detail=f"Would act without asking: {record.decided_by}.")
        return self._decided(record, one, None) or record

    async def _late(
        self, snapshot: Snapshot, partitions: tuple[str, ...], revocation: Revocation, plan: Plan
    ) -> list[Evaluation]:
        """Return the findings that came while the lever was being pulled and end with it.

        A user delegation SAS that came so late may be of a key from after the revocation: it has its own turn.
        """
        if plan.action is ActionKind.DELEGATION_KEY:
            return []
        try:
            rows = await self._table.rows(partitions)
        except SasquashError as error:
            _log.warning("What came to %s meanwhile waits for its own turn: %s", snapshot.account.name, error)
            return []
        known = {finding.fingerprint for finding in snapshot.waiting}
        fresh = [f for f in rows.waiting if f.fingerprint not in known and _is_readable(f, snapshot)]
        evaluated = [self._evaluate(finding, snapshot, revocation) for finding in fresh]
        return [w for w in evaluated if outcomes.ends_with(w, plan)]

    async def _read(
        self,
        ref: AccountRef,
        revocation: Revocation,
        partitions: tuple[str, ...],
        listed: Mapping[str, AccountKey] | None,
    ) -> tuple[Snapshot, Revocation | None]:
        """Read all that counts in one round; the record too, which others may have moved on before.

        Keys that were `listed` under this lock before are not listed again.

        Stored access policies take a second round: arithmetic first says whether one is meant at all.
        """
        keys, account, rows, current = await asyncio.gather(
            self._keys(ref, listed),
            self._accounts.facts(ref),
            self._table.rows(partitions),
            self._ledger.read(revocation.fingerprint),
        )
        behind = behind_our_rotation(keys, rows.rotations)
        if behind is not None:
            raise TransientFailure(
                f"ARM lists {behind} of {ref.name} as it was before Sasquash regenerated it: its list lags behind.",
                retry_after=COOLDOWN.total_seconds(),
            )
        others = (waiting for waiting in rows.waiting if waiting.fingerprint != revocation.fingerprint)
        executions = tuple(
            PastExecution(rotation.action, rotation.target, rotation.at) for rotation in rows.rotations
        )
        snapshot = Snapshot(
            account=account, keys=keys, waiting=(revocation.finding, *others), executions=executions, at=self._clock()
        )
        policies = await self._policies(snapshot)
        snapshot = replace(snapshot, policies=policies)
        readable = tuple(f for f in snapshot.waiting if _is_readable(f, snapshot))
        return replace(snapshot, waiting=readable), current

    async def _keys(self, ref: AccountRef, listed: Mapping[str, AccountKey] | None) -> Mapping[str, AccountKey]:
        return listed if listed is not None else await self._actions.account_key.keys(ref)

    async def _policies(self, snapshot: Snapshot) -> dict[str, PolicyReading]:
        """Read the stored access policies that are behind what waits.

        Raises TransientFailure or Blocked for the finding that took the lock; the others then have their own turn.
        """
        targets = {f.fingerprint: policy_of(f, snapshot) for f in snapshot.waiting}
        wanted = list(dict.fromkeys(t for t in targets.values() if t is not None))[:_MOST_POLICIES]
        key = signer(snapshot.keys, None)
        readings = await asyncio.gather(
            *(self._actions.stored_policy.read(snapshot.account, target, key=key) for target in wanted),
            return_exceptions=True,
        )
        own = targets[snapshot.waiting[0].fingerprint]
        found: dict[str, PolicyReading] = {}
        for target, reading in zip(wanted, readings, strict=True):
            if isinstance(reading, PolicyReading):
                found[str(target)] = reading
            elif target == own or not isinstance(reading, SasquashError):
                raise reading
        return found

    async def _choose(
        self, evaluated: list[Evaluation], revocation: Revocation
    ) -> tuple[Evaluation | None, Revocation | None, list[Evaluation]]:
        """Return the first finding that acts with its record, and all that are left to decide on.

        What waits may have been decided by now, or its record not stand yet: nothing is pulled that no record would
        tell of. Keys come first: what else hangs on one ends with it.
        """
        left = list(evaluated)
        acting = [one for one in evaluated if one.acts and one.verdict.reason is None]
        for one in sorted(acting, key=lambda w: w.plan is not None and w.plan.action is not ActionKind.ACCOUNT_KEY):
            record = await self._current(one.finding, revocation)
            if record is not None:
                return one, record, left
            left.remove(one)
        return None, None, left

    def _evaluate(self, finding: Finding, snapshot: Snapshot, revocation: Revocation) -> Evaluation:
        own = finding.fingerprint == revocation.fingerprint
        return evaluate(
            finding,
            snapshot,
            known=Known(revocation.approval, revocation.liveness) if own else Known(),
            retired=self._retired,
            describe=self._actions.describe,
            settings=self._settings,
            now=self._clock(),
        )

    async def _buried(self, snapshot: Snapshot, records: list[Revocation]) -> list[Revocation]:
        """Return the records, those of a policy that is gone with the tombstone that was left for it."""
        return [buried for record in records if (buried := await self._bury(snapshot, record)) is not None]

    async def _bury(self, snapshot: Snapshot, record: Revocation) -> Revocation | None:
        """Return the record with what came of its tombstone; None where its policy is back, to be weighed anew."""
        if record.reason is not Reason.POLICY_GONE or record.plan is None:
            return record
        reading = snapshot.policies[record.plan.target]
        try:
            said = await self._actions.stored_policy.bury(
                reading.target, snapshot.account, reading, key=signer(snapshot.keys, record.key_name)
            )
        except Revived:
            return None
        except SasquashError as error:
            said = f"No tombstone could be left: {error}"
        return replace(record, detail=f"{record.detail} {said}")

    async def _records(
        self,
        snapshot: Snapshot,
        evaluated: list[Evaluation],
        revocation: Revocation,
        *,
        executed: tuple[Plan, Execution] | None = None,
        blocked: _Blocked | None = None,
    ) -> list[Revocation]:
        """Return each finding's record in its new state, but for those that have a turn of their own."""
        now = self._clock()
        currents = await asyncio.gather(*(self._current(one.finding, revocation) for one in evaluated))
        records: list[Revocation | None] = []
        for one, current in zip(evaluated, currents, strict=True):
            if current is None:
                continue
            record = outcomes.with_verdict(current, one, snapshot)
            if executed is not None and outcomes.ends_with(one, executed[0]):
                records.append(outcomes.of_covered(record, executed[1], snapshot.account, now=now))
            elif blocked is not None and one.acts and outcomes.same_target(one.plan, blocked.plan):
                records.append(record.end(Reason.BLOCKED, now=now, detail=str(blocked.error)))
            elif current is revocation or not outcomes.has_its_own_turn(one, current):
                records.append(self._decided(record, one, executed[0] if executed is not None else None))
        return [record for record in records if record is not None]

    def _decided(self, record: Revocation, one: Evaluation, executed: Plan | None) -> Revocation | None:
        return outcomes.decided(record, one, executed=executed, settings=self._settings, now=self._clock())

    async def _current(self, finding: Finding, revocation: Revocation) -> Revocation | None:
        """Return the record of a waiting finding, None when it has been decided already."""
        if finding.fingerprint == revocation.fingerprint:
            return revocation
        record = await self._ledger.read(finding.fingerprint)
        return record if record is not None and record.state is State.RECEIVED else None


def behind_our_rotation(keys: Mapping[str, AccountKey], rotations: Iterable[Rotation]) -> str | None:
    """Return the key that is listed as it was before we regenerated it, None where there is none.

    ARM's list may lag a minute behind its own answer to Regenerate Key. What such a key signed looks alive, and
    regenerating it again would break the clients that have the new one. A key of which ARM does not say when it was
    made is believed.
    """
    latest = {r.target: r for r in sorted(rotations, key=lambda r: r.at) if r.action is ActionKind.ACCOUNT_KEY}
    for name, key in keys.items():
        ours = latest.get(name)
        if ours is None or key.created is None or key.sha256 == ours.new_sha256:
            continue
        if key.created < ours.at - _CLOCK_SKEW:  # a key that somebody else made since is younger than ours
            return name
    return None


def _first(chosen: Evaluation, ended: Iterable[Evaluation]) -> list[Evaluation]:
    return sorted(ended, key=lambda w: w is not chosen)


def _is_readable(finding: Finding, snapshot: Snapshot) -> bool:
    """Whether all was read that weighing `finding` takes."""
    target = policy_of(finding, snapshot)
    return target is None or str(target) in snapshot.policies
