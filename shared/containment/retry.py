"""What happens to a record whose containment failed: it is tried again, at once or on the schedule of a refusal."""

import logging
from dataclasses import replace
from datetime import timedelta

from shared.containment.verdicts import conclude
from shared.domain.decision.duplicates import due_again
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import AccountBusy, Blocked, SasquashError, WritesThrottled
from shared.persistence.queues import LONGEST_DELAY, SAFETY_NET, Message, backoff
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_LONGEST_FOR_ARM = 4 * 60.0  # seconds, where a try costs two calls and ARM may take dozens of changes by then
_GIVE_UP = timedelta(hours=24)


async def try_again(store: Store, revocation: Revocation, message: Message, error: SasquashError) -> None:
    """Enqueue what failed transiently. What is refused, or failed for a day, is `failed` until its next attempt."""
    now = store.clock()
    if isinstance(error, AccountBusy):
        await store.queues.contain(
            message.fingerprint, delay=error.retry_after, attempt=message.attempt, swept=message.swept
        )
    elif isinstance(error, Blocked):
        await conclude(store, revocation.blocked(error, now=now))
    elif now - revocation.waiting_since > _GIVE_UP:
        what = "Not contained within 24 hours."
        gave_up = Blocked(f"{what} The last failure: {error}", cause=what, is_lasting=True)
        await conclude(store, revocation.blocked(gave_up, now=now))
    else:
        if not message.swept:
            longest = _LONGEST_FOR_ARM if isinstance(error, WritesThrottled) else LONGEST_DELAY
            delay = backoff(message.attempt, error.retry_after, longest=longest)
            await store.queues.contain(message.fingerprint, delay=delay, attempt=message.attempt + 1)
        await _note_wait(store, revocation, error)


async def tried_again(store: Store, revocation: Revocation) -> Revocation:
    """Return a record whose action was refused as `received`, if its next attempt is due; else as it is.

    Raises TransientFailure or Conflict.
    """
    if due_again(revocation, now=store.clock()) is None:
        return revocation
    await store.accounts.add_waiting(revocation.to_weigh)
    await store.queues.contain(revocation.fingerprint, delay=SAFETY_NET)
    refusal = revocation.refusal
    what = f"Tried again. Before: {refusal.cause}" if refusal is not None else ""
    resumed = await store.revocations.change(
        revocation.fingerprint, lambda current: due_again(current, now=store.clock()), what=what, known=revocation
    )
    return resumed or await store.revocations.read(revocation.fingerprint) or revocation


async def _note_wait(store: Store, revocation: Revocation, failure: SasquashError) -> None:
    """Write into the record what it waits for, so that responders need not read logs."""
    detail, for_arm = f"It is being tried again. {failure}", isinstance(failure, WritesThrottled)
    if (revocation.detail, revocation.waits_for_arm) == (detail, for_arm):
        return

    def note(current: Revocation) -> Revocation | None:
        noted = replace(current, detail=detail, waits_for_arm=for_arm)
        return noted if current.state is State.RECEIVED and noted != current else None

    try:
        await store.revocations.change(revocation.fingerprint, note, what=detail)
    except SasquashError as error:  # it is enqueued already, and must not be twice
        _log.warning("Not noted what %s waits for (%s): %s", revocation.fingerprint[:12], error.code, error)
