"""The queue listener with a queue in memory: processing, poison messages, leases, batches, polling."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient
from azure_functions_runtime.bindings.datumdef import Datum

from local.host import queues
from local.host.app_loader import Function, QueueTrigger
from local.host.configuration import MessageEncoding, QueueOptions
from local.host.invocation import Invoker, Outcome
from local.host.queues import QueueListener
from tests.support.patience import PATIENCE

FUNCTION = Function("f", "1", "message", QueueTrigger("work", "S"))
OPTIONS = QueueOptions(
    batch_size=4, new_batch_threshold=1, max_dequeue_count=3, visibility_timeout=timedelta(seconds=30)
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Queue:
    """The part of a QueueClient that the listener uses. `calls` are its calls, in order."""

    def __init__(self, *batches: list[QueueMessage]) -> None:
        self.queue_name = "work"
        self.batches = list(batches)
        self.calls: list[tuple[Any, ...]] = []
        self.exists = True
        self.lease = timedelta(minutes=10)
        self.renewed = asyncio.Event()
        self.broken: Exception | None = None

    def receive_messages(self, *, messages_per_page: int, visibility_timeout: int) -> "Queue":
        self.calls.append(("receive", messages_per_page, visibility_timeout))
        return self

    async def by_page(self) -> AsyncIterator[AsyncIterator[QueueMessage]]:
        if self.broken is not None:
            raise self.broken
        batch = self.batches.pop(0) if self.batches else []

        async def page() -> AsyncIterator[QueueMessage]:
            for message in batch:
                yield message

        yield page()

    async def delete_message(self, message: str, pop_receipt: str) -> None:
        self.calls.append(("delete", message, pop_receipt))

    async def update_message(self, message: str, pop_receipt: str, *, visibility_timeout: int) -> QueueMessage:
        self.calls.append(("update", message, pop_receipt, visibility_timeout))
        self.renewed.set()
        return waiting(message, "renewed", lease=self.lease)

    async def send_message(self, content: str) -> None:
        if not self.exists:
            raise ResourceNotFoundError
        self.calls.append(("send", content))

    async def create_queue(self) -> None:
        self.calls.append(("create",))
        self.exists = True


def waiting(
    name: str, text: str = "x", *, attempt: int = 1, lease: timedelta = timedelta(minutes=10)
) -> QueueMessage:
    message = QueueMessage(
        content=text, id=name, pop_receipt="renewed" if text == "renewed" else "first", dequeue_count=attempt
    )
    message.inserted_on = message.expires_on = datetime.now(UTC)
    message.next_visible_on = datetime.now(UTC) + lease
    return message


class Calls:
    """Stands in for the invoker: calls `function`, and keeps the payloads."""

    def __init__(self, function: Callable[[], Awaitable[bool]]) -> None:
        self.function = function
        self.payloads: list[Datum] = []
        self.metadata: list[Mapping[str, Datum]] = []

    async def invoke(self, function: Function, payload: Datum, metadata: Mapping[str, Datum]) -> Outcome:
        self.payloads.append(payload)
        self.metadata.append(metadata)
        return Outcome(succeeded=await self.function())


async def succeed() -> bool:
    return True


async def fail() -> bool:
    return False


def listener(
    queue: Queue,
    calls: Calls,
    *,
    options: QueueOptions = OPTIONS,
    poison: Queue | None = None,
    has_poison: bool = True,
) -> QueueListener:
    return QueueListener(
        FUNCTION,
        queue=cast(QueueClient, queue),
        poison_queue=cast(QueueClient, poison or Queue()) if has_poison else None,
        options=options,
        invoker=cast(Invoker, calls),
    )


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip the pauses of the listener; the value is their lengths."""
    taken: list[float] = []
    real = queues.pause

    async def pause(stopping: asyncio.Event, seconds: float) -> bool:
        if stopping.is_set() or seconds > 100:  # half of a lease, which no test waits for
            return await real(stopping, seconds)
        taken.append(seconds)
        await asyncio.sleep(0)
        if len(taken) >= 6:
            stopping.set()
        return stopping.is_set()

    monkeypatch.setattr(queues, "pause", pause)
    return taken


