"""Revocations in Table Storage: one record a leak, guarded by its ETag, with an append-only history.

Table `revocations`: partition = the fingerprint's first two characters, row = the fingerprint. A record's history
stands in the same partition in rows of its own ("<fingerprint>~<time>~<id>") and is written in the same
transaction as the change it tells of (REST: "Performing entity group transactions").
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared import continuation
from shared.errors import Conflict, from_azure
from shared.facts import AccountFacts, PolicyReading
from shared.finding import Finding
from shared.revocation import LockedDown, Reason, Revocation, Sighting, State

SASQUASH = "sasquash"  # who did what no person asked for

_CHANGE_ATTEMPTS = 20
_MOST_ROUNDS = 20  # calls for one page: Azure may answer with few rows or none, and a place to go on from

type _Write = tuple[str, dict[str, object], dict[str, object]]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a record's history: what happened, who did it."""

    at: datetime
    who: str
    state: State
    what: str


class Ledger:
    """The only writer of revocations."""

    def __init__(self, table: TableClient, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id

    async def claim(self, finding: Finding) -> tuple[Revocation, bool]:
        """Write a new record for `finding`; return it, and whether it is new (else: the record that was there)."""
        fresh = Revocation.of(finding, now=self._clock())
        try:
            who = str(finding.reported_by or SASQUASH)
            return await self._write(fresh, "create", what=_first_line(finding), who=who), True
        except Conflict:
            known = await self.read(finding.fingerprint)
            if known is None:
                raise
            return known, False

    async def read(self, fingerprint: str) -> Revocation | None:
        """Return the record, or None."""
        try:
            entity = await self._table.get_entity(_partition(fingerprint), fingerprint)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise from_azure(error, doing=f"Reading record {fingerprint[:12]}") from error
        return _from_entity(entity)

    async def save(self, revocation: Revocation, *, what: str, who: str = SASQUASH) -> Revocation:
        """Write a changed record with its line of history, none where `what` is empty.

        Raises Conflict when somebody else changed it.
        """
        return await self._write(revocation, "update", what=what, who=who)

    async def change(
        self,
        fingerprint: str,
        change: Callable[[Revocation], Revocation | None],
        *,
        what: str,
        who: str = SASQUASH,
    ) -> Revocation | None:
        """Read, change and save until nobody interferes. `change` returns None to leave the record alone.

        Returns the saved record, or None where there is none or nothing was to change. What `change` raises is
        raised.
        """
        for _ in range(_CHANGE_ATTEMPTS):
            current = await self.read(fingerprint)
            wanted = change(current) if current is not None else None
            if wanted is None:
                return None
            try:
                return await self.save(wanted, what=what, who=who)
            except Conflict:
                continue
        raise Conflict(f"Record {fingerprint[:12]} kept changing while it was being saved. Try again later.")

    async def history(self, fingerprint: str) -> tuple[HistoryEntry, ...]:
        """Return the record's history, oldest first."""
        query = "PartitionKey eq @partition and RowKey gt @first and RowKey lt @last"
        values = {
            "partition": _partition(fingerprint),
            "first": f"{fingerprint}~",
            "last": f"{fingerprint}~~",
        }
        try:
            rows = [row async for row in self._table.query_entities(query, parameters=values)]
        except AzureError as error:
            raise from_azure(error, doing=f"Reading the history of {fingerprint[:12]}") from error
        return tuple(msgspec.json.decode(row["Entry"], type=HistoryEntry) for row in rows)

    async def page(
        self, *, state: State | None, account: str | None, limit: int, after: str | None
    ) -> tuple[tuple[Revocation, ...], str | None]:
        """Return at most `limit` records in `state` and of `account` (None: any), and where the next page begins.

        Pages follow the order of the partitions, which is that of the fingerprints and so of no meaning; within a
        page the record that changed last comes first. A page may hold fewer records than there are, even none: only
        None instead of a place says that it was the last. `after` is such a place, opaque to whoever hands it on.
        Raises InvalidRequest where it is none.
        """
        # The rows of history that stand between the records have no column `State`.
        conditions = ["State gt ''" if state is None else "State eq @state"]
        conditions += [] if account is None else ["Account eq @account"]
        values = {"state": state and state.value, "account": account}
        found: list[TableEntity] = []
        position = None if after is None else continuation.read(after)
        for _ in range(_MOST_ROUNDS):
            query = self._table.query_entities(
                " and ".join(conditions), parameters=values, results_per_page=limit - len(found)
            )
            rows: Any = query.by_page(position)  # type: ignore[arg-type] # typed as text, and made of two keys
            try:
                found += [row async for row in await anext(rows)]
            except HttpResponseError as error:
                if after is not None and error.status_code == 400:
                    raise continuation.not_ours() from None
                raise from_azure(error, doing="Listing the records") from error
            except AzureError as error:
                raise from_azure(error, doing="Listing the records") from error
            position = rows.continuation_token
            if position is None or len(found) >= limit:
                break
        found.sort(key=lambda row: row["ChangedAt"], reverse=True)
        return tuple(_from_entity(row) for row in found), None if position is None else continuation.written(position)

    async def ended_for(self, *reasons: Reason) -> AsyncIterator[Revocation]:
        """Yield every record that stands for one of `reasons`."""
        names = {f"reason{number}": reason.value for number, reason in enumerate(reasons)}
        query = " or ".join(f"Reason eq @{name}" for name in names)
        try:
            async for row in self._table.query_entities(query, parameters=names):
                yield _from_entity(row)
        except AzureError as error:
            raise from_azure(error, doing="Looking for records by their reason") from error

    async def ping(self) -> None:
        """Raise when the table can't be read."""
        await self.read("0" * 64)

    async def _write(self, revocation: Revocation, operation: str, *, what: str, who: str = SASQUASH) -> Revocation:
        now = self._clock()
        guard: dict[str, object] = (
            {}
            if operation == "create"
            else {
                "mode": UpdateMode.REPLACE,
                "etag": revocation.etag,
                "match_condition": MatchConditions.IfNotModified,
            }
        )
        writes: list[_Write] = [(operation, _to_entity(revocation, now), guard)]
        if what:
            entry = HistoryEntry(now, who, revocation.state, what)
            writes.append(("create", self._history_row(revocation.fingerprint, entry), {}))
        try:
            answers = await self._table.submit_transaction(writes)
        except TableTransactionError as error:
            if _is_conflict(error):
                raise Conflict(f"Record {revocation.fingerprint[:12]} was changed by another worker.") from None
            raise from_azure(error, doing=f"Writing record {revocation.fingerprint[:12]}") from error
        except (ResourceExistsError, ResourceModifiedError):
            raise Conflict(f"Record {revocation.fingerprint[:12]} was changed by another worker.") from None
        except AzureError as error:
            raise from_azure(error, doing=f"Writing record {revocation.fingerprint[:12]}") from error
        return replace(revocation, etag=answers[0]["etag"])

    def _history_row(self, fingerprint: str, entry: HistoryEntry) -> dict[str, object]:
        return {
            "PartitionKey": _partition(fingerprint),
            "RowKey": f"{fingerprint}~{entry.at:%Y%m%dT%H%M%S%f}~{self._new_id()}",
            "Entry": msgspec.json.encode(entry).decode(),
        }


def _is_conflict(error: TableTransactionError) -> bool:
    return error.status_code in (409, 412)


def _partition(fingerprint: str) -> str:
    return fingerprint[:2]


def _to_entity(revocation: Revocation, now: datetime) -> dict[str, object]:
    """The record as JSON, in several columns, and beside it the columns that people and queries look at."""
    finding = revocation.finding
    return {
        "PartitionKey": _partition(revocation.fingerprint),
        "RowKey": revocation.fingerprint,
        "State": revocation.state.value,
        "Reason": revocation.reason.value if revocation.reason else "",
        "Account": revocation.account_name or "",
        "Host": (finding.credential.host or "") if finding.credential else "",
        "Source": finding.source,
        "ReceivedAt": revocation.received_at,
        "ChangedAt": now,
        **{column: msgspec.json.encode(getattr(revocation, name)).decode() for name, (column, _) in _APART.items()},
        "Record": msgspec.json.encode(
            replace(revocation, finding=_NO_FINDING, account=None, policy=None, lockdown=None, sightings=(), etag="")
        ).decode(),
    }


def _first_line(finding: Finding) -> str:
    because = f" Reason: {finding.reason}" if finding.reason else ""
    if finding.order is not None:
        return f"Ordered: {finding.order.lever} on {finding.order.target} of {finding.order.account}.{because}"
    return f"Reported by {finding.source}.{because}"


# What of a record has a column of its own, since a text column holds 32 K characters: what leaked, and what others
# can make long, the account's network rules and tags above all.
_APART: dict[str, tuple[str, Any]] = {
    "finding": ("Finding", Finding),
    "account": ("Facts", AccountFacts | None),
    "policy": ("Policy", PolicyReading | None),
    "lockdown": ("Lockdown", LockedDown | None),
    "sightings": ("Sightings", tuple[Sighting, ...]),
}
_NO_FINDING = Finding("", None, "", None, datetime.fromisoformat("2000-01-01T00:00:00+00:00"))


def _from_entity(entity: TableEntity) -> Revocation:
    record = msgspec.json.decode(entity["Record"], type=Revocation)
    apart = {name: msgspec.json.decode(entity[column], type=type_) for name, (column, type_) in _APART.items()}
    return replace(record, **apart, etag=str(entity.metadata["etag"]))
