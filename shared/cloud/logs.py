"""Queries the storage logs of an account for the use of a leak. Only this module imports azure-monitor-query.

The query goes to the account and not to a workspace: Azure Monitor then reads every workspace that has its logs and
that the app's identity may read ("Manage access to Log Analytics workspaces": resource-context).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from azure.monitor.query import LogsQueryResult
from azure.monitor.query.aio import LogsQueryClient

from shared.cloud import log_queries
from shared.cloud.arm_write import answered
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.text import clean
from shared.domain.usage import Client, Touched, Usage, covers_reads
from shared.errors import TransientFailure
from shared.sas import Kind, Service

_DAYS = 90
_SERVER_TIMEOUT = 20  # seconds that a query may take there
_TIMEOUT = 25.0  # seconds, for all of it
_LONGEST = 200  # characters of a text from the logs


class KnowsLogs(Protocol):
    async def __call__(self, account: AccountFacts, service: Service) -> frozenset[str]:
        """Return the categories that a service logs to a workspace: `Governance.logged`."""


@dataclass(frozen=True, slots=True)
class UsageLogs:
    """Finds out what a leak was used for."""

    client: LogsQueryClient
    _: KW_ONLY
    logged: KnowsLogs
    clock: Callable[[], datetime]

    async def of(self, revocation: Revocation, account: AccountFacts) -> Usage:
        """Return the use of a record's leak. Raises TransientFailure or Blocked."""
        silent = await self._silent(revocation, account)
        if silent:
            return Usage(self.clock(), unknown=silent)
        async with answered(f"Querying the logs of {account.name}", within=_TIMEOUT):
            return await self._asked(revocation, account)

    async def _silent(self, revocation: Revocation, account: AccountFacts) -> str:
        """Return why the use is unknown; empty if it is logged."""
        services = _services(revocation, account)
        logged = await asyncio.gather(*(self.logged(account, service) for service in services))
        if any(covers_reads(categories) for categories in logged):
            return ""
        names = ", ".join(service.value for service in services)
        return (
            f"The account does not log requests to its {names} service, so usage cannot be determined. "
            "docs/operations.md has the command that turns logging on."
        )

    async def _asked(self, revocation: Revocation, account: AccountFacts) -> Usage:
        now = self.clock()
        lines, others = _lines(revocation)
        ended = revocation.execution.at if revocation.execution is not None else now
        questions = [
            log_queries.totals(lines, ended=ended),
            log_queries.objects(lines),
            log_queries.clients(lines),
            *([log_queries.clients(others)] if others else []),
        ]
        since = now - timedelta(days=_DAYS)
        answers = await asyncio.gather(*(self._rows(account, kql, since, now) for kql in questions))
        total, touched, clients = (answers[0] or [{}])[0], answers[1], answers[2]
        return Usage(
            at=now,
            days=_DAYS,
            requests=_number(total, "Requests"),
            served=_number(total, "Served"),
            served_after=_number(total, "ServedAfter"),
            writes=_number(total, "Writes"),
            deletes=_number(total, "Deletes"),
            bytes_out=_number(total, "BytesOut"),
            first=_moment(total, "First"),
            last=_moment(total, "Last"),
            objects=tuple(
                Touched(_text(row, "Object"), _number(row, "Requests"), _number(row, "Written")) for row in touched
            ),
            clients=_clients(clients),
            others=_clients(answers[3]) if others else None,
        )

    async def _rows(
        self, account: AccountFacts, kql: str, since: datetime, until: datetime
    ) -> list[Mapping[str, Any]]:
        result = await self.client.query_resource(
            account.id, kql, timespan=(since, until), server_timeout=_SERVER_TIMEOUT
        )
        if not isinstance(result, LogsQueryResult):
            raise TransientFailure(f"The logs of {account.name} returned a partial result only.")
        [table] = result.tables
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _services(revocation: Revocation, account: AccountFacts) -> tuple[Service, ...]:
    credential = revocation.finding.credential
    if credential is not None and credential.service in account.endpoints:
        return (credential.service,)
    return tuple(account.endpoints)


def _lines(revocation: Revocation) -> tuple[str, str]:
    """Return the query for the leak, and that for other clients of its key, or an empty one."""
    credential, key_name = revocation.finding.credential, revocation.key_name
    if credential is not None and credential.kind is not Kind.ACCOUNT_KEY and credential.signature_sha256:
        mine = log_queries.by_token(credential.signature_sha256)
        if key_name is None:
            return mine, ""
        return mine, log_queries.without_token(log_queries.by_key(key_name), credential.signature_sha256)
    return log_queries.by_key(key_name or "key1"), ""


def _clients(rows: Iterable[Mapping[str, Any]]) -> tuple[Client, ...]:
    return tuple(Client(_text(row, "Address"), _text(row, "Agent"), _number(row, "Requests")) for row in rows)


def _text(row: Mapping[str, Any], name: str) -> str:
    """Return a text of the logs. Clients choose it: it is hostile."""
    return clean(str(row.get(name) or ""), limit=_LONGEST)


def _number(row: Mapping[str, Any], name: str) -> int:
    return int(row.get(name) or 0)


def _moment(row: Mapping[str, Any], name: str) -> datetime | None:
    value = row.get(name)
    return value.astimezone(UTC) if isinstance(value, datetime) else None
