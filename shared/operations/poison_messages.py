"""Messages on which a function failed each time, and which the Functions host put into a poison queue.

The host has no place for a message on which the function of a poison queue fails: it passes it on `maxDequeueCount`
times, ten minutes apart, and then to no function until it expires (Azure/azure-sdk-for-net, QueueProcessor and
QueueListenerFactory.CreatePoisonQueueReference). So these functions do not fail: what they can't do now is put back.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable

from azure.storage.blob.aio import ContainerClient

from shared.containment.ingest import Ingest
from shared.containment.verdicts import conclude
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.text import Foreign
from shared.errors import MalformedEvent, SasquashError, UnreadableRow
from shared.operations.failure_records import FailureRecords, is_failure_record
from shared.persistence import alert_queue, event_queue, queues
from shared.persistence.own_storage import own_blobs
from shared.persistence.queues import (
    CONTAIN_QUEUE,
    FINDINGS_QUEUE,
    FOLLOW_UP_QUEUE,
    INTAKE_QUEUE,
    POISON,
    PoisonQueues,
)
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

NOT_EMPTY = "Poison queue %s is not empty: %d messages. docs/operations.md says what to do."
_KEPT = "kept/poison/"
_FOREIGN = (
    "A message in queue {queue} is of an unknown form, and nothing was done about it. It is kept in container "
    "dead-letters as {name}. Find out what writes to the queue."
)


class PoisonMessages:
    """Makes visible what no function could process."""

    def __init__(
        self,
        store: Store,
        *,
        ingest: Ingest,
        settle: Callable[[Revocation], Awaitable[None]],
        poison: PoisonQueues,
        records: FailureRecords,
        kept: Callable[[], ContainerClient],
    ) -> None:
        """`kept` is where messages are put that can't be read. `settle` is `Containment.settle`."""
        self._store = store
        self._settle = settle
        self._ingest = ingest
        self._poison = poison
        self._records = records
        self._kept = kept

    async def failed(self, queue: str, stored: bytes) -> None:
        """Make a message about a record visible. Raises only where it can't be put back either."""
        await self._or_later(queue, stored, self._failed(queue, stored))

    async def unread(self, stored: bytes) -> None:
        """Make an alert visible that could not be read. Raises only where it can't be put back either."""
        await self._or_later(INTAKE_QUEUE, stored, self._unread(stored))

    async def finding(self, stored: bytes) -> None:
        """Take in a finding that could not be recorded. Raises only where it can't be put back either."""
        await self._or_later(FINDINGS_QUEUE, stored, self._finding(stored))

    async def check(self) -> None:
        """Log each poison queue that is not empty, for the alert rule on those that stay so. Never raises."""
        for queue in (CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, FINDINGS_QUEUE):
            try:
                waiting = await self._poison.count(queue)
            except SasquashError as error:
                _log.warning("Poison queue %s was not checked (%s): %s", queue + POISON, error.code, error)
            else:
                if waiting:
                    _log.warning(NOT_EMPTY, queue + POISON, waiting)

    async def _or_later(self, queue: str, stored: bytes, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- whatever it is, the host has no other place for the message
            expected = isinstance(error, SasquashError)
            _log.warning(
                "A message in queue %s is tried again later: %s",
                queue + POISON,
                error if expected else "unexpected error",
                exc_info=not expected,
            )
            await self._poison.put_back(queue, stored)

    async def _failed(self, queue: str, stored: bytes) -> None:
        try:
            message = queues.read(stored)
        except MalformedEvent:
            await self._keep(queue, stored)
            return
        try:
            record = await self._store.revocations.read(message.fingerprint)
        except UnreadableRow as error:
            subject, detail = f"{queue}|{message.fingerprint}", f"A message failed each time. {error}"
            await self._records.write("poison", subject, reason=Reason.CRASHED, detail=detail)
            return
        if record is None:
            return  # its record was never written: its event comes again
        if queue == CONTAIN_QUEUE:
            await self._not_contained(record)
        elif is_failure_record(record):  # or each record about a failure would be the subject of the next
            _log.error("The follow-up of failure record %s fails each time: it has no mail.", record.fingerprint[:12])
        else:
            subject = f"{queue}|{record.fingerprint}"
            await self._records.write("poison", subject, reason=Reason.CRASHED, detail=_unfinished(record))

    async def _not_contained(self, record: Revocation) -> None:
        """End a record whose containment crashed each time; record what that has done before it crashed."""
        if record.state is not State.RECEIVED:
            await self._store.queues.follow_up(record.fingerprint)
            if record.reason is Reason.CRASHED:
                await self._settle(record)
            return
        detail = (
            "Unexpected error: it stopped containment each time. The app's log has it (function contain). Once "
            "fixed, retry the record."
        )
        await conclude(self._store, record.end(Reason.CRASHED, now=self._store.clock(), detail=detail))
        await self._settle(record)

    async def _unread(self, stored: bytes) -> None:
        try:
            message = alert_queue.read(stored)
        except MalformedEvent:
            await self._keep(INTAKE_QUEUE, stored)
            return
        why = message.failure or "Unexpected error: it stopped function read_alert each time."
        detail = (
            f"{message.alert} was reported, and Sasquash could not read what leaked. {Foreign(why, limit=1000)} Once "
            "fixed, have it delivered again, or report the leak by hand."
        )
        await self._records.write("alert", str(message.alert), reason=Reason.UNREAD, detail=detail)

    async def _finding(self, stored: bytes) -> None:
        try:
            reports = event_queue.read(stored)
        except MalformedEvent:
            await self._keep(FINDINGS_QUEUE, stored)
            return
        for report in reports:
            await self._ingest.receive(report)

    async def _keep(self, queue: str, stored: bytes) -> None:
        """Put a message away that can't be read, and record that. It may hold a secret, so nothing of it is shown."""
        digest = hashlib.sha256(stored).hexdigest()
        name = f"{_KEPT}{queue}/{digest}"
        with own_blobs("Keeping a message that can't be read"):
            await self._kept().upload_blob(name, stored, overwrite=True)
        detail = _FOREIGN.format(queue=queue, name=name)
        await self._records.write("poison", f"{queue}|{digest}", reason=Reason.CRASHED, detail=detail)


def _unfinished(record: Revocation) -> str:
    where = f" on account {record.account_name}" if record.account_name else ""
    return (
        f"Unexpected error: it stopped the follow-up of record {record.fingerprint[:12]}{where} each time; that "
        f"record is {record.state}. Its verification, incident or mail may be missing. The app's log has the error "
        "(function follow_up); the sweep tries again."
    )