async def run(queue: Queue, calls: Calls, **how: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        await listener(queue, calls, **how).run(asyncio.Event())


def settled(queue: Queue) -> list[tuple[Any, ...]]:
    return [call for call in queue.calls if call[0] != "receive"]


async def test_processed_message_is_deleted(pauses: list[float]) -> None:
    queue, calls = Queue([waiting("m", encoded("hällo"))]), Calls(succeed)
    await run(queue, calls)
    assert settled(queue) == [("delete", "m", "first")]
    assert calls.payloads == [Datum("hällo", "string")]


async def test_message_has_its_metadata(pauses: list[float]) -> None:
    calls = Calls(succeed)
    await run(Queue([waiting("m", encoded("x"), attempt=2)]), calls)
    assert calls.metadata[0]["Id"] == Datum("m", "string")
    assert calls.metadata[0]["DequeueCount"] == Datum("2", "json")


@pytest.mark.parametrize("text", ["plain", '{"a": 1}', encoded("plain"), base64.b64encode(b"\xff\xfe").decode(), ""])
async def test_without_an_encoding_a_message_is_its_text_as_stored(pauses: list[float], text: str) -> None:
    """azure-functions-host 4.1037 with `messageEncoding: none`, tried."""
    calls = Calls(succeed)
    await run(Queue([waiting("m", text)]), calls, options=QueueOptions(message_encoding=MessageEncoding.NONE))
    assert calls.payloads == [Datum(text, "string")]


async def test_base64_of_no_text_fails_at_every_try_without_the_function(pauses: list[float]) -> None:
    """azure-functions-host 4.1037 with `messageEncoding: base64`, tried: "cannot be converted to string"."""
    text = base64.b64encode(b"\xff\xfe").decode()
    queue, poison, calls = Queue([waiting("m", text)], [waiting("m", text, attempt=3)]), Queue(), Calls(succeed)
    await run(queue, calls, poison=poison)
    assert (calls.payloads, poison.calls) == ([], [("send", text)])
    assert settled(queue) == [("update", "m", "first", 30), ("delete", "m", "first")]


# A poison queue has none itself: azure-functions-host 4.1037, tried; QueueListenerFactory.CreatePoisonQueueReference,
# QueueProcessor.CompleteProcessingMessageAsync and BeginProcessingMessageAsync (Azure/azure-sdk-for-net).


@pytest.mark.parametrize("attempt", [1, 3])
async def test_message_that_fails_in_a_poison_queue_stays_hidden(pauses: list[float], attempt: int) -> None:
    queue, calls = Queue([waiting("m", encoded("x"), attempt=attempt)]), Calls(fail)
    await run(queue, calls, has_poison=False)
    assert (len(calls.payloads), settled(queue)) == (1, [])


async def test_message_that_failed_too_often_in_a_poison_queue_reaches_no_function(pauses: list[float]) -> None:
    queue, calls = Queue([waiting("m", encoded("x"), attempt=4)]), Calls(succeed)
    await run(queue, calls, has_poison=False)
    assert (calls.payloads, settled(queue)) == ([], [])


async def test_unreadable_message_in_a_poison_queue_stays_hidden(pauses: list[float]) -> None:
    queue, calls = Queue([waiting("m", "no base64!")]), Calls(succeed)
    await run(queue, calls, has_poison=False)
    assert (calls.payloads, settled(queue)) == ([], [])


async def test_failed_message_becomes_visible_after_the_timeout(pauses: list[float]) -> None:
    queue = Queue([waiting("m", encoded("x"), attempt=2)])
    await run(queue, Calls(fail))
    assert settled(queue) == [("update", "m", "first", 30)]


async def test_message_moves_unchanged_to_the_poison_queue_after_the_last_failure(
    pauses: list[float],
) -> None:
    queue, poison = Queue([waiting("m", encoded("x"), attempt=3)]), Queue()
    poison.exists = False
    await run(queue, Calls(fail), poison=poison)
    assert poison.calls == [("create",), ("send", encoded("x"))]
    assert settled(queue) == [("delete", "m", "first")]


async def test_message_dequeued_too_often_is_not_retried(pauses: list[float]) -> None:
    queue, poison, calls = Queue([waiting("m", encoded("x"), attempt=4)]), Queue(), Calls(succeed)
    await run(queue, calls, poison=poison)
    assert (calls.payloads, poison.calls) == ([], [("send", encoded("x"))])


async def test_message_that_is_not_base64_is_poison_at_once(pauses: list[float]) -> None:
    queue, poison, calls = Queue([waiting("m", "no base64!")]), Queue(), Calls(succeed)
    await run(queue, calls, poison=poison)
    assert (calls.payloads, poison.calls) == ([], [("send", "no base64!")])


async def test_lease_of_a_long_message_is_renewed() -> None:
    queue = Queue([waiting("m", encoded("x"), lease=timedelta(seconds=1))])
    stopping = asyncio.Event()

    async def long() -> bool:
        await queue.renewed.wait()
        stopping.set()
        return True

    async with asyncio.timeout(PATIENCE):
        await listener(queue, Calls(long)).run(stopping)
    assert settled(queue) == [("update", "m", "first", 600), ("delete", "m", "renewed")]


async def test_polling_slows_down_while_the_queue_is_empty(pauses: list[float]) -> None:
    await run(Queue(), Calls(succeed), options=QueueOptions(max_polling_interval=timedelta(seconds=1)))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1, 1]


