"""The sweep: finds records with outstanding work that have not changed for longer than any retry is delayed.

A message may have been lost with an instance, or in a queue that somebody emptied; a deadline passes without a
message, and so does the day after which an action that Azure refused is tried again. Each minute the sweep reads the
records that are due from the index, and enqueues each again. It never gives up: every 20 minutes for a day, every six
hours from then on.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from shared.domain.approval import AtDeadline
from shared.domain.pending_steps import next_check, outstanding
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import SasquashError, UnreadableRow
from shared.operations import approval_deadlines
from shared.persistence.state_index import OpenRow, StateIndex
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_AT_ONCE = 16  # records that are checked in parallel
_MOST = 2000  # in one pass; the rest are due in the next
_ORPHAN = timedelta(hours=1)  # a claim that never stood leaves a row without a record


class Sweeper:
    """Finds what is stuck in any state, and approvals past their deadline."""

    def __init__(self, store: Store, index: StateIndex, *, at_deadline: AtDeadline) -> None:
        self._store = store
        self._index = index
        self._at_deadline = at_deadline

    async def run(self) -> None:
        """Check every record that is due. One that can't be checked stops no other.

        Raises only where the index can't be read.
        """
        due: list[OpenRow] = []
        async for row in self._index.due():
            due.append(row)
            if len(due) == _MOST:
                break
        places = asyncio.Semaphore(_AT_ONCE)

        async def check(row: OpenRow) -> None:
            async with places:
                try:
                    await self._check(row)
                except SasquashError as error:
                    _log.warning("Not swept: %s (%s): %s", row.fingerprint[:12], error.code, error)

        await asyncio.gather(*(check(row) for row in due))

    async def _check(self, row: OpenRow) -> None:
        now = self._store.clock()
        try:
            record = await self._store.revocations.read(row.fingerprint)
        except UnreadableRow:  # containment finds out whether its leak still has to be contained
            await self._store.queues.contain(row.fingerprint, delay=0, swept=True)
            await self._index.check_again(row, deadline=None)
            return
        if record is None:
            if now - row.due_at < _ORPHAN:
                return
            await self._index.close(row)
        elif not outstanding(record, now=now):
            await self._nothing_outstanding(row, record)
        else:
            await self._enqueue(record, now=now)
            await self._index.check_again(row, deadline=next_check(record))

    async def _nothing_outstanding(self, row: OpenRow, record: Revocation) -> None:
        """Close the row, or keep it until the record has to be checked."""
        if (due := next_check(record)) is not None:
            await self._index.check_at(row, due)
        else:
            await self._index.close(row)

    async def _enqueue(self, record: Revocation, *, now: datetime) -> None:
        due = next_check(record)
        is_due = due is not None and due <= now
        if record.state is State.RECEIVED:
            await self._store.accounts.add_waiting(record.finding)
            await self._store.queues.contain(record.fingerprint, delay=0, swept=True)
        elif is_due and record.state is State.AWAITING_APPROVAL:
            await approval_deadlines.settle(self._store, record, setting=self._at_deadline)
        elif is_due:
            await self._store.queues.contain(record.fingerprint, delay=0, swept=True)
        else:
            await self._store.queues.follow_up(record.fingerprint, swept=True)
