"""When people were reminded of what Azure refuses, so that they are reminded once a day.

Table `digest`, partition "reminder", a row for each mail of a day: that of an account and cause, and the shared ones.
`MailedAt` is when it was sent last. `Until`: an instance is sending it, and another one leaves it alone until then.
Where a row can't be read, it is kept, and a second one takes its place: two reminders are better than none.

A mail is noted after it was sent. If an instance crashes between the two, a pass that is run again that day sends it
a second time. One that is run within the two minutes of the lease leaves it to the next day.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from shared.errors import UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading, time_in

_REMINDER, _SECOND = "reminder", "~second"
_SENDING = timedelta(minutes=2)  # longer than a call to Graph takes
# A pass around midnight must not mail twice, whatever the clocks of two instances say. Less than the hours between
# midnight and the daily pass.
_SAME_PASS = timedelta(hours=1)
_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Held:
    """A mail that this instance may send, by the key of its row.

    `mailed_at` is when it was sent before, None for never.
    """

    key: str
    mailed_at: datetime | None
    etag: str


class Reminders:
    """The only writer and reader of these rows. All methods raise TransientFailure."""

    def __init__(
        self,
        table: TableClient,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        set_aside: SetAside = logged,
    ) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._set_aside = set_aside

    async def mailed(self) -> dict[str, datetime]:
        """Return when each mail of the last week was sent last, and remove older rows."""
        now, found = self._clock(), dict[str, datetime]()
        with own_tables("Reading which reminders were sent"):
            async for row in self._table.query_entities("PartitionKey eq @p", parameters={"p": _REMINDER}):
                try:
                    at, until = self._decoded(row)
                except UnreadableRow as error:
                    await self._set_aside(error)
                    continue
                if now - (at or until) > _KEPT:
                    with suppress(ResourceModifiedError, ResourceNotFoundError):
                        await self._table.delete_entity(
                            _REMINDER, row["RowKey"], **_if_unchanged(row.metadata["etag"])
                        )
                elif at is not None:
                    reminder = row["RowKey"].removesuffix(_SECOND)
                    found[reminder] = max(at, found.get(reminder, at))
        return found

    def is_today(self, mailed_at: datetime) -> bool:
        """Whether a mail that was sent then is the one of today."""
        now = self._clock()
        return mailed_at.astimezone(UTC).date() == now.date() or abs(now - mailed_at) < _SAME_PASS

    async def begin(self, reminder: str) -> Held | None:
        """Return the mail, for this instance to send. None where it was sent today, or another one is sending it."""
        try:
            return await self._begin(reminder)
        except UnreadableRow as error:
            await self._set_aside(error)
            return await self._begin(f"{reminder}{_SECOND}")

    async def _begin(self, key: str) -> Held | None:
        mine, now, at = self._new_id(), self._clock(), None
        with own_tables("Leasing a reminder"):
            row = await self._read(key)
            if row is not None:
                at, until = self._decoded(row)
                if (at is not None and self.is_today(at)) or until > now:
                    return None
            failure = await self._lease(row, _row(key, at, until=now + _SENDING, holder=mine))
            held = await self._read(key)  # it says whose it is, also where the answer to the write was lost
            if held is not None and held.get("Holder") == mine:
                return Held(key, at, str(held.metadata["etag"]))
            if failure is not None:
                raise failure
        return None

    async def _lease(self, row: TableEntity | None, leased: dict[str, object]) -> AzureError | None:
        """Write the lease; return why it may not be there, None where another instance was first."""
        try:
            if row is None:
                await self._table.create_entity(leased)
            else:
                unchanged = _if_unchanged(row.metadata["etag"])
                await self._table.update_entity(leased, mode=UpdateMode.MERGE, **unchanged)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None
        except AzureError as error:
            return error
        return None

    async def end(self, held: Held, *, is_sent: bool) -> None:
        """Note that the mail was sent, or that any instance may send it. One that took it over notes it itself."""
        now = self._clock()
        row = _row(held.key, now if is_sent else held.mailed_at, until=now, holder="")
        with own_tables("Noting that a reminder was sent"), suppress(ResourceModifiedError):
            await self._table.update_entity(row, mode=UpdateMode.MERGE, **_if_unchanged(held.etag))

    async def _read(self, key: str) -> TableEntity | None:
        with suppress(ResourceNotFoundError):
            return await self._table.get_entity(_REMINDER, key)
        return None

    def _decoded(self, row: TableEntity) -> tuple[datetime | None, datetime]:
        with reading(self._table.table_name, row):
            return decoded(row)


def decoded(row: Row) -> tuple[datetime | None, datetime]:
    """Return when a mail was sent last, and until when it is being sent. Raises what `rows.reading` translates."""
    mailed_at = None if row.get("MailedAt") is None else time_in(row, "MailedAt")
    return mailed_at, time_in(row, "Until")


def _row(key: str, mailed_at: datetime | None, *, until: datetime, holder: str) -> dict[str, Any]:
    row = new_row(_REMINDER, key, Until=until, Holder=holder)
    return row | ({"MailedAt": mailed_at} if mailed_at is not None else {})  # once it was sent, there is a time


def _if_unchanged(etag: object) -> dict[str, Any]:
    return {"etag": str(etag), "match_condition": MatchConditions.IfNotModified}
