"""The queues: `contain` (the fast path, again), `follow-up` (the slow path), and `intake` (alerts to be read)."""

from dataclasses import dataclass

import msgspec
from azure.storage.queue.aio import QueueClient

from shared.cloud.errors import translate_errors
from shared.errors import MalformedEvent

CONTAIN_QUEUE = "contain"
FOLLOW_UP_QUEUE = "follow-up"
INTAKE_QUEUE = "intake"
POISON = "-poison"  # what the Functions host adds to the name of the queue in which a message failed each time

SAFETY_NET = 45.0  # seconds until the queued message takes over from an instance that did not finish
LONGEST_DELAY = 15 * 60.0  # seconds between two tries
_FIRST_DELAY = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """What a queue holds: which record, and how often this has been tried.

    `swept`: the sweep sent it, and will again. It is not put back when it fails, or each sweep would add one that is.
    `paths` were reported while the record was full of paths to try.
    """

    fingerprint: str
    attempt: int = 0
    swept: bool = False
    paths: tuple[str | None, ...] = ()


def read(text: str) -> Message:
    """Return the message in `text`. Raises MalformedEvent for anything that the app did not write."""
    try:
        return msgspec.json.decode(text, type=Message)
    except msgspec.DecodeError:
        raise MalformedEvent(
            "A queue message was not written by Sasquash: nothing else may write to its queues."
        ) from None


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
        paths: tuple[str | None, ...] = (),
    ) -> None:
        """Have the record contained (again) in `delay` seconds, with `paths` that it does not have yet."""
        await _send(self._contain, Message(fingerprint, attempt, swept, paths), delay)

    async def follow_up(self, fingerprint: str, *, delay: float = 0.0, attempt: int = 0, swept: bool = False) -> None:
        """Have the record followed up in `delay` seconds."""
        await _send(self._follow_up, Message(fingerprint, attempt, swept), delay)


async def _send(queue: QueueClient, message: Message, delay: float) -> None:
    with translate_errors(f"Sending a message to queue {queue.queue_name}"):
        # Rounded up: a message that comes too early finds the lock still held and waits again.
        await queue.send_message(msgspec.json.encode(message).decode(), visibility_timeout=-int(-delay // 1))
