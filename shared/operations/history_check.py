"""Checks histories against their copy: each day as many as fit into a run, in the order of the fingerprints.

The copy is read before the record: what was written meanwhile is then in the record, and missing in the copy, which
contradicts nothing. A record that is gone while the copy has lines of it was pruned, or was erased.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.cloud.history_copy import HistoryCopy
from shared.domain.history import CopiedLine, Integrity, Judgment, judge, missing, not_pruned
from shared.domain.states import Reason
from shared.errors import SasquashError
from shared.operations.failure_records import FailureRecords
from shared.persistence.history_rows import CHECKED, PARTITIONS, Checked, Copied, HistoryRows, Stored
from shared.persistence.outbox import SETTLED, Outbox
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

BROKEN = "History broken: %s of record %s. docs/operations.md says what to do."
_RUN = "history"
_TIME = timedelta(minutes=2)  # in which ranges begin; the Functions host ends the run after five
_MOST = 5000  # records of a run
_AT_ONCE = 100  # records that are compared with one query of the copy
_READ_AGAIN = 2  # times
_NAMED = 10  # records that the failure record names
_LAST = "g"  # greater than any fingerprint
_ARRIVED = timedelta(
    days=1
)  # when what was sent is in the copy, or lost ("Log data ingestion time in Azure Monitor")
_SENT_AGAIN = timedelta(days=30)  # after that, a line that the copy lacks is past its retention
_UNREADABLE = "A row of it can't be read: it was changed, or another version of Sasquash wrote it."
_NEWER = "A row of it says that a newer version of Sasquash wrote it, which this one can't read."
_ERASED = "The copy has {lines} lines of this record that are gone: retention did not remove them."


@dataclass(frozen=True, slots=True)
class _Found:
    """A record that is broken now and was not at its last check. `noted`: that can be written beside it."""

    fingerprint: str
    said: str
    noted: bool = True


class HistoryChecks:
    """Says of a record whether its history is intact; daily of all, in turn. `copy` is None where there is none."""

    def __init__(
        self,
        store: Store,
        *,
        rows: HistoryRows,
        outbox: Outbox,
        copy: HistoryCopy | None,
        failures: FailureRecords,
    ) -> None:
        self._store = store
        self._rows = rows
        self._outbox = outbox
        self._copy = copy
        self._failures = failures

    async def of(self, fingerprint: str) -> Checked:
        """Check one record now. Raises TransientFailure or Blocked where the record can't be read.

        Where the copy can't be read, the history is `unconfirmed`, and says so.
        """
        copied: tuple[CopiedLine, ...] | None = None
        problem = ""
        if self._copy is not None:
            try:
                copied = await self._copy.lines_of(fingerprint)
            except SasquashError as error:
                problem = f" {error}"
        _, judgment = await self._judged(fingerprint, copied)
        return Checked(self._store.clock(), judgment.integrity, f"{judgment.said}{problem}")

    async def latest(self, fingerprint: str) -> Checked | None:
        """Return what the last daily check found; None before the first."""
        return (await self._rows.stored(fingerprint)).checked

    async def run(self) -> None:
        """Check the next records, and page people once about those that are newly broken.

        Raises TransientFailure or Blocked where the records can't be read; the next run goes on there.
        """
        until = self._store.clock() + _TIME
        after = await self._outbox.place(_RUN)
        checked = 0
        while checked < _MOST and self._store.clock() < until:
            names = await self._next(after)
            through = names[-1] if len(names) == _AT_ONCE else _LAST
            found = await self._check_range(names, after=after, through=through)
            checked += len(names)
            after = "" if through == _LAST else through
            await self._page(found)  # at once: the host may end the run
            await self._outbox.save_place(_RUN, after)
            if not after:
                break

    async def _next(self, after: str) -> list[str]:
        """Return the next fingerprints of records, at most as many as are compared together."""
        names: list[str] = []
        for partition in PARTITIONS:
            if partition < after[:2]:
                continue
            async for name in self._rows.fingerprints(partition, after=after if after[:2] == partition else ""):
                names.append(name)
                if len(names) == _AT_ONCE:
                    return names
        return names

    async def _check_range(self, names: Sequence[str], *, after: str, through: str) -> list[_Found]:
        copied = await self._copied(after=after, through="f" * 64 if through == _LAST else through)
        found = []
        for name in sorted({*names, *(copied or ())}):
            newly = await self._check(name, None if copied is None else copied.get(name, ()))
            if newly is not None:
                found.append(newly)
        return found

    async def _copied(self, *, after: str, through: str) -> Mapping[str, tuple[CopiedLine, ...]] | None:
        """Return what the copy has of a range; None where it can't be read: then the chains alone are checked."""
        if self._copy is None:
            return None
        try:
            return await self._copy.lines(after=after, through=through)
        except SasquashError as error:
            _log.warning("Histories are checked without their copy (%s): %s", error.code, error)
            return None

    async def _check(self, name: str, copied: tuple[CopiedLine, ...] | None) -> _Found | None:
        """Check one record and note what was found; return it if it is newly broken, which is noted later."""
        try:
            stored, judgment = await self._judged(name, copied)
            if stored.unreadable and judgment.integrity is not Integrity.BROKEN:
                return None  # of a newer version: nothing of it is written
            if judgment.integrity is Integrity.BROKEN:
                known = stored.checked is not None and stored.checked.integrity is Integrity.BROKEN
                return None if known else _Found(name, judgment.said, noted=not _is_check_unreadable(stored))
            if stored.record is not None:  # nothing is noted of one that was pruned
                if copied is not None:
                    await self._send_again(name, stored, copied)
                checked = Checked(self._store.clock(), judgment.integrity, judgment.said)
                await self._rows.save_checked(name, checked)
        except SasquashError as error:
            _log.warning("Its history was not checked: %s (%s): %s", name[:12], error.code, error)
        return None

    async def _judged(self, name: str, copied: tuple[CopiedLine, ...] | None) -> tuple[Stored, Judgment]:
        """Judge a history. One that seems broken is read again: one of many lines is not read in one moment."""
        for attempt in range(_READ_AGAIN + 1):
            stored = await self._rows.stored(name)
            judgment = _judged(name, stored, copied)
            if judgment.integrity is not Integrity.BROKEN or attempt == _READ_AGAIN:
                break
        return stored, judgment

    async def _send_again(self, name: str, stored: Stored, copied: Iterable[CopiedLine]) -> None:
        """Put lines into the outbox again that it lost, or that were accepted and did not arrive."""
        absent, now = missing(stored.entries, copied), self._store.clock()
        if not absent or stored.record is None:
            return
        first, last = min(entry.at for entry in absent), max(entry.at for entry in absent)
        if not stored.copied.has(stored.record.head):
            if now - last > SETTLED:
                await self._outbox.add(name)
        elif _ARRIVED < now - first < _SENT_AGAIN:
            _log.warning("%d lines of %s did not arrive in the copy: they are sent again.", len(absent), name[:12])
            await self._rows.save_copied(name, Copied())
            await self._outbox.add(name)

    async def _page(self, found: Sequence[_Found]) -> None:
        """Record once that histories are broken, and only then that people know."""
        if not found:
            return
        for one in found[:_NAMED]:
            _log.error(BROKEN, one.said, one.fingerprint[:12])
        named = " ".join(f"{one.fingerprint[:12]}: {one.said}" for one in found[:_NAMED])
        detail = (
            f"The history of {len(found)} records was changed after it was written. {named} Sasquash's own identity, "
            "or somebody with its rights, has written to its tables. Treat it as compromised: docs/security.md says "
            "what to do. The copy in the workspace has the lines as they were."
        )
        subject = hashlib.sha256("|".join(one.fingerprint for one in found).encode()).hexdigest()
        await self._failures.write(
            "history", f"{self._store.clock():%Y-%m-%d}|{subject}", reason=Reason.TAMPERED, detail=detail
        )
        for one in found:
            if one.noted:
                checked = Checked(self._store.clock(), Integrity.BROKEN, one.said)
                await self._rows.save_checked(one.fingerprint, checked)


def _is_check_unreadable(stored: Stored) -> bool:
    """Whether the row of the latest check is one of those that can't be read, and stay as they are."""
    return any(row.key.endswith(CHECKED) for row in stored.unreadable)


def _judged(name: str, stored: Stored, copied: tuple[CopiedLine, ...] | None) -> Judgment:
    """Return what is known of the history of a record, or of one that is gone."""
    if stored.unreadable:
        of_newer = all(row.is_newer for row in stored.unreadable)
        return Judgment(Integrity.UNCONFIRMED, _NEWER) if of_newer else Judgment(Integrity.BROKEN, _UNREADABLE)
    if stored.record is None:
        erased = not_pruned(copied or (), stored.pruned_ends)
        if erased:
            return Judgment(Integrity.BROKEN, _ERASED.format(lines=len(erased)))
        return Judgment(Integrity.INTACT, "Retention has removed this record.")
    return judge(stored.entries, stored.record.head, fingerprint=name, copied=copied, pruned=stored.pruned_ends)
