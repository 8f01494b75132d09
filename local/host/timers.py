"""Timer triggers: NCRONTAB schedules, one host at a time, with a late run for a missed one.

Source: "Timer trigger for Azure Functions", and TimerListener and ScheduleMonitor in
Azure/azure-webjobs-sdk-extensions.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.app_loader import Function
from local.host.invocation import Invoker
from local.host.ncrontab import Schedule
from local.host.singleton import RECOVERY_SECONDS, RENEWAL_SECONDS, Lock, ensure_container
from local.host.waiting import pause

_log = logging.getLogger("host")

_SHORTEST_MONITORED = timedelta(minutes=1)  # the extension keeps no status for denser schedules


@dataclass(frozen=True, slots=True)
class Status:
    """The last run of a timer (None: never), its next run, and when this was written."""

    last: datetime | None
    next: datetime
    updated: datetime


class Monitor(Protocol):
    """Stores the status of a timer across restarts."""

    async def read(self) -> Status | None: ...

    async def write(self, status: Status) -> None: ...


class NoMonitor:
    """Stores nothing: for a dense schedule, or a host without storage."""

    async def read(self) -> Status | None:
        return None

    async def write(self, status: Status) -> None:  # noqa: ARG002 - stores nothing
        return


class BlobMonitor:
    """Stores the status in `blob` of `container`. If storage is unavailable, the status is unknown."""

    def __init__(self, container: ContainerClient, blob: str) -> None:
        self._container = container
        self._blob = container.get_blob_client(blob)

    async def read(self) -> Status | None:
        try:
            document = json.loads(await (await self._blob.download_blob()).readall())
            last = document["Last"]
            return Status(
                last=datetime.fromisoformat(last) if last else None,
                next=datetime.fromisoformat(document["Next"]),
                updated=datetime.fromisoformat(document["LastUpdated"]),
            )
        except ResourceNotFoundError:
            return None
        except (AzureError, ValueError, LookupError, TypeError) as error:
            _log.warning("Timer status '%s' cannot be read: %s", self._blob.blob_name, type(error).__name__)
            return None

    async def write(self, status: Status) -> None:
        text = json.dumps(_status_document(status))
        try:
            try:
                await self._blob.upload_blob(text, overwrite=True)
            except ResourceNotFoundError:
                await ensure_container(self._container)
                await self._blob.upload_blob(text, overwrite=True)
        except AzureError as error:
            _log.warning("Timer status '%s' was not stored: %s", self._blob.blob_name, type(error).__name__)


def is_monitored(schedule: Schedule) -> bool:
    """Return whether the extension stores a status for `schedule`: at least a minute between occurrences."""
    first = schedule.next_after(datetime(2024, 1, 1, tzinfo=UTC))
    return schedule.next_after(first) - first >= _SHORTEST_MONITORED


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TimerListener:
    """Runs one function by its schedule while this host holds `lock`. Runs do not overlap."""

    def __init__(
        self,
        function: Function,
        *,
        schedule: Schedule,
        run_on_startup: bool,
        lock: Lock,
        monitor: Monitor,
        invoker: Invoker,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._run_on_startup = run_on_startup
        self._lock = lock
        self._monitor = monitor
        self._invoker = invoker
        self._now = now

    async def run(self, stopping: asyncio.Event) -> None:
        """Run the schedule until `stopping` is set."""
        run_now = self._run_on_startup
        try:
            while not stopping.is_set():
                if await self._lock.acquire():
                    await self._run_schedule(stopping, run_now=run_now)
                    run_now = False  # acquiring a lost lock again is not a start
                else:
                    await pause(stopping, RECOVERY_SECONDS)
        finally:
            await self._lock.release()

    async def _run_schedule(self, stopping: asyncio.Event, *, run_now: bool) -> None:
        """Run the schedule until `stopping` is set or the lock is lost."""
        status = await self._monitor.read()
        if status is None:
            now = self._now()
            status = Status(last=None, next=self._schedule.next_after(now), updated=now)
            await self._monitor.write(status)
        # Not `status.next`: the schedule may have changed since.
        if self._schedule.next_after(status.updated) <= self._now():
            status = await self._invoke(status, past_due=True)
        elif run_now:
            status = await self._invoke(status, past_due=False)
        while not stopping.is_set():
            due = self._schedule.next_after(status.updated)
            left = (due - self._now()).total_seconds()
            if left <= 0:
                status = await self._invoke(status, past_due=False)
            elif not await pause(stopping, min(left, RENEWAL_SECONDS)) and not await self._lock.acquire():
                return

    async def _invoke(self, status: Status, *, past_due: bool) -> Status:
        due = self._now()
        document = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": _status_document(status),
            "IsPastDue": past_due,
        }
        running = asyncio.create_task(self._invoker.invoke(self._function, Datum(json.dumps(document), "json")))
        while not (await asyncio.wait({running}, timeout=RENEWAL_SECONDS))[0]:
            await self._lock.acquire()
        now = self._now()
        after = Status(last=due, next=self._schedule.next_after(now), updated=now)
        await self._monitor.write(after)
        return after


def _status_document(status: Status) -> dict[str, str | None]:
    return {
        "Last": status.last.isoformat() if status.last else None,
        "Next": status.next.isoformat(),
        "LastUpdated": status.updated.isoformat(),
    }