async def test_polling_is_fast_again_after_messages(pauses: list[float]) -> None:
    queue = Queue([], [], [waiting("m", encoded("x"))], [])
    await run(queue, Calls(succeed))
    assert pauses[:3] == [0.1, 0.2, 0.1]


async def test_message_is_hidden_for_ten_minutes_from_its_fetch(pauses: list[float]) -> None:
    """azure-functions-host 4.1037, tried: the message of a host that crashed comes back after up to ten minutes."""
    queue = Queue([waiting("m", encoded("x"))])
    await run(queue, Calls(succeed))
    assert queue.calls[0] == ("receive", 4, 600)


async def test_queue_of_a_trigger_is_not_made_by_the_host(pauses: list[float]) -> None:
    """azure-functions-host 4.1037, tried."""
    queue = Queue()
    queue.broken = ResourceNotFoundError()
    await run(queue, Calls(succeed))
    assert settled(queue) == []


async def test_missing_or_unavailable_queue_is_polled_again(pauses: list[float]) -> None:
    for broken in (ResourceNotFoundError(), HttpResponseError("a-secret")):
        pauses.clear()
        queue = Queue()
        queue.broken = broken
        await run(queue, Calls(succeed))
        assert len(pauses) == 6


async def test_next_batch_is_fetched_when_few_enough_messages_are_left() -> None:
    first = [waiting(name, encoded(name)) for name in ("a", "b", "c")]
    queue = Queue(first, [waiting("d", encoded("d"))])
    stopping, began, free = asyncio.Event(), asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def gated() -> bool:
        began.release()
        await free.acquire()
        return True

    calls = Calls(gated)
    running = asyncio.create_task(listener(queue, calls).run(stopping))
    async with asyncio.timeout(PATIENCE):
        for _ in first:
            await began.acquire()
        assert len(calls.payloads) == 3
        free.release()
        free.release()  # one left: the threshold
        await began.acquire()
        assert calls.payloads[-1] == Datum("d", "string")
        stopping.set()
        free.release()
        free.release()
        await running


async def test_stopped_listener_completes_received_messages() -> None:
    queue = Queue([waiting("m", encoded("x"))])
    stopping, go_on = asyncio.Event(), asyncio.Event()

    async def held() -> bool:
        stopping.set()
        await go_on.wait()
        return True

    running = asyncio.create_task(listener(queue, Calls(held)).run(stopping))
    async with asyncio.timeout(PATIENCE):
        await stopping.wait()
        go_on.set()
        await running
    assert settled(queue) == [("delete", "m", "first")]
