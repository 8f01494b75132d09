"""The outage whose dead letters are being taken in, and what they came to so far.

Table `digest`, partition "outage", one row. It has the names of the blobs that were counted last, hashed: an instance
that crashes before it has deleted them must not count them again.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.errors import Conflict
from shared.persistence.own_storage import own_tables

OVER_AFTER = timedelta(hours=1)  # without a dead letter
_ROW = {"PartitionKey": "outage", "RowKey": "outage"}
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

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._clock = clock

    async def note(self, losses: Iterable[Loss]) -> Outage:
        """Count these blobs; return the outage that they belong to. Raises TransientFailure or Conflict."""
        losses, now = list(losses), self._clock()
        for _ in range(_TRIES):
            current, etag = await self._read()
            if current is None or now - current.last > OVER_AFTER:
                # Those that were counted in the last one stay known: perhaps only their deletion failed.
                known = current.counted if current is not None else ()
                current = Outage(now, now, counted=known)
            outage = current.with_losses(losses, now=now)
            if await self._write(outage, etag):
                return outage
        raise Conflict("Other instances kept counting dead letters. They are counted in the next pass.")

    async def _read(self) -> tuple[Outage | None, str | None]:
        with own_tables("Reading the current outage"):
            try:
                row = await self._table.get_entity(_ROW["PartitionKey"], _ROW["RowKey"])
            except ResourceNotFoundError:
                return None, None
        return msgspec.json.decode(row["Outage"], type=Outage), str(row.metadata["etag"])

    async def _write(self, outage: Outage, etag: str | None) -> bool:
        row = {**_ROW, "Outage": msgspec.json.encode(outage).decode()}
        with own_tables("Counting dead letters"):
            try:
                if etag is None:
                    await self._table.create_entity(row)
                else:
                    await self._table.update_entity(
                        row, mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
