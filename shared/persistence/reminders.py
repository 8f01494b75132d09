"""When people were reminded of what Azure refuses, so that they are reminded once a day.

Table `digest`, partition "reminder", a row for each mail of a day: that of an account and cause, and the shared ones.
`MailedAt` is when it was sent last. `Until`: an instance is sending it, and another one leaves it alone until then.

A mail is noted after it was sent. If an instance crashes between the two, a pass that is run again that day sends it
a second time: two reminders are better than none. One that is run within the two minutes of the lease leaves it to
the next day.
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

from shared.cloud.errors import translate_errors

_REMINDER = "reminder"
_SENDING = timedelta(minutes=2)  # longer than a call to Graph takes
# A pass around midnight must not mail twice, whatever the clocks of two instances say. Less than the hours between
# midnight and the daily pass.
_SAME_PASS = timedelta(hours=1)
_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Held:
    """A mail that this instance may send. `mailed_at` is when it was sent before, None for never."""

    id: str
    mailed_at: datetime | None
    etag: str


class Reminders:
    """The only writer and reader of these rows. All methods raise TransientFailure or Blocked."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id

    async def mailed(self) -> dict[str, datetime]:
        """Return when each mail of the last week was sent last, and remove older rows."""
        now, found = self._clock(), dict[str, datetime]()
        with translate_errors("Reading which reminders were sent"):
            async for row in self._table.query_entities("PartitionKey eq @p", parameters={"p": _REMINDER}):
                at = _mailed_at(row)
                if now - (at or row["Until"]) > _KEPT:
                    with suppress(ResourceModifiedError, ResourceNotFoundError):
                        await self._table.delete_entity(
                            _REMINDER, row["RowKey"], **_if_unchanged(row.metadata["etag"])
                        )
                elif at is not None:
                    found[row["RowKey"]] = at
        return found

    def is_today(self, mailed_at: datetime) -> bool:
        """Whether a mail that was sent then is the one of today."""
        now = self._clock()
        return mailed_at.astimezone(UTC).date() == now.date() or abs(now - mailed_at) < _SAME_PASS

    async def begin(self, reminder: str) -> Held | None:
        """Return the mail, for this instance to send. None where it was sent today, or another one is sending it."""
        mine, now = self._new_id(), self._clock()
        with translate_errors("Leasing a reminder"):
            row = await self._read(reminder)
            at = _mailed_at(row)
            if row is not None and ((at is not None and self.is_today(at)) or row["Until"] > now):
                return None
            failure = await self._lease(row, _row(reminder, at, until=now + _SENDING, holder=mine))
            held = await self._read(reminder)  # it says whose it is, also where the answer to the write was lost
            if held is not None and held["Holder"] == mine:
                return Held(reminder, at, str(held.metadata["etag"]))
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
                await self._table.update_entity(leased, mode=UpdateMode.REPLACE, **unchanged)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return None
        except AzureError as error:
            return error
        return None

    async def end(self, held: Held, *, is_sent: bool) -> None:
        """Note that the mail was sent, or that any instance may send it. One that took it over notes it itself."""
        now = self._clock()
        row = _row(held.id, now if is_sent else held.mailed_at, until=now, holder="")
        with translate_errors("Noting that a reminder was sent"), suppress(ResourceModifiedError):
            await self._table.update_entity(row, mode=UpdateMode.REPLACE, **_if_unchanged(held.etag))

    async def _read(self, reminder: str) -> TableEntity | None:
        with suppress(ResourceNotFoundError):
            return await self._table.get_entity(_REMINDER, reminder)
        return None


def _row(reminder: str, mailed_at: datetime | None, *, until: datetime, holder: str) -> dict[str, object]:
    row: dict[str, object] = {"PartitionKey": _REMINDER, "RowKey": reminder, "Until": until, "Holder": holder}
    return row | ({"MailedAt": mailed_at} if mailed_at is not None else {})


def _mailed_at(row: TableEntity | None) -> datetime | None:
    at: datetime | None = row.get("MailedAt") if row is not None else None
    return at


def _if_unchanged(etag: object) -> dict[str, Any]:
    return {"etag": str(etag), "match_condition": MatchConditions.IfNotModified}
