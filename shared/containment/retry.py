"""What happens to a record whose containment failed: it is tried again, or it ends and says why."""

import logging
from dataclasses import replace
from datetime import timedelta

from shared.containment.verdicts import conclude
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import AccountBusy, Blocked, SasquashError, WritesThrottled
from shared.persistence.queues import LONGEST_DELAY, Message, backoff
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_LONGEST_FOR_ARM = 4 * 60.0  # seconds, where a try costs two calls and ARM may take dozens of changes by then
_GIVE_UP = timedelta(hours=24)


async def try_again(store: Store, revocation: Revocation, message: Message, error: SasquashError) -> None:
    """Enqueue what failed transiently; end the record after a day, or where only a person can help."""
    now = store.clock()
    if isinstance(error, AccountBusy):
        await store.queues.contain(
            message.fingerprint, delay=error.retry_after, attempt=message.attempt, swept=message.swept
        )
    elif isinstance(error, Blocked):
        await conclude(store, revocation.end(Reason.BLOCKED, now=now, detail=str(error)))
    elif now - revocation.waiting_since > _GIVE_UP:
        detail = f"Not contained within 24 hours. The last failure: {error}"
        await conclude(store, revocation.end(Reason.BLOCKED, now=now, detail=detail))
    else:
        if not message.swept:
            longest = _LONGEST_FOR_ARM if isinstance(error, WritesThrottled) else LONGEST_DELAY
            delay = backoff(message.attempt, error.retry_after, longest=longest)
            await store.queues.contain(message.fingerprint, delay=delay, attempt=message.attempt + 1)
        await _note_wait(store, revocation, error)


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
