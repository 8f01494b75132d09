"""Copies lines of histories to the workspace, from the outbox: after the action, and each at least once.

A record stays in the outbox until all of its lines are accepted. Two instances may copy the same lines: readers tell
them by chain and number.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.cloud.history_copy import LONGEST, HistoryCopy, Row, rows_of
from shared.errors import Blocked, SasquashError
from shared.persistence.history_rows import Copied, HistoryRows, Line
from shared.persistence.outbox import Outbox, ToCopy
from shared.persistence.revocation_entity import snapshot
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

LATE = (
    "History copy is behind: lines of %d records wait, the oldest for %d hours. docs/operations.md says what to do."
)
_LATE_AFTER = timedelta(hours=6)
_TIME = timedelta(minutes=4)  # of a run; the Functions host ends it after five
_AT_ONCE = 50  # records that are read and sent together
_MOST_REFUSED = 3  # records, one after the other: then it is not the record


@dataclass(frozen=True, slots=True)
class _Pending:
    """A record of the outbox, and its rows that the copy does not have."""

    waiting: ToCopy
    rows: tuple[Row, ...]
    copied: Copied


class HistoryCopier:
    """Sends what is in the outbox. Where the workspace does not answer, all of it waits for the next run."""

    def __init__(self, store: Store, *, rows: HistoryRows, outbox: Outbox, copy: HistoryCopy) -> None:
        self._store = store
        self._rows = rows
        self._outbox = outbox
        self._copy = copy

    async def run(self) -> None:
        """Copy what waits. Raises only where the outbox can't be read."""
        clock: Callable[[], datetime] = self._store.clock
        until = clock() + _TIME
        waiting = sorted([one async for one in self._outbox.to_copy()], key=lambda one: one.at)
        done = 0
        try:
            while done < len(waiting) and clock() < until:
                await self._copy_some(waiting[done : done + _AT_ONCE])
                done += _AT_ONCE
        except SasquashError as error:
            _log.warning("Lines of %d records wait (%s): %s", len(waiting) - done, error.code, error)
        left = waiting[done:]
        if left and clock() - left[0].at > _LATE_AFTER:
            _log.error(LATE, len(left), (clock() - left[0].at) // timedelta(hours=1))

    async def _copy_some(self, waiting: Sequence[ToCopy]) -> None:
        """Copy the lines of some records. Raises SasquashError where the copy takes none."""
        found = await asyncio.gather(*(self._pending(one) for one in waiting))
        pending = [one for one in found if one is not None]
        try:
            await self._copy.send([row for one in pending for row in one.rows])
        except Blocked as error:
            if len(pending) == 1:
                raise
            _log.warning("Lines of %d records are refused together; each is sent alone: %s", len(pending), error)
            await self._copy_alone(pending)
        else:
            await asyncio.gather(*(self._note(one) for one in pending))

    async def _copy_alone(self, pending: Sequence[_Pending]) -> None:
        """Copy record by record, so that one that is refused stops no other."""
        refused = 0
        for one in pending:
            try:
                await self._copy.send(one.rows)
            except Blocked as error:
                refused += 1
                if refused == _MOST_REFUSED:
                    raise
                _log.error("The copy refuses lines of %s: %s", one.waiting.fingerprint[:12], error)
            else:
                refused = 0
                await self._note(one)

    async def _pending(self, waiting: ToCopy) -> _Pending | None:
        """Return the rows to send for a record, None where it can't be read now or is gone."""
        name = waiting.fingerprint
        try:
            stored = await self._rows.stored(name)
            if stored.unreadable:
                return None  # it waits for a version that can read all of it
            if stored.record is None:
                await self._outbox.copied(waiting)  # pruned, or not written yet
                return None
        except SasquashError as error:
            _log.warning("Not copied now: %s (%s): %s", name[:12], error.code, error)
            return None
        lines = [line for line in stored.lines if line.key > stored.copied.key and line.entry.link is not None]
        record = snapshot(stored.record, longest=LONGEST)
        rows = rows_of(name, (line.entry for line in lines), record=record)
        return _Pending(waiting, rows, _after(stored.copied, lines))

    async def _note(self, sent: _Pending) -> None:
        """Note what was accepted. Where that fails, it is sent again."""
        try:
            if sent.rows:
                await self._rows.save_copied(sent.waiting.fingerprint, sent.copied)
            await self._outbox.copied(sent.waiting)
        except SasquashError as error:
            _log.warning("Copied, and will be copied again: %s (%s)", sent.waiting.fingerprint[:12], error.code)


def _after(copied: Copied, lines: Sequence[Line]) -> Copied:
    """Return up to where the copy has a history once `lines` are accepted."""
    if not lines:
        return copied
    link = lines[-1].entry.link
    return Copied(link.chain, link.line, lines[-1].key) if link is not None else copied
