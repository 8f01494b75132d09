"""Azure Resource Manager's limits, kept before they are hit: a policy in the pipeline of every client of ARM.

The storage resource provider takes, per subscription and region, 10 writes a second and 1,200 an hour ("Azure Storage
resource provider limits"). What would be more is not sent, and raises Throttled: nothing has happened, and it may be
tried again. So it is with any call after a 429, until the time that ARM names has passed. Reads and lists are limited
by that alone: their limits are per region, which we don't know, and a 429 costs nothing but time.

azure-core's own retries would sleep for as long as Retry-After says, inside the call and under an account's lock. So
a 429 never reaches them.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from shared.cloud.errors import retry_after
from shared.errors import Throttled, WritesThrottled

_SUBSCRIPTION = re.compile(r"/subscriptions/([0-9a-f-]{36})/", re.IGNORECASE)
_LISTING = re.compile(r"/listkeys\?", re.IGNORECASE)
_ACCOUNTS = re.compile(r"/providers/microsoft\.storage/storageaccounts\?", re.IGNORECASE)
_CHANGING = re.compile(r"/(regeneratekey|revokeuserdelegationkeys)\?", re.IGNORECASE)
_DEFAULT_WAIT = 10.0  # seconds, where a 429 names none


class Kind(StrEnum):
    """The kinds of calls that ARM limits separately."""

    WRITE = "write"
    LIST = "list"  # of keys
    ACCOUNTS = "list of accounts"
    READ = "read"


@dataclass(frozen=True, slots=True)
class _Limit:
    """`burst` calls at once, and one more every `seconds`."""

    burst: int
    seconds: float


# What a burst and what flows in meanwhile come to is below ARM's own: 9 writes in a second and 1,160 in an hour.
_LIMITS = {Kind.WRITE: (_Limit(5, 0.25), _Limit(580, 6.2))}


@dataclass(slots=True)
class _Reserved:
    """A call that was counted and not sent yet."""

    subscription: str
    used: bool = False


_reserved: ContextVar[_Reserved | None] = ContextVar("reserved", default=None)  # of the task, and those it starts


class ArmPace:
    """Recent calls and the current throttling of each subscription. One per process."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._spent: dict[tuple[str, Kind, _Limit], tuple[float, datetime]] = {}
        self._closed_until: dict[tuple[str, Kind], datetime] = {}

    @contextmanager
    def write_reserved(self, subscription: str) -> Iterator[None]:
        """Count a call that may change something, before it is known whether one will. Raises WritesThrottled.

        The first such call of the block is the one that was counted. Where there is none, it is as if nothing was.
        """
        self.admit(subscription, Kind.WRITE)
        reserved = _Reserved(subscription)
        token = _reserved.set(reserved)
        try:
            yield
        finally:
            _reserved.reset(token)
            if not reserved.used:
                self._give_back(subscription)

    def admit(self, subscription: str, kind: Kind) -> None:
        """Count a call that is about to be sent. Raises Throttled where it must not be."""
        now, key = self._clock(), (subscription, kind)
        closed = self._closed_until.get(key, now)
        if now < closed:
            raise _throttled(kind, (closed - now).total_seconds(), "ARM asked for it")
        if kind is Kind.WRITE and _use_reserved(subscription):
            return
        spent = {limit: self._left_over((*key, limit), now) for limit in _LIMITS.get(kind, ())}
        wait = max(((used + 1.0 - limit.burst) * limit.seconds for limit, used in spent.items()), default=0.0)
        if wait > 0:
            raise _throttled(kind, wait, "more would exceed its limits")
        for limit, used in spent.items():
            self._spent[*key, limit] = (used + 1.0, now)

    def _give_back(self, subscription: str) -> None:
        """Uncount a change that was not sent."""
        for limit in _LIMITS[Kind.WRITE]:
            used, since = self._spent[subscription, Kind.WRITE, limit]
            self._spent[subscription, Kind.WRITE, limit] = (max(used - 1.0, 0.0), since)

    def _left_over(self, key: tuple[str, Kind, _Limit], now: datetime) -> float:
        """Return how much of a limit is used up still."""
        used, since = self._spent.get(key, (0.0, now))
        return max(used - (now - since).total_seconds() / key[2].seconds, 0.0)

    def throttled(self, subscription: str, kind: Kind, *, seconds: float | None) -> Throttled:
        """Note that ARM answered 429; return the error to raise."""
        wait = _DEFAULT_WAIT if seconds is None else seconds
        self._closed_until[subscription, kind] = self._clock() + timedelta(seconds=wait)
        return _throttled(kind, wait, "ARM asked for it")


class ArmPacePolicy(AsyncHTTPPolicy[Any, Any]):
    """Puts the pace into a client's pipeline, behind the retries: each attempt counts."""

    def __init__(self, pace: ArmPace) -> None:
        super().__init__()
        self._pace = pace

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send the request on, if it may be. Raises Throttled."""
        subscription, kind = classify(request.http_request.method, request.http_request.url)
        self._pace.admit(subscription, kind)
        response = await self.next.send(request)
        if response.http_response.status_code == 429:
            seconds = retry_after(response.http_response.headers)
            raise self._pace.throttled(subscription, kind, seconds=seconds)
        return response


def _use_reserved(subscription: str) -> bool:
    """Whether the call was counted before."""
    reserved = _reserved.get()
    if reserved is None or reserved.used or reserved.subscription != subscription:
        return False
    reserved.used = True
    return True


def classify(method: str, url: str) -> tuple[str, Kind]:
    """Return the subscription that a call counts for ("" where it names none), and as what."""
    match = _SUBSCRIPTION.search(url)
    subscription = match[1].lower() if match is not None else ""
    if _LISTING.search(url):
        return subscription, Kind.LIST
    if _ACCOUNTS.search(url):
        return subscription, Kind.ACCOUNTS
    changes = method in ("PUT", "PATCH", "DELETE") or _CHANGING.search(url) is not None
    return subscription, Kind.WRITE if changes else Kind.READ


def _throttled(kind: Kind, seconds: float, why: str) -> Throttled:
    # Without the seconds: a record has this text, and must not change with each of them.
    error = WritesThrottled if kind is Kind.WRITE else Throttled
    return error(f"No {kind} is sent to ARM for now: {why}. It is sent automatically later.", retry_after=seconds)
