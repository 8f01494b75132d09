"""Runs one plan while the account's lock is held, and notes in the lock what a successor has to know."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.actions.action import ContainmentAction, Job
from shared.actions.registry import Actions
from shared.domain.decision.evaluation import Evaluation
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, LockedDown, Plan
from shared.domain.known_paths import path_id
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import Blocked, Conflict, SasquashError, TransientFailure
from shared.persistence.account_rows import Attributed
from shared.persistence.accounts import EXECUTION_TIME, TAKEOVER_TIME, AccountLock
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

# Seconds that the note in the lock may take longer than the action, whose record is still to be written.
_NOTE_PATIENCE = 2.0


@dataclass
class HeldLock:
    """A lock while it is ours. `uncertain`: an action was executed, or may have been, that no record shows yet.

    `listed_at` is when the account's keys were listed under it to decide on what waits.
    """

    lock: AccountLock
    uncertain: bool = False
    listed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanExecutor:
    """Executes plans."""

    store: Store
    actions: Actions

    async def execute(
        self,
        held: HeldLock,
        snapshot: Snapshot,
        chosen: Evaluation,
        record: Revocation,
        *,
        ends: Iterable[Evaluation],
    ) -> tuple[Execution, Revocation]:
        """Execute the plan of `chosen`, whose record is `record`; `ends` are all the leaks that it revokes.

        Returns the execution and the record as it stands then. Raises Blocked (it did not happen), or
        TransientFailure: try again, under this lock's successor where it is open whether it happened.
        """
        plan, deadline = chosen.plan, held.lock.intent.deadline
        if plan is None:
            raise ValueError("only a plan can be executed")
        if deadline - self.store.clock() < EXECUTION_TIME:
            name = snapshot.account.name
            raise TransientFailure(f"Too little time is left of the lock for an action on {name}.", sent=False)
        action = self.actions.of(plan.action)
        job = Job(
            plan=plan,
            snapshot=snapshot,
            record=record,
            signed_by=chosen.verdict.key_name,
            settled_from=deadline + TAKEOVER_TIME,
        )
        job = await self._with_way_back(action, job)
        tokens = await action.mint(job)
        noted = [_attributed(one, plan) for one in ends]
        held.uncertain = True
        # At the same time, because Azure takes far longer than a table: if this instance stops in here, its successor
        # finds what was attributed.
        noting = asyncio.create_task(self.store.accounts.attribute(held.lock, noted))
        patience: float | None = None
        try:
            executed = await action.execute(job, tokens)
            patience = _NOTE_PATIENCE  # its record says more than the note
        except Blocked:
            held.uncertain = False
            raise
        except TransientFailure as error:
            # What can be read back is settled by the lock's next holder: the lock names the action.
            if error.had_no_effect or not action.can_be_read_back:
                held.uncertain = False
            raise
        finally:
            held.lock = await self._noted(noting, held.lock, patience=patience)
        return executed.execution, replace(job.record, lockdown=executed.lockdown or job.record.lockdown)

    async def _with_way_back(self, action: ContainmentAction, job: Job) -> Job:
        """Return the job with what its record needs to undo the execution, saved: an earlier attempt's stands."""
        way_back = action.way_back(job)
        if way_back is None or job.record.lockdown is not None:
            return job
        record = await self._saved(job.record, way_back)
        return replace(job, record=record)

    async def _saved(self, record: Revocation, way_back: LockedDown) -> Revocation:
        def keep(current: Revocation) -> Revocation | None:
            return (
                replace(current, lockdown=current.lockdown or way_back) if current.state is State.RECEIVED else None
            )

        # The follow-up may be writing, too: it files and mails the plan that waited for an approval.
        what = f"Before the {way_back.name} ({way_back.kind}) it was: {way_back.before}"
        kept = await self.store.revocations.change(record.fingerprint, keep, what=what)
        if kept is None:
            raise Conflict(f"Record {record.fingerprint[:12]} was decided by another instance.")
        return kept

    async def _noted(
        self, noting: asyncio.Task[AccountLock], before: AccountLock, *, patience: float | None
    ) -> AccountLock:
        try:
            async with asyncio.timeout(patience):
                return await noting
        except (SasquashError, TimeoutError) as error:
            why = str(error) or f"no answer within {patience} seconds"
            _log.warning("The lock of %s does not say what was attributed: %s", before.account, why)
            return before


def _attributed(one: Evaluation, plan: Plan) -> Attributed:
    verified = one.finding.credential if one.verdict.key_name is not None else None
    return Attributed(one.finding.fingerprint, plan.action, plan.target, plan.version, path_id(verified))
