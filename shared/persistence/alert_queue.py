"""The queue of alerts that are to be read. A message names an alert, and holds nothing of what it says."""

from dataclasses import dataclass, replace
from datetime import datetime

from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from shared.domain.alert import AlertReference
from shared.persistence.own_storage import own_queues
from shared.persistence.queues import INTAKE_QUEUE, decode, encode
from shared.persistence.rows import SCHEMA


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """An alert to read, since when, how often it was tried, and why it was given up if it was.

    `submitted_by` is the object id of the intake's caller who named it. `schema` is as in `queues.Message`.
    """

    alert: AlertReference
    since: datetime
    attempt: int = 0
    failure: str = ""
    submitted_by: str | None = None
    schema: int = SCHEMA

    def again(self) -> "AlertMessage":
        """Return the message for the next attempt."""
        return replace(self, attempt=self.attempt + 1)


def read(stored: bytes) -> AlertMessage:
    """Return the message in `stored`. Raises MalformedEvent for anything that the app did not write."""
    return decode(stored, AlertMessage)


class AlertQueue:
    """Sends messages to the app itself, and to the queue of unreadable alerts. Raises TransientFailure."""

    def __init__(self, queue: QueueClient, poison: QueueClient) -> None:
        self._queue = queue
        self._poison = poison

    async def send(self, message: AlertMessage, *, delay: float) -> QueueMessage:
        """Have the alert read in `delay` seconds."""
        return await self._send(self._queue, message, delay)

    async def give_up(self, message: AlertMessage) -> None:
        """Have responders notified that the alert can't be read."""
        await self._send(self._poison, message, 0.0)

    async def take_back(self, sent: QueueMessage) -> None:
        """Have the alert not read after all."""
        with own_queues(f"Taking a message back from queue {INTAKE_QUEUE}"):
            await self._queue.delete_message(sent.id, sent.pop_receipt)

    async def hasten(self, sent: QueueMessage) -> None:
        """Have the alert read now."""
        with own_queues(f"Hastening a message in queue {INTAKE_QUEUE}"):
            await self._queue.update_message(sent.id, sent.pop_receipt, visibility_timeout=0)

    async def ping(self) -> None:
        """Raise when the queue can't be reached."""
        with own_queues(f"Reaching queue {INTAKE_QUEUE}"):
            await self._queue.get_queue_properties()

    async def _send(self, queue: QueueClient, message: AlertMessage, delay: float) -> QueueMessage:
        with own_queues(f"Sending a message to queue {queue.queue_name}"):
            return await queue.send_message(encode(message), visibility_timeout=-int(-delay // 1))
