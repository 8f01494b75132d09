"""The queues: `contain` (the fast path, again), `follow-up` (the slow path), and `intake` (alerts to be read).

`findings` is Event Grid's, in a private network: `event_queue` reads it.

A message is JSON. It is written in base64, which every reader of queues takes, and read in either form: the
Functions host passes on what is stored (host.json, `messageEncoding: none`), since with `base64` it passes no message
in another form to a function (docs/decisions/0029-queue-messages-are-decoded-by-the-app.md).
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from shared.domain.known_paths import NOTHING, Part
from shared.domain.readings import Reading
from shared.errors import MalformedEvent
from shared.persistence.own_storage import own_queues
from shared.persistence.rows import SCHEMA

CONTAIN_QUEUE = "contain"
FOLLOW_UP_QUEUE = "follow-up"
INTAKE_QUEUE = "intake"
FINDINGS_QUEUE = "findings"
POISON = "-poison"  # what the Functions host adds to the name of the queue in which a message failed each time

SAFETY_NET = 45.0  # seconds until the queued message takes over from an instance that did not finish
LONGEST_DELAY = 15 * 60.0  # seconds between two tries
_FIRST_DELAY = 1.0
_FINGERPRINT = re.compile(r"[0-9a-f]{2,64}")


@dataclass(frozen=True, slots=True)
class Message:
    """What a queue holds: which record, and how often this has been tried.

    `swept`: the sweep sent it, and will again. It is not put back when it fails, or each sweep would add one that is.
    `paths` and `respelled` are a `known_paths.Part`: reported while the record was full of paths to try.

    `schema` is as in rows (`rows.SCHEMA`). What is to be kept is in the record: an older version that sends a message
    again drops fields that it does not know.
    """

    fingerprint: str
    attempt: int = 0
    swept: bool = False
    paths: tuple[str | None, ...] = ()
    respelled: tuple[Reading, ...] = ()
    schema: int = SCHEMA

    @property
    def left_out(self) -> Part:
        """The readings that the record does not have yet."""
        return Part(self.paths, self.respelled)


class _Numbered(msgspec.Struct):
    schema: int = SCHEMA


def read(stored: bytes) -> Message:
    """Return the message in `stored`. Raises MalformedEvent for anything that the app did not write."""
    message = decode(stored, Message)
    if not _FINGERPRINT.fullmatch(message.fingerprint):  # else no record has it, or it can't even be looked up
        raise _foreign()
    return message


def decode[M](stored: bytes, kind: type[M]) -> M:
    """Return the message of that kind in `stored`: JSON, or base64 of it.

    Raises MalformedEvent, also for a message of a newer format: it is kept, and people are notified.
    """
    try:
        text = json_in(stored)
        is_newer = msgspec.json.decode(text, type=_Numbered).schema > SCHEMA
        message = msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _foreign() from None
    if is_newer:
        raise MalformedEvent("A queue message is of a newer version of Sasquash: deploy that again.")
    return message


def _foreign() -> MalformedEvent:
    return MalformedEvent("A queue message was not written by Sasquash: nothing else may write to its queues.")


def encode(message: object) -> str:
    """Return the text of a queue message."""
    return base64.b64encode(msgspec.json.encode(message)).decode()


def json_in(stored: bytes) -> bytes:
    """Return the JSON in a message: the message itself, or what it is base64 of."""
    try:
        return base64.b64decode(b"".join(stored.split()), validate=True)
    except binascii.Error:  # as for every JSON object: base64 has no braces
        return stored


def backoff(attempt: int, retry_after: float | None = None, *, longest: float = LONGEST_DELAY) -> float:
    """Seconds until the next try: 1, doubled with each attempt up to `longest`, never less than was asked for."""
    return max(min(_FIRST_DELAY * 2.0 ** min(attempt, 16), longest), retry_after or 0.0)


class Queues:
    """Sends messages to the app itself."""

    def __init__(self, *, contain: QueueClient, follow_up: QueueClient) -> None:
        self._contain = contain
        self._follow_up = follow_up

    async def contain(
        self,
        fingerprint: str,
        *,
        delay: float,
        attempt: int = 0,
        swept: bool = False,
        left_out: Part = NOTHING,
    ) -> None:
        """Have the record contained (again) in `delay` seconds, with the readings that it does not have yet."""
        await _send(self._contain, Message(fingerprint, attempt, swept, left_out.paths, left_out.respelled), delay)

    async def follow_up(self, fingerprint: str, *, delay: float = 0.0, attempt: int = 0, swept: bool = False) -> None:
        """Have the record followed up in `delay` seconds."""
        await _send(self._follow_up, Message(fingerprint, attempt, swept), delay)


async def _send(queue: QueueClient, message: Message, delay: float) -> None:
    with own_queues(f"Sending a message to queue {queue.queue_name}"):
        # Rounded up: a message that comes too early finds the lock still held and waits again.
        await queue.send_message(encode(message), visibility_timeout=-int(-delay // 1))


class PoisonQueues:
    """The queues of messages that failed each time. `queue` is the name of the queue in which they did."""

    def __init__(self, open_queue: Callable[[str], QueueClient]) -> None:
        self._open = open_queue
        self._clients: dict[str, QueueClient] = {}

    async def put_back(self, queue: str, stored: bytes) -> None:
        """Have a message passed on again in a quarter of an hour, as if for the first time."""
        with own_queues(f"Putting a message back into queue {queue}{POISON}"):
            await self._client(queue).send_message(stored.decode(), visibility_timeout=int(LONGEST_DELAY))

    async def count(self, queue: str) -> int:
        """Return how many messages there are, those included that are hidden. 0 where there is no queue."""
        with own_queues(f"Counting the messages in queue {queue}{POISON}"):
            try:
                properties = await self._client(queue).get_queue_properties()
            except ResourceNotFoundError:
                return 0
            return properties.approximate_message_count or 0

    def _client(self, queue: str) -> QueueClient:
        if queue not in self._clients:
            self._clients[queue] = self._open(queue + POISON)
        return self._clients[queue]
