"""The queue service in memory.

Source: REST, "Put Message", "Get Messages", "Peek Messages", "Update Message", "Delete Message", "Queue service error
codes".
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from local.memory.errors import ServiceError, not_modeled
from local.memory.exchange import Answer, Request

_QUEUE = re.compile(r"/(?P<queue>[a-z0-9-]{3,63})(?P<messages>/messages)?(?:/(?P<id>[0-9a-f-]{36}))?")
_XML = {"content-type": "application/xml"}
_WEEK = 7 * 24 * 3600
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class QueuedMessage:
    """A message. `text` is as sent: the clients encode it."""

    id: str
    text: str = field(repr=False)
    inserted: datetime
    expires: datetime
    visible_at: datetime
    receipt: str
    dequeued: int = 0


class Queues:
    """The queues of one account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.queues: dict[str, list[QueuedMessage]] = {}

    def create(self, name: str) -> None:
        """Create a queue if it does not exist."""
        self.queues.setdefault(name, [])

    def next_visible(self, name: str) -> datetime | None:
        """Return when the next message of a queue becomes visible; None if the queue is empty."""
        return min((message.visible_at for message in self.queues.get(name, ())), default=None)

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises ServiceError."""
        match = _QUEUE.fullmatch(request.path.rstrip("/"))
        if match is None:
            raise not_modeled(f"{request.method} on this path of the queue service")
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        name = match["queue"]
        if match["messages"] is None:
            return self._on_queue(request, name, query)
        if name not in self.queues:
            raise ServiceError(404, "QueueNotFound", "The specified queue does not exist.")
        queue = self.queues[name]
        queue[:] = [message for message in queue if message.expires > self._now()]
        if match["id"] is not None:
            return self._on_message(request, queue, match["id"], query)
        if request.method == "POST":
            return self._put(request, queue, query)
        if request.method == "GET":
            return self._peek(queue, query) if query.get("peekonly") == "true" else self._get(queue, query)
        if request.method == "DELETE":
            queue.clear()
            return Answer(204)
        raise not_modeled(f"{request.method} on messages")

    def _on_queue(self, request: Request, name: str, query: dict[str, str]) -> Answer:
        if request.method == "PUT" and not query.get("comp"):
            if name in self.queues:
                return Answer(204)
            self.queues[name] = []
            return Answer(201)
        if name not in self.queues:
            raise ServiceError(404, "QueueNotFound", "The specified queue does not exist.")
        if request.method == "DELETE":
            del self.queues[name]
            return Answer(204)
        if request.method in ("GET", "HEAD") and query.get("comp") == "metadata":
            return Answer(200, {"x-ms-approximate-messages-count": str(len(self.queues[name]))})
        raise not_modeled(f"{request.method} on a queue")

    def _put(self, request: Request, queue: list[QueuedMessage], query: dict[str, str]) -> Answer:
        now = self._now()
        hidden, life = int(query.get("visibilitytimeout", 0)), int(query.get("messagettl", _WEEK))
        if life != -1 and hidden >= life:
            raise ServiceError(
                400, "OutOfRangeQueryParameterValue", "visibilitytimeout must be less than messagettl."
            )
        expires = now + timedelta(seconds=life) if life != -1 else _FOR_EVER
        message = QueuedMessage(
            id=str(uuid.uuid4()),
            text=_text(request.body),
            inserted=now,
            expires=expires,
            visible_at=now + timedelta(seconds=hidden),
            receipt=_receipt(),
        )
        queue.append(message)
        return Answer(201, _XML, _listed([message], receipts=True, texts=False))

    def _get(self, queue: list[QueuedMessage], query: dict[str, str]) -> Answer:
        now = self._now()
        hidden, most = int(query.get("visibilitytimeout", 30)), int(query.get("numofmessages", 1))
        if hidden < 1 or not 1 <= most <= 32:
            raise ServiceError(400, "OutOfRangeQueryParameterValue", "A query parameter is out of range.")
        taken = sorted((m for m in queue if m.visible_at <= now), key=lambda m: m.visible_at)[:most]
        for message in taken:
            message.dequeued += 1
            message.visible_at = now + timedelta(seconds=hidden)
            message.receipt = _receipt()
        return Answer(200, _XML, _listed(taken, receipts=True, texts=True))

    def _peek(self, queue: list[QueuedMessage], query: dict[str, str]) -> Answer:
        now, most = self._now(), int(query.get("numofmessages", 1))
        seen = sorted((m for m in queue if m.visible_at <= now), key=lambda m: m.visible_at)[:most]
        return Answer(200, _XML, _listed(seen, receipts=False, texts=True))

    def _on_message(self, request: Request, queue: list[QueuedMessage], id_: str, query: dict[str, str]) -> Answer:
        message = next((m for m in queue if m.id == id_), None)
        if message is None:
            raise ServiceError(404, "MessageNotFound", "The specified message does not exist.")
        if message.receipt != query.get("popreceipt"):
            raise ServiceError(400, "PopReceiptMismatch", "The specified pop receipt did not match.")
        if request.method == "DELETE":
            queue.remove(message)
            return Answer(204)
        if request.method != "PUT":
            raise not_modeled(f"{request.method} on a message")
        message.visible_at = self._now() + timedelta(seconds=int(query["visibilitytimeout"]))
        message.receipt = _receipt()
        if request.body:
            message.text = _text(request.body)
        headers = {"x-ms-popreceipt": message.receipt, "x-ms-time-next-visible": _time(message.visible_at)}
        return Answer(204, headers)


def _receipt() -> str:
    return uuid.uuid4().hex


def _text(body: bytes) -> str:
    return ET.fromstring(body).findtext("MessageText") or ""  # from the client of a test


def _time(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True) if moment.year < 9999 else ""


def _listed(messages: list[QueuedMessage], *, receipts: bool, texts: bool) -> bytes:
    items = []
    for message in messages:
        lines = [
            f"<MessageId>{message.id}</MessageId>",
            f"<InsertionTime>{_time(message.inserted)}</InsertionTime>",
            f"<ExpirationTime>{_time(message.expires)}</ExpirationTime>",
        ]
        if receipts:
            lines.append(f"<PopReceipt>{message.receipt}</PopReceipt>")
            lines.append(f"<TimeNextVisible>{_time(message.visible_at)}</TimeNextVisible>")
        if texts:
            lines.append(f"<DequeueCount>{message.dequeued}</DequeueCount>")
            lines.append(f"<MessageText>{escape(message.text)}</MessageText>")
        items.append(f"<QueueMessage>{''.join(lines)}</QueueMessage>")
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{head}<QueueMessagesList>{''.join(items)}</QueueMessagesList>".encode()
