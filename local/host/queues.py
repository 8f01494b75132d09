"""Queue triggers, as the Storage extension 5.x runs them.

Source: azure-functions-host 4.1037 with Storage.Queues 5.3.10, tried; "Azure Queue storage trigger for Azure
Functions"; Microsoft.Azure.WebJobs.Extensions.Storage.Queues in Azure/azure-sdk-for-net: QueueListener (polling,
batches, the lease) and QueueProcessor (delete, release, poison).

A poison queue has no poison queue: a message that its function fails on stays hidden until its lease ends, and after
`maxDequeueCount` failures no function gets it again.
"""

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.app_loader import Function
from local.host.configuration import MessageEncoding, QueueOptions
from local.host.invocation import Invoker
from local.host.waiting import pause

_log = logging.getLogger("host")

_SHORTEST_POLL = 0.1
_LEASE_SECONDS = 600  # how long a message stays invisible during its invocation; renewed at half time
_SHORTEST_RENEWAL = 0.5


@dataclass(slots=True)
class _Lease:
    """The lease of a message. Both fields change when it is renewed."""

    pop_receipt: str
    ends: datetime

    def half(self, now: datetime) -> float:
        """Return half of the remaining seconds.

        Uses the time in the response, not the requested one: the local cloud shortens leases.
        """
        return max(_SHORTEST_RENEWAL, (self.ends - now).total_seconds() / 2)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class QueueListener:
    """Polls one queue and invokes one function per message.

    `idle` (stopping, seconds) waits between two polls of an empty queue, and `now` is the clock; tests replace both.
    """

    def __init__(
        self,
        function: Function,
        *,
        queue: QueueClient,
        poison_queue: QueueClient | None,
        options: QueueOptions,
        invoker: Invoker,
        idle: Callable[[asyncio.Event, float], Awaitable[object]] | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison_queue = poison_queue
        self._options = options
        self._invoker = invoker
        self._idle = idle
        self._now = now
        self._working: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until `stopping` is set; return when the received messages are processed."""
        longest = self._options.max_polling_interval.total_seconds()
        idle = _SHORTEST_POLL
        while not stopping.is_set():
            messages = await self._receive()
            self._working.update(asyncio.create_task(self._process(message)) for message in messages)
            if messages:
                idle = _SHORTEST_POLL
                await self._wait_for_capacity(stopping)
            else:
                await (self._idle or pause)(stopping, idle)
                idle = min(idle * 2, longest)
        await asyncio.gather(*self._working)

    async def _receive(self) -> list[QueueMessage]:
        try:
            pages = self._queue.receive_messages(
                messages_per_page=self._options.batch_size, visibility_timeout=_LEASE_SECONDS
            ).by_page()
            async for page in pages:
                return [message async for message in page]
        except ResourceNotFoundError:
            pass  # the queue does not exist yet; the host does not create it either
        except AzureError as error:
            _log.warning("Polling queue '%s' failed: %s", self._queue.queue_name, _name(error))
        return []

    async def _wait_for_capacity(self, stopping: asyncio.Event) -> None:
        """Wait until few enough messages are in process to receive the next batch."""
        stopped = asyncio.create_task(stopping.wait())
        try:
            while len(self._working) > self._options.new_batch_threshold and not stopping.is_set():
                await asyncio.wait({stopped, *self._working}, return_when=asyncio.FIRST_COMPLETED)
                self._forget_finished()
        finally:
            stopped.cancel()
        self._forget_finished()

    def _forget_finished(self) -> None:
        finished = {task for task in self._working if task.done()}
        self._working -= finished
        for task in finished:
            task.result()  # `_process` handles errors of services; anything else is a bug and ends the host

    async def _process(self, message: QueueMessage) -> None:
        lease = _Lease(pop_receipt=message.pop_receipt or "", ends=message.next_visible_on or self._now())
        attempts = message.dequeue_count or 0
        payload = _decode(message.content, self._options.message_encoding)
        try:
            if payload is None:
                _log.error("Message %s is not in %s", message.id, self._options.message_encoding)
            if payload is None or attempts > self._options.max_dequeue_count:
                await self._to_poison(message, lease)
            elif await self._invoke(message, payload, lease):
                await self._queue.delete_message(message.id, lease.pop_receipt)
            elif self._poison_queue is None:
                _log.error("Message %s of queue '%s' stays hidden", message.id, self._queue.queue_name)
            elif attempts >= self._options.max_dequeue_count:
                await self._to_poison(message, lease)
            else:
                await self._queue.update_message(
                    message.id,
                    lease.pop_receipt,
                    visibility_timeout=int(self._options.visibility_timeout.total_seconds()),
                )
        except AzureError as error:
            # The lease was lost, or storage is unavailable: the message becomes visible again.
            _log.warning(
                "Message %s of queue '%s' was not settled: %s",
                message.id,
                self._queue.queue_name,
                _name(error),
            )

    async def _invoke(self, message: QueueMessage, payload: Datum, lease: _Lease) -> bool:
        """Call the function, and keep the message hidden meanwhile. Return whether it succeeded."""
        if payload.type is None:
            _log.error("Message %s cannot be converted to string", message.id)
            return False
        done = asyncio.Event()
        renewing = asyncio.create_task(self._renew(message, lease, done))
        try:
            return (await self._invoker.invoke(self._function, payload, _metadata(message))).succeeded
        finally:
            done.set()  # not canceled: a renewal in progress changes the pop receipt
            await renewing

    async def _renew(self, message: QueueMessage, lease: _Lease, done: asyncio.Event) -> None:
        while not await pause(done, lease.half(self._now())):
            try:
                renewed = await self._queue.update_message(
                    message.id, lease.pop_receipt, visibility_timeout=_LEASE_SECONDS
                )
            except AzureError as error:
                _log.warning("Lease of message %s was not renewed: %s", message.id, _name(error))
            else:
                lease.pop_receipt = renewed.pop_receipt or lease.pop_receipt
                lease.ends = renewed.next_visible_on or lease.ends

    async def _to_poison(self, message: QueueMessage, lease: _Lease) -> None:
        """Move the message to `<queue>-poison`, with its text as stored. One in a poison queue is left hidden."""
        poison = self._poison_queue
        if poison is None:
            _log.error("Message %s of queue '%s' reaches no function", message.id, self._queue.queue_name)
            return
        _log.error(
            "Message %s goes to queue '%s' after %d of %d attempts",
            message.id,
            poison.queue_name,
            message.dequeue_count,
            self._options.max_dequeue_count,
        )
        try:
            await poison.send_message(message.content)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):  # created meanwhile, for another message or by another host
                await poison.create_queue()
            await poison.send_message(message.content)
        await self._queue.delete_message(message.id, lease.pop_receipt)


def _decode(text: str, encoding: MessageEncoding) -> Datum | None:
    """Return the message for the Functions worker; None if it is not encoded as host.json says.

    A message without a type is one that the host cannot bind: it decodes base64 to text only.
    """
    if encoding is MessageEncoding.NONE:
        return Datum(text, "string")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # the latter for characters beyond ASCII
        return None
    try:
        return Datum(content.decode(), "string")
    except UnicodeDecodeError:
        return Datum(None, None)


def _metadata(message: QueueMessage) -> Mapping[str, Datum]:
    metadata = {
        "Id": Datum(message.id, "string"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
        "DequeueCount": Datum(json.dumps(message.dequeue_count), "json"),
    }
    moments = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    for name, moment in moments.items():
        if moment is not None:
            metadata[name] = Datum(json.dumps(moment.astimezone(UTC).isoformat()), "json")
    return metadata


def _name(error: AzureError) -> str:
    """Return type and code of an error, without its text, which may quote a URL or a message."""
    code = getattr(error, "error_code", None)
    if isinstance(error, HttpResponseError):
        return f"{type(error).__name__} {error.status_code} {getattr(code, 'value', code) or ''}".rstrip()
    return type(error).__name__
