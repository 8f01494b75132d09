"""Pulls the lever of one plan while the account's lock is held, and settles what a lost answer leaves open.

Regenerating a key is the one pull that must not be repeated; the others may be, and end the same way.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.actions.account_key import by_listing
from shared.actions.registry import Actions, signer
from shared.actions.verification import Verifier
from shared.domain.account import AccountKey, PolicyReading
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.snapshot import Snapshot
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from shared.domain.revocation import Execution, Plan, Revocation, State, VerificationToken
from shared.domain.target import ActionKind, Lockdown, PolicyTarget
from shared.errors import Blocked, Conflict, SasquashError, TransientFailure
from shared.persistence.accounts import EXECUTION_TIME, TAKEOVER_TIME, AccountLock, AccountTable, Attributed
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

    snapshot: Snapshot
    plan: Plan
    record: Revocation
    signer: AccountKey
    tokens: tuple[VerificationToken, ...] = ()


class PlanExecutor:
    """Pulls levers."""

    def __init__(
        self,
        *,
        actions: Actions,
        verifier: Verifier,
        ledger: Ledger,
        table: AccountTable,
        retired: RetiredKeys,
        clock: Callable[[], datetime],
    ) -> None:
        self._actions = actions
        self._verifier = verifier
        self._ledger = ledger
        self._table = table
        self._retired = retired
        self._clock = clock

    async def execute(
        self,
        held: HeldLock,
        snapshot: Snapshot,
        chosen: Evaluation,
        record: Revocation,
        *,
        ends: Iterable[Evaluation],
    ) -> tuple[Execution, Revocation]:
        """Pull the lever of `chosen`, whose record is `record`; `ends` are all the leaks that end with it.

        Returns the pull and the record as it stands then. Raises Blocked (nothing happened), or TransientFailure: try
        again, under this lock's successor where it is open whether it happened.
        """
        plan = chosen.plan
        if plan is None:
            raise ValueError("only a plan can be pulled")
        if held.lock.intent.deadline - self._clock() < EXECUTION_TIME:
            name = snapshot.account.name
            raise TransientFailure(f"Too little time is left of the lock to pull a lever on {name}.", sent=False)
        if plan.action is ActionKind.LOCKDOWN:
            record = await self._with_way_back(snapshot, plan, record)
        job = _Job(snapshot, plan, record, signer(snapshot.keys, chosen.verdict.key_name))
        job = replace(job, tokens=await self._mint(job))
        noted = [Attributed(w.finding.fingerprint, plan.action, plan.target, plan.version) for w in ends]
        held.uncertain = True
        # At the same time, since Azure takes far longer than a table: a worker that dies in here leaves behind what
        # it had proven.
        noting = asyncio.create_task(self._table.attribute(held.lock, noted))
        try:
            return await self._by_action(held, job)
        except Blocked:
            held.uncertain = False
            raise
        except TransientFailure as error:
            # Delegation keys are revoked again. All else can be read back, and the lock says what to look for.
            if plan.action is ActionKind.DELEGATION_KEY or error.had_no_effect:
                held.uncertain = False
            raise
        finally:
            held.lock = await self._noted(noting, held.lock)

    async def _mint(self, job: "_Job") -> tuple[VerificationToken, ...]:
        """Return the proof tokens of our own that are to die with the leak."""
        plan, snapshot = job.plan, job.snapshot
        match plan.action:
            case ActionKind.ACCOUNT_KEY:
                credential = job.record.finding.credential
                services = credential.services if credential is not None else snapshot.account.endpoints.keys()
                return self._verifier.mint(snapshot.account, services, key=snapshot.keys[plan.target].value)
            case ActionKind.STORED_POLICY:
                reading = _reading(snapshot, plan)
                return self._actions.stored_policy.mint(snapshot.account, reading, key=job.signer)
            case ActionKind.DELEGATION_KEY:
                return await self._actions.delegation_key.mint(snapshot.account)
            case ActionKind.LOCKDOWN:
                return ()

    async def _with_way_back(self, snapshot: Snapshot, plan: Plan, record: Revocation) -> Revocation:
        """Return the record with how the account was before its lockdown, saved: an earlier attempt's word stands."""
        if record.lockdown is not None:
            return record
        locked = self._actions.lockdown.before(snapshot.account, Lockdown(plan.target))

        def keep(current: Revocation) -> Revocation | None:
            return replace(current, lockdown=current.lockdown or locked) if current.state is State.RECEIVED else None

        # The follow-up may be writing, too: of the plan that waited for an approval, it files and mails.
        kept = await self._ledger.change(
            record.fingerprint, keep, what=f"Before the lockdown ({plan.target}) it was: {locked.before}"
        )
        if kept is None:
            raise Conflict(f"Record {record.fingerprint[:12]} was decided by another worker.")
        return kept

    async def _by_action(self, held: HeldLock, job: "_Job") -> tuple[Execution, Revocation]:
        actions, plan, account, record = self._actions, job.plan, job.snapshot.account, job.record
        match plan.action:
            case ActionKind.ACCOUNT_KEY:
                return await self._regenerate(held, job), record
            case ActionKind.STORED_POLICY:
                reading = _reading(job.snapshot, plan)
                execution = await actions.stored_policy.execute(
                    plan, account, reading, key=job.signer, tokens=job.tokens
                )
                return execution, record
            case ActionKind.DELEGATION_KEY:
                return await actions.delegation_key.execute(plan, account, tokens=job.tokens), record
            case ActionKind.LOCKDOWN:
                if record.lockdown is None:
                    raise ValueError("a lockdown needs its way back")
                execution, locked = await actions.lockdown.execute(plan, account, record.lockdown)
                return execution, replace(record, lockdown=locked)

    async def _regenerate(self, held: HeldLock, job: "_Job") -> Execution:
        """Regenerate the key; settle a lost answer by listing the keys."""
        plan, snapshot = job.plan, job.snapshot
        try:
            execution = await self._actions.account_key.execute(
                plan, snapshot.account, keys=snapshot.keys, tokens=job.tokens
            )
        except TransientFailure as error:
            if error.had_no_effect:
                raise
            settled = await self._settled_by_listing(plan, snapshot)
            if settled is None:
                left = held.lock.intent.deadline + TAKEOVER_TIME - self._clock()
                raise TransientFailure(
                    f"{error} Whether it happened will be settled by listing the keys.",
                    retry_after=left.total_seconds(),
                ) from error
            execution = replace(settled, verification_tokens=job.tokens)
        retired = snapshot.keys[execution.target]
        self._retired.add(snapshot.account.name, RetiredKey(execution.target, retired.value, execution.at))
        return execution

    async def _settled_by_listing(self, plan: Plan, snapshot: Snapshot) -> Execution | None:
        """Return the pull if the keys say that it happened, None while that is open."""
        try:
            now = (await self._actions.account_key.keys(snapshot.account)).get(plan.target)
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


def _reading(snapshot: Snapshot, plan: Plan) -> PolicyReading:
    return snapshot.policies[str(PolicyTarget.parse(plan.target))]
