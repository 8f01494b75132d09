"""Queries the storage logs of an account for the use of a leak."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

from azure.monitor.query.aio import LogsQueryClient

from shared.cloud import log_queries
from shared.cloud.accounts import AccountRef
from shared.cloud.arm_write import answered
from shared.cloud.log_rows import TIMEOUT, KnowsLogs, Row, moment, number, rows, text
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.usage import Client, Touched, Usage, covers_reads
from shared.sas import Kind, Service

_DAYS = 90


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
        async with answered(f"Querying the logs of {account.name}", within=TIMEOUT):
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
        answers = await asyncio.gather(
            *(rows(self.client, account, kql, since=since, until=now) for kql in questions)
        )
        total, touched, clients = (answers[0] or [{}])[0], answers[1], answers[2]
        return Usage(
            at=now,
            days=_DAYS,
            requests=number(total, "Requests"),
            served=number(total, "Served"),
            served_after=number(total, "ServedAfter"),
            writes=number(total, "Writes"),
            deletes=number(total, "Deletes"),
            bytes_out=number(total, "BytesOut"),
            first=moment(total, "First"),
            last=moment(total, "Last"),
            objects=tuple(
                Touched(text(row, "Object"), number(row, "Requests"), number(row, "Written")) for row in touched
            ),
            clients=_clients(clients),
            others=_clients(answers[3]) if others else None,
        )


@dataclass(frozen=True, slots=True)
class SignatureLogs:
    """Finds out whether a token was used on an account, by the hash of its signature."""

    client: LogsQueryClient
    _: KW_ONLY
    clock: Callable[[], datetime]

    async def has(self, account: AccountRef, signature_sha256: str) -> bool:
        """Return whether the account's logs have the token. Raises TransientFailure or Blocked."""
        now = self.clock()
        kql = log_queries.totals(log_queries.by_token(signature_sha256), ended=now)
        async with answered(f"Querying the logs of {account.name}", within=TIMEOUT):
            found = await rows(self.client, account, kql, since=now - timedelta(days=_DAYS), until=now)
        return number((found or [{}])[0], "Requests") > 0


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


def _clients(found: Iterable[Row]) -> tuple[Client, ...]:
    return tuple(Client(text(row, "Address"), text(row, "Agent"), number(row, "Requests")) for row in found)
