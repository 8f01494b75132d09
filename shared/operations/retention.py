"""Retention: each day, removes records that ended long ago (`SASQUASH_RETENTION_DAYS`), with their history.

Which ones: `domain/retention.py`. Not before the copy has all of a record's lines, and never a record whose history
is broken: that is evidence. Then what is left of these records in shared incidents (`group_retention`).
"""

import logging
from datetime import datetime, timedelta

from shared.domain.history import Integrity, judge
from shared.domain.retention import PRUNED, prunable
from shared.errors import SasquashError
from shared.operations.group_retention import GroupRetention
from shared.persistence.history_rows import HistoryRows, Stored
from shared.persistence.outbox import Outbox
from shared.persistence.pruning import Pruning
from shared.persistence.state_index import IndexRow, StateIndex
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_TIME = timedelta(minutes=3)  # for records
_TIME_FOR_GROUPS = timedelta(minutes=1)  # after that; the Functions host ends a run after five


class Retention:
    """Removes records, at most as many as fit into a run. `days` is 0 where records are kept for good."""

    def __init__(
        self,
        store: Store,
        *,
        rows: HistoryRows,
        index: StateIndex,
        outbox: Outbox,
        pruning: Pruning,
        groups: GroupRetention,
        days: int,
        copies: bool,
    ) -> None:
        """`copies`: whether lines are copied, so that a record waits for that."""
        self._store = store
        self._rows = rows
        self._index = index
        self._outbox = outbox
        self._pruning = pruning
        self._groups = groups
        self._days = days
        self._copies = copies

    async def run(self) -> None:
        """Finish what an earlier run began, then remove what has ended. One failure stops no other record.

        Raises only where the outbox, the index or the groups can't be read.
        """
        until = self._store.clock() + _TIME
        async for name in self._outbox.pruning():
            await self._finish(name)
        if not self._days:
            return
        before = self._store.clock() - timedelta(days=self._days)
        await self._remove(before=before, until=until)
        await self._groups.run(before=before, until=self._store.clock() + _TIME_FOR_GROUPS)

    async def _remove(self, *, before: datetime, until: datetime) -> None:
        removed = 0
        for state in PRUNED:
            async for row in self._index.in_state_before(state, before):
                if self._store.clock() > until:
                    _log.info("Retention goes on tomorrow: %d records were removed today.", removed)
                    return
                removed += await self._try(row, before=before)
        if removed:
            _log.info("Retention removed %d records that ended before %s.", removed, f"{before:%Y-%m-%d}")

    async def _finish(self, name: str) -> None:
        try:
            await self._pruning.finish(name)
        except SasquashError as error:
            _log.warning("Rows of %s are removed tomorrow (%s): %s", name[:12], error.code, error)

    async def _try(self, row: IndexRow, *, before: datetime) -> bool:
        """Remove the record of a row if it may be; return whether it was."""
        try:
            stored = await self._rows.stored(row.fingerprint)
            if stored.unreadable:  # the daily check says so to people
                return False
            if stored.record is None:  # an interrupted run has left the row
                await self._index.remove(row)
                return False
            if not await self._may_go(stored, before=before):
                return False
            return await self._pruning.remove(stored, now=self._store.clock())
        except SasquashError as error:
            _log.warning("Not removed today: %s (%s): %s", row.fingerprint[:12], error.code, error)
            return False

    async def _may_go(self, stored: Stored, *, before: datetime) -> bool:
        record = stored.record
        if record is None or not prunable(record, before=before, now=self._store.clock()):
            return False
        if await self._index.is_open(record.fingerprint):
            return False  # the sweep has not seen yet that nothing is outstanding
        if self._copies and not stored.copied.has(record.head):
            await self._outbox.add(record.fingerprint)
            return False
        judgment = judge(stored.entries, record.head, fingerprint=record.fingerprint, copied=None)
        known = stored.checked is not None and stored.checked.integrity is Integrity.BROKEN
        return judgment.integrity is not Integrity.BROKEN and not known
