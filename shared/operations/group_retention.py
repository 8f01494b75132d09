"""Retention of shared incidents: each day, removes the findings whose records are gone, and the groups without any.

A finding stays in each group that it has joined, also after it has left it, since the group counts it. So records do
not say where their findings are, and the groups are read. A group can have findings for good: those that nobody has
settled stay with their records.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.errors import SasquashError, UnreadableRow
from shared.followup.incidents.hourly import HourlyIncidents
from shared.persistence.hourly_groups import Begun
from shared.persistence.outbox import Outbox
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_RUN = "groups"
_AT_ONCE = 100  # records that are asked about together
_MOST = 1000  # findings that are removed together: each time, all of the group are read
_DAY = timedelta(days=1)  # longer than a group takes findings in, and than the clocks of instances differ


class GroupRetention:
    """Removes what is left of records that are gone, at most as much as fits into a run."""

    def __init__(self, store: Store, *, incidents: HourlyIncidents, outbox: Outbox) -> None:
        self._store = store
        self._incidents = incidents
        self._groups = incidents.groups
        self._outbox = outbox

    async def run(self, *, before: datetime, until: datetime) -> None:
        """Go through the groups that began before that time; the next run goes on where this one has to stop.

        One failure stops no other group. Raises where the groups can't be read.
        """
        place = await self._outbox.place(_RUN)
        async for group in self._groups.begun_before(before, after=place):
            if self._store.clock() > until:
                await self._outbox.save_place(_RUN, place)
                return
            try:
                await self._prune(group, until=until)
            except SasquashError as error:
                _log.warning("Findings of %s are removed tomorrow (%s): %s", group.id[:12], error.code, error)
            place = group.id
        await self._outbox.save_place(_RUN, "")

    async def _prune(self, group: Begun, *, until: datetime) -> None:
        names, gone = list[str](), list[str]()
        async for name in self._groups.names(group.id):
            names.append(name)
            if len(names) == _AT_ONCE:
                gone += await self._gone(names, group)
                names = []
            if len(gone) >= _MOST:
                await self._incidents.forget(group.id, frozenset(gone))
                gone = []
            if self._store.clock() > until:
                break
        gone += await self._gone(names, group)
        if gone:
            await self._incidents.forget(group.id, frozenset(gone))
        await self._groups.drop(group.id)

    async def _gone(self, names: Sequence[str], group: Begun) -> list[str]:
        """Return those whose records are gone. A record that is younger than the group is another one of its leak."""
        are_gone = await asyncio.gather(*(self._is_gone(name, group) for name in names))
        return [name for name, is_gone in zip(names, are_gone, strict=True) if is_gone]

    async def _is_gone(self, name: str, group: Begun) -> bool:
        try:
            at = await self._store.revocations.received_at(name)
        except UnreadableRow:
            return False  # it is there
        return at is None or at > group.at + _DAY
