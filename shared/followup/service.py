"""The slow path: verification, key distribution, events, investigation, incident, mail, closing of alerts.

Each step runs once, under a lease, and is retried on its own: a mailbox that is down delays neither the verification
nor the incident (design decision 6). An instance that crashes between sending a mail and recording it sends a second.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.approval import AtDeadline
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.transitions import held_to
from shared.errors import Conflict, SasquashError, UnreadableRow
from shared.followup.slow_retries import SlowRetries
from shared.followup.step import Done, Step, Steps
from shared.persistence.queues import Message, backoff
from shared.persistence.step_leases import LEASE_TIME, StepLeases, without_lease
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_GIVE_UP = timedelta(hours=24)
_HEAD_START = 2.0  # seconds; a verification whose data plane answers takes less
_PASSES = 3  # verified, closed, nothing more to do


@dataclass(frozen=True, slots=True)
class _Again:
    """A step is to run again in so many seconds; `failed`: because it failed."""

    seconds: float
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A step was tried: the record as it stands, and when to run the step again."""

    revocation: Revocation
    again: _Again | None = None


@dataclass(slots=True, kw_only=True)
class FollowUp:
    """Runs the steps of a decided record until nothing is left to do.

    `steps` is called when first needed, after `warm_up`, which imports what the steps need. That takes seconds and
    runs on a thread, because the event loop also serves revocations. `at_deadline` is `SASQUASH_AT_DEADLINE`.
    """

    store: Store
    verification: Step
    steps: Callable[[], Steps]
    warm_up: Callable[[], None]
    at_deadline: AtDeadline
    _is_warm: bool = field(default=False, init=False)
    _slow: SlowRetries = field(init=False)

    def __post_init__(self) -> None:
        """Start without anything under way."""
        self._slow = SlowRetries(clock=self.store.clock)

    async def run(self, message: Message) -> None:
        """Run the steps that are due, and enqueue the record again for those that are not done.

        Raises only unexpected errors, and SasquashError if the queue can't be reached.
        """
        if self._slow.is_copy(message):
            return
        try:
            await self._run_all(message)
        except BaseException:
            self._slow.forget(message)
            raise

    async def _run_all(self, message: Message) -> None:
        try:
            open_steps = await self._run(message)
        except UnreadableRow as error:  # the sweep finds it again, by its row in the index
            _log.warning("Not followed up: %s (%s): %s", message.fingerprint[:12], error.code, error)
            return
        except SasquashError as error:
            _log.warning("Follow-up of %s failed for now (%s): %s", message.fingerprint[:12], error.code, error)
            open_steps = [_Again(backoff(message.attempt), failed=True)]
        failed = any(again.failed for again in open_steps)
        if not failed:
            self._slow.forget(message)
        if open_steps and not (failed and message.swept):
            # Only failures count as attempts: a slow verification must not slow down the mail after it.
            delay, attempt = min(again.seconds for again in open_steps), message.attempt + failed
            await self.store.queues.follow_up(message.fingerprint, delay=delay, attempt=attempt, swept=message.swept)

    async def _run(self, message: Message) -> list[_Again]:
        open_steps: list[_Again] = []
        revocation = await self.store.revocations.read(message.fingerprint)
        for _ in range(_PASSES):
            if revocation is None or revocation.state is State.RECEIVED:
                return []  # the containment enqueues the record when it is done
            revocation = await self._held_to_setting(revocation)
            before = revocation.changes
            open_steps, revocation = await self._pass(revocation, message)
            if revocation.changes == before:
                break
        return open_steps

    async def _held_to_setting(self, revocation: Revocation) -> Revocation:
        """Record that the plan is escalated at its deadline, where the setting became stricter: people read that."""

        def held(current: Revocation) -> Revocation | None:
            return stricter if (stricter := held_to(current, self.at_deadline)) != current else None

        if held(revocation) is None:
            return revocation
        what = "SASQUASH_AT_DEADLINE is escalate now: without a decision, the plan is escalated at its deadline."
        changed = await self.store.revocations.change(revocation.fingerprint, held, what=what, known=revocation)
        return changed or revocation

    async def _pass(self, revocation: Revocation, message: Message) -> tuple[list[_Again], Revocation]:
        """Run every step once; return those that are not done, and the record. The verification has a head start."""
        verification = asyncio.create_task(self._attempt(self.verification, revocation, message))
        await asyncio.wait({verification}, timeout=_HEAD_START)
        if not self._is_warm:
            await asyncio.to_thread(self.warm_up)
            self._is_warm = True
        if revocation.state is State.CONTAINED:  # it may be verified by now, and people should read that
            revocation = await self._current(revocation)
        steps = self.steps()
        attempts = list(
            await asyncio.gather(*(self._attempt(step, revocation, message) for step in steps.concurrent))
        )
        attempts += await self._in_order(steps.beside_verification, await self._current(revocation), message)
        attempts.append(await verification)
        attempts += await self._in_order(steps.after_verification, await self._current(revocation), message)
        return [attempt.again for attempt in attempts if attempt.again is not None], attempts[-1].revocation

    async def _in_order(self, steps: Iterable[Step], revocation: Revocation, message: Message) -> list[_Attempt]:
        attempts: list[_Attempt] = []
        for step in steps:
            attempts.append(await self._attempt(step, revocation, message))
            revocation = attempts[-1].revocation
        return attempts

    async def _attempt(self, step: Step, revocation: Revocation, message: Message) -> _Attempt:
        """Run a step; its failure concerns this step alone."""
        try:
            return await self._finish(step, revocation)
        except SasquashError as error:
            _log.warning("Step %s of %s failed (%s): %s", step.name, revocation.fingerprint[:12], error.code, error)
            if not message.swept and self.store.clock() - revocation.changes[-1].at > _GIVE_UP:
                what = f"Not done within 24 hours; retried every 6 hours from now: {step.name}. {error}"
                await self._note(revocation, what)
                return _Attempt(revocation)
            return _Attempt(revocation, _Again(backoff(message.attempt, error.retry_after), failed=True))

    async def _finish(self, step: Step, revocation: Revocation) -> _Attempt:
        """Lease a step that is due, run it, and record what it did."""
        wait = step.due_in(revocation)
        while wait == 0:
            leased = await self._lease(step, revocation)
            if leased is None:
                return _Attempt(revocation, _Again(LEASE_TIME.total_seconds()))
            done = await self._run_leased(step, leased)
            revocation = await self._record(step, done, leased) or leased
            wait = done.again
        return _Attempt(revocation, _Again(wait) if wait is not None else None)

    async def _lease(self, step: Step, revocation: Revocation) -> Revocation | None:
        if not step.leased:
            return revocation
        return await StepLeases(self.store).acquire(
            revocation, step.name, due=lambda current: step.due_in(current) == 0
        )

    async def _run_leased(self, step: Step, revocation: Revocation) -> Done:
        try:
            return await step.run(revocation)
        except SasquashError:
            if step.leased:
                await StepLeases(self.store).release(revocation, step.name)
            raise

    async def _record(self, step: Step, done: Done, revocation: Revocation) -> Revocation | None:
        """Write what a step did and give up its lease; None where there is nothing to write."""
        change = done.change
        if change is None:
            return None

        def released(current: Revocation) -> Revocation | None:
            changed = change(current)
            return without_lease(changed, step.name) if changed is not None else None

        return await self.store.revocations.change(revocation.fingerprint, released, what=done.what, known=revocation)

    async def _current(self, revocation: Revocation) -> Revocation:
        return await self.store.revocations.read(revocation.fingerprint) or revocation

    async def _note(self, revocation: Revocation, what: str) -> None:
        try:
            await self.store.revocations.change(revocation.fingerprint, lambda current: current, what=what)
        except Conflict as error:
            _log.warning("Not recorded in the history: %s (%s)", what, error)
