"""Pulls the lever of one plan while the account's lock is held, and settles what a lost answer leaves open.

Regenerating a key is the one pull that must not be repeated; the others may be, and end the same way.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.actions.account_key import by_listing
from shared.actions.registry import Levers, signer
from shared.actions.verification import Prover
from shared.domain.account import AccountKey, PolicyReading
from shared.domain.decision.evaluation import Scene, Weighed
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from shared.domain.revocation import Plan, ProofToken, Pull, Revocation, State
from shared.domain.target import Lever, Lockdown, PolicyTarget
from shared.errors import Blocked, Conflict, PassingFailure, SasquashError
from shared.persistence.accounts import PULL_TIME, TAKEOVER_TIME, AccountLock, AccountTable, Attributed
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)


@dataclass
class HeldLock:
    """A lock while it is ours. `uncertain`: a lever was pulled, or may have been, that no record tells of yet.

    `listed_at` is when the account's keys were listed under it to decide on what waits.
    """

    lock: AccountLock
    uncertain: bool = False
    listed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """A plan to carry out, with all that it takes. `signer` is the key behind the leak, or one as good."""

    scene: Scene
    plan: Plan
    record: Revocation
    signer: AccountKey
    tokens: tuple[ProofToken, ...] = ()


class Pulling:
    """Pulls levers."""

    def __init__(
        self,
        *,
        levers: Levers,
        prover: Prover,
        ledger: Ledger,
        table: AccountTable,
        retired: RetiredKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._levers = levers
        self._prover = prover
        self._ledger = ledger
        self._table = table
        self._retired = retired
        self._clock = clock

    async def pull(
        self, held: HeldLock, scene: Scene, chosen: Weighed, record: Revocation, *, ends: Iterable[Weighed]
    ) -> tuple[Pull, Revocation]:
        """Pull the lever of `chosen`, whose record is `record`; `ends` are all the leaks that end with it.

        Returns the pull and the record as it stands then. Raises Blocked (nothing happened), or PassingFailure: try
        again, under this lock's successor where it is open whether it happened.
        """
        plan = chosen.plan
        if plan is None:
            raise ValueError("only a plan can be pulled")
        if held.lock.intent.deadline - self._clock() < PULL_TIME:
            name = scene.account.name
            raise PassingFailure(f"Too little time is left of the lock to pull a lever on {name}.", sent=False)
        if plan.lever is Lever.LOCKDOWN:
            record = await self._with_way_back(scene, plan, record)
        job = _Job(scene, plan, record, signer(scene.keys, chosen.verdict.key_name))
        job = replace(job, tokens=await self._mint(job))
        noted = [Attributed(w.finding.fingerprint, plan.lever, plan.target, plan.version) for w in ends]
        held.uncertain = True
        # At the same time, since Azure takes far longer than a table: a worker that dies in here leaves behind what
        # it had proven.
        noting = asyncio.create_task(self._table.attribute(held.lock, noted))
        try:
            return await self._by_lever(held, job)
        except Blocked:
            held.uncertain = False
            raise
        except PassingFailure as error:
            # Delegation keys are revoked again. All else can be read back, and the lock says what to look for.
            if plan.lever is Lever.DELEGATION_KEY or error.certainly_nothing_happened:
                held.uncertain = False
            raise
        finally:
            held.lock = await self._noted(noting, held.lock)

    async def _mint(self, job: "_Job") -> tuple[ProofToken, ...]:
        """Return the proof tokens of our own that are to die with the leak."""
        plan, scene = job.plan, job.scene
        match plan.lever:
            case Lever.ACCOUNT_KEY:
                credential = job.record.finding.credential
                services = credential.services if credential is not None else scene.account.endpoints.keys()
                return self._prover.mint(scene.account, services, key=scene.keys[plan.target].value)
            case Lever.STORED_POLICY:
                reading = _reading(scene, plan)
                return self._levers.stored_policy.mint(scene.account, reading, key=job.signer)
            case Lever.DELEGATION_KEY:
                return await self._levers.delegation_key.mint(scene.account)
            case Lever.LOCKDOWN:
                return ()

    async def _with_way_back(self, scene: Scene, plan: Plan, record: Revocation) -> Revocation:
        """Return the record with how the account was before its lockdown, saved: an earlier attempt's word stands."""
        if record.lockdown is not None:
            return record
        locked = self._levers.lockdown.before(scene.account, Lockdown(plan.target))

        def keep(current: Revocation) -> Revocation | None:
            return replace(current, lockdown=current.lockdown or locked) if current.state is State.RECEIVED else None

        # The follow-up may be writing, too: of the plan that waited for an approval, it files and mails.
        kept = await self._ledger.change(
            record.fingerprint, keep, what=f"Before the lockdown ({plan.target}) it was: {locked.before}"
        )
        if kept is None:
            raise Conflict(f"Record {record.fingerprint[:12]} was decided by another worker.")
        return kept

    async def _by_lever(self, held: HeldLock, job: "_Job") -> tuple[Pull, Revocation]:
        levers, plan, account, record = self._levers, job.plan, job.scene.account, job.record
        match plan.lever:
            case Lever.ACCOUNT_KEY:
                return await self._regenerate(held, job), record
            case Lever.STORED_POLICY:
                reading = _reading(job.scene, plan)
                pull = await levers.stored_policy.pull(plan, account, reading, key=job.signer, tokens=job.tokens)
                return pull, record
            case Lever.DELEGATION_KEY:
                return await levers.delegation_key.pull(plan, account, tokens=job.tokens), record
            case Lever.LOCKDOWN:
                if record.lockdown is None:
                    raise ValueError("a lockdown needs its way back")
                pull, locked = await levers.lockdown.pull(plan, account, record.lockdown)
                return pull, replace(record, lockdown=locked)

    async def _regenerate(self, held: HeldLock, job: "_Job") -> Pull:
        """Regenerate the key; settle a lost answer by listing the keys."""
        plan, scene = job.plan, job.scene
        try:
            pull = await self._levers.account_key.pull(plan, scene.account, keys=scene.keys, tokens=job.tokens)
        except PassingFailure as error:
            if error.certainly_nothing_happened:
                raise
            settled = await self._settled_by_listing(plan, scene)
            if settled is None:
                left = held.lock.intent.deadline + TAKEOVER_TIME - self._clock()
                raise PassingFailure(
                    f"{error} Whether it happened will be settled by listing the keys.",
                    retry_after=left.total_seconds(),
                ) from error
            pull = replace(settled, proof_tokens=job.tokens)
        retired = scene.keys[pull.target]
        self._retired.add(scene.account.name, RetiredKey(pull.target, retired.value, pull.at))
        return pull

    async def _settled_by_listing(self, plan: Plan, scene: Scene) -> Pull | None:
        """Return the pull if the keys say that it happened, None while that is open."""
        try:
            now = (await self._levers.account_key.keys(scene.account)).get(plan.target)
        except SasquashError:
            return None
        if now is None or now.sha256 == plan.version:
            return None
        return by_listing(plan.target, plan.version, now, at=self._clock())

    async def _noted(self, noting: asyncio.Task[AccountLock], before: AccountLock) -> AccountLock:
        try:
            return await noting
        except SasquashError as error:
            _log.warning("The lock of %s does not say what was proven: %s", before.account, error)
            return before


def _reading(scene: Scene, plan: Plan) -> PolicyReading:
    return scene.policies[str(PolicyTarget.parse(plan.target))]
