"""What is done while an account's lock is held: list, attribute, plan and decide for all that waits, pull once.

Nothing is saved here but the lock's own row: the caller writes the records, and gives the lock back when they stand.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.account_table import TAKEOVER_TIME, AccountLock, AccountTable, Attributed
from shared.accounts import AccountRef, Accounts
from shared.decide.policy import Action, PastRotation
from shared.errors import Blocked, PassingFailure, SasquashError
from shared.finding import Finding
from shared.ledger import Ledger
from shared.levers.account_key import AccountKeyLever, by_listing
from shared.levers.proof import Prover
from shared.retired_keys import RetiredKey, RetiredKeys
from shared.revocation import AccountFacts, Plan, Pull, Reason, Revocation, State
from shared.settings import Settings
from shared.weighing import Scene, Weighed, weigh

_log = logging.getLogger(__name__)


@dataclass
class HeldLock:
    """A lock while it is ours. `uncertain`: a lever was pulled, or may have been, that no record tells of yet."""

    lock: AccountLock
    uncertain: bool = False


class UnderLock:
    """Decides on every finding that waits for an account, and pulls at most one lever."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        table: AccountTable,
        accounts: Accounts,
        lever: AccountKeyLever,
        prover: Prover,
        retired: RetiredKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._lever = lever
        self._prover = prover
        self._retired = retired
        self._clock = clock

    async def decide_and_pull(
        self, held: HeldLock, ref: AccountRef, revocation: Revocation, *, partitions: tuple[str, ...]
    ) -> list[Revocation]:
        """Return the records to save, the one whose lever was pulled first.

        Raises PassingFailure (try again), Blocked only when the account can't be read at all.
        """
        scene, current = await self._read(ref, revocation, partitions)
        if current is None or current.state is not State.RECEIVED:
            return []  # another worker decided on it while this one waited for the lock
        revocation = current
        chosen, weighed = await self._choose(self._weigh(scene), revocation)
        if chosen is None or chosen.plan is None:
            return await self._records(scene, weighed, revocation)
        same_key = {w.finding.fingerprint for w in weighed if w.verdict.key_name == chosen.plan.target and w.plan}
        try:
            pull = await self._pull(held, scene, chosen, weighed)
        except Blocked as error:
            return await self._records(scene, weighed, revocation, blocked=(error, chosen.plan.target))
        retired = scene.keys[pull.target]
        self._retired.add(scene.account.name, RetiredKey(pull.target, retired.value, pull.at))
        late = await self._late(scene, partitions, pull)
        ordered = [*sorted(weighed, key=lambda w: w is not chosen), *late]
        same_key |= {w.finding.fingerprint for w in late}
        return await self._records(scene, ordered, revocation, pull=pull, covered=same_key)

    async def _late(self, scene: Scene, partitions: tuple[str, ...], pull: Pull) -> list[Weighed]:
        """Return the findings that came while the lever was being pulled and hang on the same key."""
        try:
            rows = await self._table.rows(partitions)
        except SasquashError as error:
            _log.warning("What came to %s meanwhile waits for its own turn: %s", scene.account.name, error)
            return []
        known = {finding.fingerprint for finding in scene.waiting}
        weighed = [self._weigh_one(f, scene) for f in rows.waiting if f.fingerprint not in known]
        return [w for w in weighed if w.plan is not None and w.plan.target == pull.target]

    async def _read(
        self, ref: AccountRef, revocation: Revocation, partitions: tuple[str, ...]
    ) -> tuple[Scene, Revocation | None]:
        """Read all that counts in one round; the record too, which others may have moved on before."""
        keys, account, rows, current = await asyncio.gather(
            self._lever.keys(ref),
            self._accounts.facts(ref),
            self._table.rows(partitions),
            self._ledger.read(revocation.fingerprint),
        )
        others = (waiting for waiting in rows.waiting if waiting.fingerprint != revocation.fingerprint)
        rotations = tuple(PastRotation(rotation.key_name, rotation.at) for rotation in rows.rotations)
        return Scene(account, keys, (revocation.finding, *others), rotations, self._clock()), current

    async def _choose(self, weighed: list[Weighed], revocation: Revocation) -> tuple[Weighed | None, list[Weighed]]:
        """Return the first finding that acts, and all that are left to decide on.

        What waits may have been decided by now, or its record not stand yet: nothing is pulled that no record would
        tell of.
        """
        left = list(weighed)
        for one in weighed:
            if one.acts:
                if await self._current(one.finding, revocation) is not None:
                    return one, left
                left.remove(one)
        return None, left

    def _weigh(self, scene: Scene) -> list[Weighed]:
        return [self._weigh_one(finding, scene) for finding in scene.waiting]

    def _weigh_one(self, finding: Finding, scene: Scene) -> Weighed:
        return weigh(
            finding,
            scene,
            retired=self._retired,
            describe=self._lever.describe,
            settings=self._settings,
            now=self._clock(),
        )

    async def _pull(self, held: HeldLock, scene: Scene, chosen: Weighed, weighed: list[Weighed]) -> Pull:
        """Pull the chosen plan's lever; settle a lost answer by listing the keys."""
        plan, credential = chosen.plan, chosen.finding.credential
        if plan is None or credential is None:
            raise ValueError("only a plan can be pulled")
        tokens = self._prover.mint(scene.account, credential.services, key=scene.keys[plan.target].value)
        proven = [
            Attributed(w.finding.fingerprint, w.verdict.key_name, w.verdict.key_sha256)
            for w in sorted(weighed, key=lambda w: w is not chosen)
            if w.plan is not None and w.verdict.key_name == plan.target and w.verdict.key_sha256 is not None
        ]
        held.uncertain = True
        # At the same time, since ARM takes far longer than a table: a worker that dies in here leaves behind what
        # it had proven.
        noting = asyncio.create_task(self._table.attribute(held.lock, proven))
        try:
            return await self._lever.pull(plan, scene.account, keys=scene.keys, tokens=tokens)
        except Blocked:
            held.uncertain = False
            raise
        except PassingFailure as error:
            if error.certainly_nothing_happened:
                held.uncertain = False
                raise
            pull = await self._settled_by_listing(plan, scene)
            if pull is None:
                left = held.lock.intent.deadline + TAKEOVER_TIME - self._clock()
                raise PassingFailure(
                    f"{error} Whether it happened will be settled by listing the keys.",
                    retry_after=left.total_seconds(),
                ) from error
            return replace(pull, proof_tokens=tokens)
        finally:
            held.lock = await self._noted(noting, held.lock)

    async def _noted(self, noting: asyncio.Task[AccountLock], before: AccountLock) -> AccountLock:
        try:
            return await noting
        except SasquashError as error:
            _log.warning("The lock of %s does not say what was proven: %s", before.account, error)
            return before

    async def _settled_by_listing(self, plan: Plan, scene: Scene) -> Pull | None:
        """Return the pull if the keys say that it happened, None while that is open."""
        try:
            now = (await self._lever.keys(scene.account)).get(plan.target)
        except SasquashError:
            return None
        if now is None or now.sha256 == plan.key_sha256:
            return None
        return by_listing(plan.target, plan.key_sha256, now, at=self._clock())

    async def _records(
        self,
        scene: Scene,
        weighed: list[Weighed],
        revocation: Revocation,
        *,
        pull: Pull | None = None,
        covered: Iterable[str] = (),
        blocked: tuple[Blocked, str] | None = None,
    ) -> list[Revocation]:
        """Return each finding's record in its new state. `covered` were proven to hang on the key that was pulled."""
        covered = set(covered)
        now = self._clock()
        currents = await asyncio.gather(*(self._current(one.finding, revocation) for one in weighed))
        records: list[Revocation] = []
        for one, current in zip(weighed, currents, strict=True):
            if current is None:
                continue
            record = _with_verdict(current, one, scene)
            if pull is not None and one.finding.fingerprint in covered:
                # The one whose lever was pulled is the first of them in the order of `weighed`.
                is_first = not any(other.pull is not None for other in records)
                records.append(
                    record_of_pull(record, pull, now=now)
                    if is_first
                    else record_of_covered(record, pull, scene.account, now=now)
                )
            elif blocked is not None and one.plan is not None and one.plan.target == blocked[1] and one.acts:
                records.append(record.end(Reason.BLOCKED, now=now, detail=str(blocked[0])))
            else:
                decided = self._decided(record, one, pull, now)
                records.extend([decided] if decided is not None else [])
        return records

    async def _current(self, finding: Finding, revocation: Revocation) -> Revocation | None:
        """Return the record of a waiting finding, None when it has been decided already."""
        if finding.fingerprint == revocation.fingerprint:
            return revocation
        record = await self._ledger.read(finding.fingerprint)
        return record if record is not None and record.state is State.RECEIVED else None

    def _decided(self, record: Revocation, one: Weighed, pull: Pull | None, now: datetime) -> Revocation | None:
        if one.decision is None or one.plan is None:
            reason = one.verdict.reason
            return record.end(reason, now=now, detail=one.verdict.detail) if reason is not None else None
        if one.decision.action is Action.OBSERVE:
            return record.reach(State.OBSERVED, now=now, detail=f"Would have acted: {one.plan.reason}")
        if one.decision.action is Action.ACT and pull is None:
            return None  # its own turn comes: the lever of another finding came first and failed
        why = one.decision.why
        if one.decision.action is Action.ACT:
            why = "the account's other key has just been rotated: a second rotation could cut off every client"
        deadline = now + self._settings.approval_time
        waiting = record.reach(State.AWAITING_APPROVAL, now=now, detail=f"A person decides, because {why}.")
        return replace(waiting, deadline=deadline, decided_by=why)


def _with_verdict(record: Revocation, one: Weighed, scene: Scene) -> Revocation:
    return replace(
        record,
        account=scene.account,
        attributed_at=scene.at if one.verdict.key_name is not None else None,
        key_name=one.verdict.key_name,
        key_sha256=one.verdict.key_sha256,
        plan=one.plan,
        decided_by=one.decision.why if one.decision is not None else "",
    )


def record_of_pull(record: Revocation, pull: Pull, *, now: datetime) -> Revocation:
    """Return the record whose lever was pulled."""
    settled = " Its answer was lost; the keys show that it happened." if pull.confirmed_by == "listing" else ""
    detail = f"{pull.target} was regenerated.{settled}"
    return replace(record, pull=pull).reach(State.CONTAINED, now=now, detail=detail)


def record_of_covered(record: Revocation, pull: Pull, account: AccountFacts, *, now: datetime) -> Revocation:
    """Return the record of a leak that had been attributed to the key before that was regenerated for another."""
    detail = f"{pull.target} of {account.name} was regenerated for another leak that it had signed."
    return record.end(Reason.COVERED, now=now, detail=detail)
