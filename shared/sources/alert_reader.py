"""Reads the alerts that other tools keep, and publishes what leaked: at once where that is quick, else from a queue.

An alert is in the queue before it is looked at, since most tools tell of it once and never again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from azure.storage.queue import QueueMessage

from shared.cloud.event_grid import Publisher
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.errors import Blocked, SasquashError
from shared.persistence.alert_queue import AlertMessage, AlertQueue
from shared.persistence.queues import SAFETY_NET, backoff
from shared.redaction import redact
from shared.sources.findings import Found

_log = logging.getLogger(__name__)

_INLINE = 0.7  # seconds, for all alerts of a report; whoever reports is to be answered within one
_AT_ONCE = 8  # alerts that are read side by side
_GIVE_UP = timedelta(hours=24)
_LONGEST_FAILURE = 500


class ReadsAlerts(Protocol):
    """A tool that keeps alerts."""

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return what leaked. Raises Blocked or TransientFailure."""


class AlertReader:
    """Reads alerts of the tools that are set up; `tools` make each at its first use, None for one that is not."""

    def __init__(
        self,
        tools: Mapping[AlertSource, Callable[[], ReadsAlerts | None]],
        queue: AlertQueue,
        publisher: Publisher,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._tools = tools
        self._queue = queue
        self._publisher = publisher
        self._clock = clock

    async def take(self, alerts: Iterable[AlertReference]) -> dict[AlertReference, tuple[Finding, ...] | None]:
        """Have alerts read; return what was published of each, None where that will take longer.

        Raises TransientFailure or Blocked only when one is not durable: then they are to be reported again.
        """
        until = asyncio.get_running_loop().time() + _INLINE
        places = asyncio.Semaphore(_AT_ONCE)

        async def take(alert: AlertReference) -> tuple[Finding, ...] | None:
            async with places:
                return await self._take(alert, until=until)

        wanted = list(dict.fromkeys(alerts))
        return dict(zip(wanted, await asyncio.gather(*(take(alert) for alert in wanted)), strict=True))

    async def _take(self, alert: AlertReference, *, until: float) -> tuple[Finding, ...] | None:
        """Read one alert, if that takes no longer than until then, on the clock of the event loop."""
        if asyncio.get_running_loop().time() >= until:
            await self._queue.send(AlertMessage(alert, self._clock()), delay=0.0)
            return None
        sent = await self._queue.send(AlertMessage(alert, self._clock()), delay=SAFETY_NET)
        try:
            async with asyncio.timeout_at(until):
                found = await self._publish(alert)
        except TimeoutError:
            _log.info("Reading %s takes long: the queue goes on with it.", alert)
        except SasquashError as error:
            _log.warning("Reading %s failed for now (%s): %s", alert, error.code, error)
        else:
            await self._best_effort(self._queue.take_back, sent)
            return found
        await self._best_effort(self._queue.hasten, sent)
        return None

    async def resume(self, message: AlertMessage) -> None:
        """Read an alert from the queue. Raises only what nobody foresaw, or that the queue can't be reached."""
        try:
            await self._publish(message.alert)
        except SasquashError as error:
            _log.warning("Reading %s failed (%s): %s", message.alert, error.code, error)
            if isinstance(error, Blocked) or self._clock() - message.since > _GIVE_UP:
                failure = redact(str(error))[:_LONGEST_FAILURE]
                await self._queue.give_up(AlertMessage(message.alert, message.since, message.attempt, failure))
            else:
                delay = backoff(message.attempt, error.retry_after)
                await self._queue.send(message.again(), delay=delay)

    async def _publish(self, alert: AlertReference) -> tuple[Finding, ...]:
        tool = self._tools[alert.source]()
        if tool is None:
            raise Blocked(f"{alert} can't be read: the settings have nothing to read it with (docs/sources.md).")
        found = await tool.read(alert, Found(self._clock))
        await self._publisher.publish(found, source=alert.source)
        return found

    async def _best_effort(self, act: Callable[[QueueMessage], Awaitable[None]], sent: QueueMessage) -> None:
        """Do something about a message that comes up by itself if this fails; to read an alert twice is no harm."""
        try:
            await act(sent)
        except SasquashError as error:
            _log.warning("A message is left to come up by itself (%s): %s", error.code, error)
