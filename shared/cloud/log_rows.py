"""Runs a query of an account's storage logs, and reads the values of its rows.

The query goes to the account and not to a workspace: Azure Monitor then reads every workspace that has its logs and
that the app's identity may read ("Manage access to Log Analytics workspaces": resource-context).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from azure.monitor.query import LogsQueryResult
from azure.monitor.query.aio import LogsQueryClient

from shared.cloud.accounts import AccountRef
from shared.domain.account import AccountFacts
from shared.domain.text import clean
from shared.errors import TransientFailure
from shared.sas import Service

TIMEOUT = 25.0
"""Seconds for all queries of one question."""

_SERVER_TIMEOUT = 20  # seconds that a query may take there
_LONGEST = 200  # characters of a text from the logs

type Row = Mapping[str, Any]


class KnowsLogs(Protocol):
    async def __call__(self, account: AccountFacts, service: Service) -> frozenset[str]:
        """Return the categories that a service logs to a workspace: `Governance.logged`."""


async def rows(
    client: LogsQueryClient, account: AccountRef | AccountFacts, kql: str, *, since: datetime, until: datetime
) -> list[Row]:
    """Return the result of a query. Raises AzureError, and TransientFailure for a part of it."""
    return await rows_of(client, account.id, kql, since=since, until=until, name=account.name)


async def rows_of(
    client: LogsQueryClient, resource_id: str, kql: str, *, since: datetime, until: datetime, name: str
) -> list[Row]:
    """Return the same for the logs of a resource: an account, or all of a subscription. `name` is for messages."""
    result = await client.query_resource(resource_id, kql, timespan=(since, until), server_timeout=_SERVER_TIMEOUT)
    return _whole(result, name)


async def rows_of_workspace(
    client: LogsQueryClient, workspace: str, kql: str, *, since: datetime, until: datetime
) -> list[Row]:
    """Return the same for all logs of a workspace. `workspace` is its id, a GUID."""
    result = await client.query_workspace(workspace, kql, timespan=(since, until), server_timeout=_SERVER_TIMEOUT)
    return _whole(result, "the workspace")


def _whole(result: object, name: str) -> list[Row]:
    if not isinstance(result, LogsQueryResult):
        raise TransientFailure(f"The logs of {name} returned a partial result only.")
    [table] = result.tables
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def text(row: Row, name: str) -> str:
    """Return a text of the logs. Clients choose it: it is hostile."""
    return clean(str(row.get(name) or ""), limit=_LONGEST)


def number(row: Row, name: str) -> int:
    return int(row.get(name) or 0)


def moment(row: Row, name: str) -> datetime | None:
    value = row.get(name)
    return value.astimezone(UTC) if isinstance(value, datetime) else None
