"""Table `readiness`: the results of the daily checks and of the drills.

Partition "account", a row for each account, "<subscription>~<name>": what the latest check found. Partition "drill",
a row for each drill, by the time of its start. Partition "subscription": one row. It holds no credential. Partition
"unreadable" is of `unreadable_rows`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.cloud.subscriptions import Subscription
from shared.domain.readiness import Trouble
from shared.domain.text import clean
from shared.errors import UnreadableRow
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading
from shared.persistence.unknown_fields import with_unknown

_ACCOUNT, _DRILL, _SUBSCRIPTIONS = "account", "drill", "subscription"
_MOST_OTHERS = 100
_LONGEST_NAME = 100  # characters


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What the latest check of an account found."""

    account: str
    account_id: str
    subscription: str
    at: datetime
    troubles: tuple[Trouble, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a revocation would succeed."""
        return not any(trouble.blocking for trouble in self.troubles)


@dataclass(frozen=True, slots=True)
class OtherSubscriptions:
    """The subscriptions that the app may see and does not monitor: how many, and the first of them by name."""

    at: datetime
    count: int = 0
    first: tuple[Subscription, ...] = ()

    @classmethod
    def of(cls, found: Sequence[Subscription], *, at: datetime) -> "OtherSubscriptions":
        """Return what is kept of all that were found: a row of the table holds 64 K."""
        kept = tuple(Subscription(one.id, clean(one.name, limit=_LONGEST_NAME)) for one in found[:_MOST_OTHERS])
        return cls(at, len(found), kept)


class DrillOutcome(StrEnum):
    """The result of a drill."""

    UNDER_WAY = "under_way"
    PASSED = "passed"  # verified revoked; or, where the mode requires approval, decided
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DrillRun:
    """One drill. `revocation` is the id of its record; the times are seconds from its start."""

    started_at: datetime
    account: str
    revocation: str
    outcome: DrillOutcome = DrillOutcome.UNDER_WAY
    said: str = ""
    contained_after: float | None = None
    proven_after: float | None = None


class ReadinessTable:
    """The only reader and writer of these rows of table `readiness`. All raise TransientFailure.

    A row that can't be read is set aside, and nothing is written in its place.
    """

    def __init__(self, table: TableClient, *, set_aside: SetAside = logged) -> None:
        self._table = table
        self._set_aside = set_aside

    async def save_check(self, check: AccountCheck) -> None:
        """Write what a check found, in place of the one before."""
        await self._save(_ACCOUNT, _key(check.subscription, check.account), check)

    async def checks(self) -> list[AccountCheck]:
        """Return the latest check of each account, by subscription and name."""
        return [check async for check in self._rows(_ACCOUNT, AccountCheck)]

    async def forget(self, check: AccountCheck) -> None:
        """Remove the check of an account that is gone. Idempotent."""
        with own_tables("Removing an account that is gone"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(_ACCOUNT, _key(check.subscription, check.account))

    async def save_others(self, others: OtherSubscriptions) -> None:
        """Write which subscriptions are not monitored, in place of what was known before."""
        await self._save(_SUBSCRIPTIONS, "others", others)

    async def others(self) -> OtherSubscriptions | None:
        """Return which subscriptions are not monitored; None before they were first listed."""
        rows = [others async for others in self._rows(_SUBSCRIPTIONS, OtherSubscriptions)]
        return rows[0] if rows else None

    async def save_drill(self, run: DrillRun) -> None:
        """Write a drill as it stands."""
        await self._save(_DRILL, f"{run.started_at:%Y%m%dT%H%M%S%f}", run)

    async def drills(self) -> list[DrillRun]:
        """Return every drill, oldest first."""
        return [run async for run in self._rows(_DRILL, DrillRun)]

    async def _save(self, partition: str, key: str, record: AccountCheck | DrillRun | OtherSubscriptions) -> None:
        text = msgspec.json.encode(record)
        with own_tables(f"Writing a row of table readiness ({partition})"):
            try:
                before = await self._table.get_entity(partition, key)
            except ResourceNotFoundError:
                merged = text.decode()
            else:
                try:
                    with reading(self._table.table_name, before):
                        merged = with_unknown(text, read=before["Record"], kind=type(record))
                except UnreadableRow as error:
                    await self._set_aside(error)
                    return
            await self._table.upsert_entity(new_row(partition, key, Record=merged), mode=UpdateMode.MERGE)

    async def _rows[R](self, partition: str, kind: type[R]) -> AsyncIterator[R]:
        with own_tables(f"Reading table readiness ({partition})"):
            async for row in self._table.query_entities("PartitionKey eq @p", parameters={"p": partition}):
                try:
                    with reading(self._table.table_name, row):
                        record = msgspec.json.decode(row["Record"], type=kind)
                except UnreadableRow as error:
                    await self._set_aside(error)
                else:
                    yield record


def decoded(row: Row) -> AccountCheck | DrillRun | OtherSubscriptions:
    """Return what one of these rows holds. Raises what `rows.reading` translates."""
    kinds: dict[str, type[AccountCheck | DrillRun | OtherSubscriptions]] = {
        _ACCOUNT: AccountCheck,
        _DRILL: DrillRun,
        _SUBSCRIPTIONS: OtherSubscriptions,
    }
    return msgspec.json.decode(row["Record"], type=kinds[row["PartitionKey"]])


def _key(subscription: str, account: str) -> str:
    return f"{subscription}~{account}"
