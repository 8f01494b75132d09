"""Which subscriptions are monitored: those of the settings, and those below a management group.

REST: Management Groups - Get Descendants (2020-05-01), which are groups and subscriptions; Subscriptions - List
(2022-12-01), which has those that the caller may read.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.cloud.arm import ArmReader
from shared.domain.guid import GUID
from shared.errors import Blocked, SasquashError

_log = logging.getLogger(__name__)

_KNOWN_FOR = timedelta(hours=1)
_AGAIN = timedelta(minutes=1)  # after a failure
_SUBSCRIPTION = re.compile(rf"/subscriptions/(?P<id>{GUID})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of the tenant. `name` is what people called it."""

    id: str
    name: str


class Subscriptions:
    """The monitored subscriptions, and the others that the app may see."""

    def __init__(
        self, arm: ArmReader, *, listed: tuple[str, ...], management_group: str | None, clock: Callable[[], datetime]
    ) -> None:
        self._arm = arm
        self._listed = listed
        self._group = management_group
        self._clock = clock
        self._reading = asyncio.Lock()
        self._known: tuple[str, ...] = ()  # empty before the group was first read
        self._due = clock()

    async def monitored(self) -> tuple[str, ...]:
        """Return the ids of the monitored subscriptions, in lower case; what a group has is read once an hour.

        Where the group can't be read, it is as it was; where it may not be read, and never was, the listed ones are
        monitored. Raises TransientFailure where it was never read.
        """
        if self._group is None:
            return self._listed
        async with self._reading:
            if self._clock() >= self._due:
                await self._read_group(self._group)
            return self._known or self._listed

    async def _read_group(self, group: str) -> None:
        path = f"/providers/Microsoft.Management/managementGroups/{group}/descendants?api-version=2020-05-01"
        rows = self._arm.rows(self._listed[0], path, doing=f"Listing the subscriptions of management group {group}")
        try:
            found = [match["id"].lower() async for row in rows if (match := _id_of(row.get("id")))]
        except SasquashError as error:
            if not self._known and not isinstance(error, Blocked):
                raise
            what = "as they were" if self._known else "not monitored: only those of SASQUASH_SUBSCRIPTIONS are"
            _log.error("The subscriptions of a management group are %s (%s): %s", what, error.code, error)
            self._due = self._clock() + _AGAIN
            return
        self._known, self._due = tuple(dict.fromkeys((*self._listed, *found))), self._clock() + _KNOWN_FOR

    async def not_monitored(self) -> tuple[Subscription, ...]:
        """Return the subscriptions that the app may see and does not monitor, by name.

        Raises TransientFailure or Blocked.
        """
        monitored = set(await self.monitored())
        rows = self._arm.rows(
            self._listed[0], "/subscriptions?api-version=2022-12-01", doing="Listing the subscriptions of the tenant"
        )
        seen = [
            Subscription(match["id"].lower(), str(row.get("displayName") or ""))
            async for row in rows
            if (match := _id_of(row.get("id"))) and row.get("state") != "Deleted"
        ]
        return tuple(sorted((one for one in seen if one.id not in monitored), key=lambda one: (one.name, one.id)))


def _id_of(value: object) -> re.Match[str] | None:
    return _SUBSCRIPTION.fullmatch(value) if isinstance(value, str) else None
