"""The outage whose dead letters are being taken in, and what they came to so far.

Table `digest`, partition "outage", one row, and a second one where that can't be read. It has the names of the blobs
that were counted last, hashed: an instance
that crashes before it has deleted them must not count them again.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.errors import Conflict, UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading
from shared.persistence.unknown_fields import with_unknown

OVER_AFTER = timedelta(hours=1)  # without a dead letter
_PARTITION = "outage"
_KEYS = ("outage", "outage~second")
_MOST_COUNTED = 500  # 16 characters each; a batch has far fewer
_MOST_SHOWN = 5
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Loss:
    """What one blob of dead letters held. `kept_as` is where it is kept if some of it could not be read."""

    name: str
    events: int
    unread: int
    reasons: tuple[str, ...]
    kept_as: str | None


@dataclass(frozen=True, slots=True)
class Outage:
    """Dead letters that came without a pause of an hour, as counts; of reasons and names the first few."""

    since: datetime
    last: datetime
    events: int = 0
    unread: int = 0
    blobs_kept: int = 0
    reasons: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()

    def with_losses(self, losses: Iterable[Loss], *, now: datetime) -> "Outage":
        """Return the outage with what these blobs held, each counted once."""
        losses = list(losses)
        new = [loss for loss in losses if _hash(loss.name) not in self.counted]
        kept = [loss.kept_as for loss in new if loss.kept_as is not None]
        counted = dict.fromkeys((*self.counted, *(_hash(loss.name) for loss in losses)))
        reasons = dict.fromkeys((*self.reasons, *(reason for loss in new for reason in loss.reasons)))
        return replace(
            self,
            last=now,
            events=self.events + sum(loss.events for loss in new),
            unread=self.unread + sum(loss.unread for loss in new),
            blobs_kept=self.blobs_kept + len(kept),
            reasons=tuple(reasons)[:_MOST_SHOWN],
            kept=(*self.kept, *kept)[:_MOST_SHOWN],
            counted=tuple(counted)[-_MOST_COUNTED:],
        )


class Outages:
    """The only writer and reader of this row."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], set_aside: SetAside = logged) -> None:
        self._table = table
        self._clock = clock
        self._set_aside = set_aside

    async def note(self, losses: Iterable[Loss]) -> Outage:
        """Count these blobs; return the outage that they belong to. Raises TransientFailure or Conflict."""
        losses = list(losses)
        try:
            return await self._note(_KEYS[0], losses)
        except UnreadableRow as error:
            await self._set_aside(error)
            return await self._note(_KEYS[1], losses)

    async def _note(self, key: str, losses: list[Loss]) -> Outage:
        now = self._clock()
        for _ in range(_TRIES):
            row = await self._read(key)
            current = None if row is None else self._outage_in(row)
            if current is None or now - current.last > OVER_AFTER:
                # Those that were counted in the last one stay known: perhaps only their deletion failed.
                known = current.counted if current is not None else ()
                current = Outage(now, now, counted=known)
            outage = current.with_losses(losses, now=now)
            if await self._write(key, outage, row):
                return outage
        raise Conflict("Other instances kept counting dead letters. They are counted in the next pass.")

    async def _read(self, key: str) -> TableEntity | None:
        with own_tables("Reading the current outage"):
            try:
                return await self._table.get_entity(_PARTITION, key)
            except ResourceNotFoundError:
                return None

    def _outage_in(self, row: TableEntity) -> Outage:
        with reading(self._table.table_name, row):
            return decoded(row)

    async def _write(self, key: str, outage: Outage, before: TableEntity | None) -> bool:
        text = msgspec.json.encode(outage)
        with own_tables("Counting dead letters"):
            try:
                if before is None:
                    await self._table.create_entity(new_row(_PARTITION, key, Outage=text.decode()))
                else:
                    merged = with_unknown(text, read=before["Outage"], kind=Outage)
                    await self._table.update_entity(
                        new_row(_PARTITION, key, Outage=merged),
                        mode=UpdateMode.MERGE,
                        etag=str(before.metadata["etag"]),
                        match_condition=MatchConditions.IfNotModified,
                    )
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True


def decoded(row: Row) -> Outage:
    """Return what the row holds. Raises what `rows.reading` translates."""
    return msgspec.json.decode(row["Outage"], type=Outage)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
