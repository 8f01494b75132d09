"""Reads alerts from their tools, and publishes the findings: immediately if that is quick, else from a queue.

An alert is enqueued before it is read, since most tools report it only once. A leak does not wait for long for the
text around it, which may name its account.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from azure.storage.queue import QueueMessage

from shared.cloud.event_grid import Publisher
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding, merged
from shared.domain.text import clean
from shared.errors import Blocked, FindingTooLarge, SasquashError
from shared.persistence.alert_queue import AlertMessage, AlertQueue
from shared.persistence.queues import SAFETY_NET, backoff
from shared.sources.alert_places import AccountUnread
from shared.sources.findings import Found
from shared.sources.registry import Tool

_log = logging.getLogger(__name__)

_INLINE = 0.7  # seconds for all alerts of a report: its sender expects the response within a second
_AT_ONCE = 8  # alerts that are read at the same time
_GIVE_UP = timedelta(hours=24)
_PATIENCE = 60.0  # seconds until a leak is published without its account, if the text around it can't be read
_LONGEST_FAILURE = 500


@dataclass(frozen=True, slots=True)
class AlertReader:
    """Reads alerts. `tools` has a factory of each tool, which returns None where the tool is not configured."""

    tools: Mapping[AlertSource, Callable[[], Tool | None]]
    queue: AlertQueue
    publisher: Publisher
    clock: Callable[[], datetime]

    async def take(
        self, alerts: Iterable[AlertReference], *, submitted_by: str | None = None
    ) -> dict[AlertReference, tuple[Finding, ...] | None]:
        """Read alerts; return the published findings of each, None where it is read later.

        `submitted_by` is the object id of the intake's caller. Raises TransientFailure or Blocked only when one is
        not durable: the source has to report them again.
        """
        until = asyncio.get_running_loop().time() + _INLINE
        slots = asyncio.Semaphore(_AT_ONCE)

        async def take(alert: AlertReference) -> tuple[Finding, ...] | None:
            async with slots:
                message = AlertMessage(alert, self.clock(), submitted_by=submitted_by)
                return await self._take(message, until=until)

        wanted = list(dict.fromkeys(alerts))
        return dict(zip(wanted, await asyncio.gather(*(take(alert) for alert in wanted)), strict=True))

    async def _take(self, message: AlertMessage, *, until: float) -> tuple[Finding, ...] | None:
        """Read one alert, at most until `until` on the clock of the event loop."""
        if asyncio.get_running_loop().time() >= until:
            await self.queue.send(message, delay=0.0)
            return None
        sent = await self.queue.send(message, delay=SAFETY_NET)
        try:
            async with asyncio.timeout_at(until):
                found = await self._publish(message)
        except TimeoutError:
            _log.info("Reading %s takes long: the queue continues with it.", message.alert)
        except SasquashError as error:
            _log.warning("Reading %s failed; the queue retries it (%s): %s", message.alert, error.code, error)
        else:
            await self._best_effort(self.queue.take_back, sent)
            return found
        await self._best_effort(self.queue.hasten, sent)
        return None

    async def resume(self, message: AlertMessage) -> None:
        """Read an alert from the queue. Raises only unexpected errors, or that the queue is unreachable."""
        try:
            await self._publish(message)
        except SasquashError as error:
            _log.warning("Reading %s failed (%s): %s", message.alert, error.code, error)
            if isinstance(error, Blocked | FindingTooLarge) or self.clock() - message.since > _GIVE_UP:
                failure = clean(str(error), limit=_LONGEST_FAILURE)
                await self.queue.give_up(replace(message, failure=failure))
            else:
                delay = backoff(message.attempt, error.retry_after)
                await self.queue.send(message.again(), delay=delay)

    async def _publish(self, message: AlertMessage) -> tuple[Finding, ...]:
        alert = message.alert
        tool = self.tools[alert.source]()
        if tool is None:
            raise Blocked(f"{alert} can't be read: its tool is not configured (docs/sources.md).")
        try:
            read = await tool.read(alert, Found(self.clock))
        except AccountUnread as error:
            waited = (self.clock() - message.since).total_seconds()
            if waited + backoff(message.attempt, error.retry_after) < _PATIENCE:
                raise
            read = error.findings
        found = tuple(replace(finding, submitted_by=message.submitted_by) for finding in read)
        await self.publisher.publish(merged(found), source=alert.source)
        return found

    async def _best_effort(self, change: Callable[[QueueMessage], Awaitable[None]], sent: QueueMessage) -> None:
        """Change a sent message. On failure it becomes visible by itself: reading an alert twice is harmless."""
        try:
            await change(sent)
        except SasquashError as error:
            _log.warning("A message was not changed, and becomes visible by itself (%s): %s", error.code, error)
