"""What is done while an account's lock is held: list, attribute, plan and decide for all that waits, pull once.

Nothing is saved here but the lock's own row, and the way back from a lockdown: the caller writes the records, and
gives the lock back when they stand.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.actions.registry import Levers, signer
from shared.actions.stored_policy import Revived
from shared.cloud.accounts import AccountRef, Accounts
from shared.containment.execution import HeldLock, Pulling
from shared.domain.account import AccountKey, PolicyReading
from shared.domain.decision import outcomes
from shared.domain.decision.approval_policy import PastPull
from shared.domain.decision.evaluation import Known, Scene, Weighed, policy_of, weigh
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Plan, Pull, Reason, Revocation, State
from shared.domain.target import Lever
from shared.errors import Blocked, NoMoreChanges, PassingFailure, SasquashError
from shared.persistence.accounts import REST, AccountTable, Rotation
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
        levers: Levers,
        pulling: Pulling,
        retired: RetiredKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._levers = levers
        self._pulling = pulling
        self._retired = retired
        self._clock = clock

    async def decide_and_pull(
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
        under this lock; where none are given, they are listed. Raises PassingFailure (try again), Blocked only when
        the account can't be read at all.
        """
        if keys is None:
            held.listed_at = self._clock()
        scene, current = await self._read(ref, revocation, partitions, keys)
        if current is None or current.state is not State.RECEIVED:
            return None  # another worker decided on it while this one waited for the lock
        revocation = current
        weighed = [self._weigh(finding, scene, revocation) for finding in scene.waiting]
        records, left = await self._carried_out(held, scene, weighed, revocation, partitions)
        regenerated = any(r.pull is not None and r.pull.lever is Lever.ACCOUNT_KEY for r in records)
        following = None if regenerated else await self._next(left, records, revocation)
        return Turn(records, following, scene.keys)

    async def _carried_out(
        self,
        held: HeldLock,
        scene: Scene,
        weighed: list[Weighed],
        revocation: Revocation,
        partitions: tuple[str, ...],
    ) -> tuple[list[Revocation], list[Weighed]]:
        """Pull at most one lever, and return the records with what was left to decide on.

        ARM may take no more changes. Then what waits for that waits on, and holds up nothing else: `revocation` may
        need a person, a policy, or no lever at all.
        """
        while True:
            chosen, record, left = await self._choose(weighed, revocation)
            plan = chosen.plan if chosen is not None else None
            if chosen is None or plan is None or record is None:
                return await self._buried(scene, await self._records(scene, left, revocation)), left
            try:
                records = await self._pulled(
                    held, scene, chosen, record=record, left=left, revocation=revocation, partitions=partitions
                )
            except NoMoreChanges:
                waiting = [w for w in left if w is chosen or outcomes.ends_with(w, plan)]
                if any(w.finding.fingerprint == revocation.fingerprint for w in waiting):
                    raise
                weighed = [w for w in left if w not in waiting]
            else:
                return records, left

    async def _next(
        self, weighed: list[Weighed], records: list[Revocation], revocation: Revocation
    ) -> Revocation | None:
        """Return the record whose policy can be ended in the next turn. Each other lever has a lock of its own."""
        decided = {record.fingerprint for record in records}
        for one in weighed:
            is_policy = one.plan is not None and one.plan.lever is Lever.STORED_POLICY
            if one.acts and is_policy and one.finding.fingerprint not in decided:
                return await self._current(one.finding, revocation)
        return None

    async def _pulled(
        self,
        held: HeldLock,
        scene: Scene,
        chosen: Weighed,
        *,
        record: Revocation,
        left: list[Weighed],
        revocation: Revocation,
        partitions: tuple[str, ...],
    ) -> list[Revocation]:
        """Pull the lever of `chosen`, whose record is `record`, and return what became of all that is `left`."""
        plan = chosen.plan
        if plan is None:
            raise ValueError("only a plan can be pulled")
        ended = [w for w in left if w is chosen or outcomes.ends_with(w, plan)]
        try:
            pull, record = await self._pulling.pull(held, scene, chosen, record, ends=_first(chosen, ended))
        except Blocked as error:
            blocked = _Blocked(plan, error)
            return await self._buried(scene, await self._records(scene, left, revocation, blocked=blocked))
        late = await self._late(scene, partitions, revocation, plan)
        if record.fingerprint == revocation.fingerprint:
            revocation = record
        killed = outcomes.with_verdict(record, chosen, scene)
        others = await self._records(
            scene, [w for w in (*left, *late) if w is not chosen], revocation, pulled=(plan, pull)
        )
        return [outcomes.of_pull(killed, pull, scene.account, now=self._clock()), *others]

    async def preview(self, ref: AccountRef, revocation: Revocation, *, partitions: tuple[str, ...]) -> Revocation:
        """Return what `revocation` would come to, without its lock: a dry run. Nothing is changed or saved."""
        scene, _ = await self._read(ref, revocation, partitions, None)
        one = self._weigh(revocation.finding, scene, revocation)
        record = outcomes.with_verdict(revocation, one, scene)
        if one.acts and one.verdict.reason is None:
            now = self._clock()
            return record.reach(State.OBSERVED, now=now, detail=f"Would act without asking: {record.decided_by}.")
        return self._decided(record, one, None) or record

    async def _late(
        self, scene: Scene, partitions: tuple[str, ...], revocation: Revocation, plan: Plan
    ) -> list[Weighed]:
        """Return the findings that came while the lever was being pulled and end with it.

        A user delegation SAS that came so late may be of a key from after the revocation: it has its own turn.
        """
        if plan.lever is Lever.DELEGATION_KEY:
            return []
        try:
            rows = await self._table.rows(partitions)
        except SasquashError as error:
            _log.warning("What came to %s meanwhile waits for its own turn: %s", scene.account.name, error)
            return []
        known = {finding.fingerprint for finding in scene.waiting}
        fresh = [f for f in rows.waiting if f.fingerprint not in known and _is_readable(f, scene)]
        weighed = [self._weigh(finding, scene, revocation) for finding in fresh]
        return [w for w in weighed if outcomes.ends_with(w, plan)]

    async def _read(
        self,
        ref: AccountRef,
        revocation: Revocation,
        partitions: tuple[str, ...],
        listed: Mapping[str, AccountKey] | None,
    ) -> tuple[Scene, Revocation | None]:
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
            raise PassingFailure(
                f"ARM lists {behind} of {ref.name} as it was before Sasquash regenerated it: its list lags behind.",
                retry_after=REST.total_seconds(),
            )
        others = (waiting for waiting in rows.waiting if waiting.fingerprint != revocation.fingerprint)
        pulls = tuple(PastPull(rotation.lever, rotation.target, rotation.at) for rotation in rows.rotations)
        scene = Scene(
            account=account, keys=keys, waiting=(revocation.finding, *others), pulls=pulls, at=self._clock()
        )
        policies = await self._policies(scene)
        scene = replace(scene, policies=policies)
        readable = tuple(f for f in scene.waiting if _is_readable(f, scene))
        return replace(scene, waiting=readable), current

    async def _keys(self, ref: AccountRef, listed: Mapping[str, AccountKey] | None) -> Mapping[str, AccountKey]:
        return listed if listed is not None else await self._levers.account_key.keys(ref)

    async def _policies(self, scene: Scene) -> dict[str, PolicyReading]:
        """Read the stored access policies that are behind what waits.

        Raises PassingFailure or Blocked for the finding that took the lock; the others then have their own turn.
        """
        targets = {f.fingerprint: policy_of(f, scene) for f in scene.waiting}
        wanted = list(dict.fromkeys(t for t in targets.values() if t is not None))[:_MOST_POLICIES]
        key = signer(scene.keys, None)
        readings = await asyncio.gather(
            *(self._levers.stored_policy.read(scene.account, target, key=key) for target in wanted),
            return_exceptions=True,
        )
        own = targets[scene.waiting[0].fingerprint]
        found: dict[str, PolicyReading] = {}
        for target, reading in zip(wanted, readings, strict=True):
            if isinstance(reading, PolicyReading):
                found[str(target)] = reading
            elif target == own or not isinstance(reading, SasquashError):
                raise reading
        return found

    async def _choose(
        self, weighed: list[Weighed], revocation: Revocation
    ) -> tuple[Weighed | None, Revocation | None, list[Weighed]]:
        """Return the first finding that acts with its record, and all that are left to decide on.

        What waits may have been decided by now, or its record not stand yet: nothing is pulled that no record would
        tell of. Keys come first: what else hangs on one ends with it.
        """
        left = list(weighed)
        acting = [one for one in weighed if one.acts and one.verdict.reason is None]
        for one in sorted(acting, key=lambda w: w.plan is not None and w.plan.lever is not Lever.ACCOUNT_KEY):
            record = await self._current(one.finding, revocation)
            if record is not None:
                return one, record, left
            left.remove(one)
        return None, None, left

    def _weigh(self, finding: Finding, scene: Scene, revocation: Revocation) -> Weighed:
        own = finding.fingerprint == revocation.fingerprint
        return weigh(
            finding,
            scene,
            known=Known(revocation.approval, revocation.liveness) if own else Known(),
            retired=self._retired,
            describe=self._levers.describe,
            settings=self._settings,
            now=self._clock(),
        )

    async def _buried(self, scene: Scene, records: list[Revocation]) -> list[Revocation]:
        """Return the records, those of a policy that is gone with the tombstone that was left for it."""
        return [buried for record in records if (buried := await self._bury(scene, record)) is not None]

    async def _bury(self, scene: Scene, record: Revocation) -> Revocation | None:
        """Return the record with what came of its tombstone; None where its policy is back, to be weighed anew."""
        if record.reason is not Reason.POLICY_GONE or record.plan is None:
            return record
        reading = scene.policies[record.plan.target]
        try:
            said = await self._levers.stored_policy.bury(
                reading.target, scene.account, reading, key=signer(scene.keys, record.key_name)
            )
        except Revived:
            return None
        except SasquashError as error:
            said = f"No tombstone could be left: {error}"
        return replace(record, detail=f"{record.detail} {said}")

    async def _records(
        self,
        scene: Scene,
        weighed: list[Weighed],
        revocation: Revocation,
        *,
        pulled: tuple[Plan, Pull] | None = None,
        blocked: _Blocked | None = None,
    ) -> list[Revocation]:
        """Return each finding's record in its new state, but for those that have a turn of their own."""
        now = self._clock()
        currents = await asyncio.gather(*(self._current(one.finding, revocation) for one in weighed))
        records: list[Revocation | None] = []
        for one, current in zip(weighed, currents, strict=True):
            if current is None:
                continue
            record = outcomes.with_verdict(current, one, scene)
            if pulled is not None and outcomes.ends_with(one, pulled[0]):
                records.append(outcomes.of_covered(record, pulled[1], scene.account, now=now))
            elif blocked is not None and one.acts and outcomes.same_target(one.plan, blocked.plan):
                records.append(record.end(Reason.BLOCKED, now=now, detail=str(blocked.error)))
            elif current is revocation or not outcomes.has_its_own_turn(one, current):
                records.append(self._decided(record, one, pulled[0] if pulled is not None else None))
        return [record for record in records if record is not None]

    def _decided(self, record: Revocation, one: Weighed, pulled: Plan | None) -> Revocation | None:
        return outcomes.decided(record, one, pulled=pulled, settings=self._settings, now=self._clock())

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
    latest = {r.target: r for r in sorted(rotations, key=lambda r: r.at) if r.lever is Lever.ACCOUNT_KEY}
    for name, key in keys.items():
        ours = latest.get(name)
        if ours is None or key.created is None or key.sha256 == ours.new_sha256:
            continue
        if key.created < ours.at - _CLOCK_SKEW:  # a key that somebody else made since is younger than ours
            return name
    return None


def _first(chosen: Weighed, ended: Iterable[Weighed]) -> list[Weighed]:
    return sorted(ended, key=lambda w: w is not chosen)


def _is_readable(finding: Finding, scene: Scene) -> bool:
    """Whether all was read that weighing `finding` takes."""
    target = policy_of(finding, scene)
    return target is None or str(target) in scene.policies
