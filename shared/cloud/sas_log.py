"""Reads from the storage logs which SAS are in use: of a subscription, an account, or a whole workspace.

Fields: "StorageBlobLogs" and the like (Azure Monitor Logs reference). AuthenticationHash of a SAS is
"key1(<hash>),SasSignature(<hash>)" ("Azure Blob Storage monitoring data reference"), in either case.
The logs of a subscription are one query: "Manage access to Log Analytics workspaces", resource-context, "for a
particular resource, resource group, or subscription". `_ResourceId` is of every table that a resource writes to
("Standard columns in Azure Monitor Logs").
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

from azure.monitor.query.aio import LogsQueryClient

from shared.cloud import log_queries
from shared.cloud.arm_write import answered
from shared.cloud.log_rows import TIMEOUT, Row, moment, number, rows_of, rows_of_workspace
from shared.domain.guid import is_guid
from shared.domain.logged_sas import LoggedSas, LoggedTokens
from shared.domain.text import clean

_HASH = re.compile(
    r"(?:(?P<key>key[12])\([0-9a-f]{64}\),)?.{0,200}?sassignature\((?P<signature>[0-9a-f]{64})\)", re.I
)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_RESOURCE_ID = re.compile(
    r"(/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/]{1,90}/providers/microsoft\.storage/storageaccounts/[a-z0-9]{3,24})"
    r"(?:/[a-z]{4,12}services/default)?",
    re.IGNORECASE,
)
_OPERATION = re.compile(r"[A-Za-z]{1,60}")
_MOST = 20  # values of one column
_LONGEST_AGENT = 120


@dataclass(frozen=True, slots=True)
class SasLog:
    """Finds the SAS in use. All raise TransientFailure or Blocked."""

    client: LogsQueryClient
    _: KW_ONLY
    clock: Callable[[], datetime]

    async def of_subscription(self, subscription: str, *, days: int) -> LoggedTokens:
        """Return those of the accounts of a subscription that the app's identity may read the logs of."""
        return await self._of_resource(f"/subscriptions/{subscription}", f"subscription {subscription}", days=days)

    async def of_account(self, account_id: str, name: str, *, days: int) -> LoggedTokens:
        """Return those of one account."""
        return await self._of_resource(account_id, name, days=days)

    async def of_workspace(self, workspace: str, *, days: int) -> LoggedTokens:
        """Return those of all accounts that log to a workspace. Raises ValueError where its id is no GUID."""
        if not is_guid(workspace):
            raise ValueError("a workspace's id is a GUID")
        now = self.clock()
        async with answered("Querying the storage logs of the workspace", within=TIMEOUT):
            found = await rows_of_workspace(
                self.client, workspace, log_queries.sas_in_use(), since=now - timedelta(days=days), until=now
            )
        return read(found)

    async def _of_resource(self, resource_id: str, name: str, *, days: int) -> LoggedTokens:
        now = self.clock()
        async with answered(f"Querying the storage logs of {name}", within=TIMEOUT):
            found = await rows_of(
                self.client,
                resource_id,
                log_queries.sas_in_use(),
                since=now - timedelta(days=days),
                until=now,
                name=name,
            )
        return read(found)


def read(found: Iterable[Row]) -> LoggedTokens:
    """Return the tokens of a result of `log_queries.sas_in_use`. One with lines of several hashes is one."""
    tokens: dict[tuple[str, str], LoggedSas] = {}
    unidentified = count = 0
    for count, row in enumerate(found, start=1):
        token = _token(row) if count <= log_queries.MOST_TOKENS else None
        if token is None:
            unidentified += number(row, "Requests") if count <= log_queries.MOST_TOKENS else 0
            continue
        key = (token.account, token.signature_sha256)
        tokens[key] = _joined(tokens[key], token) if key in tokens else token
    return LoggedTokens(tuple(tokens.values()), unidentified, is_cut=count > log_queries.MOST_TOKENS)


def _token(row: Row) -> LoggedSas | None:
    hashes = _HASH.match(_text(row, "AuthenticationHash"))
    account = _text(row, "AccountName").lower()
    first, last = moment(row, "First"), moment(row, "Last")
    if hashes is None or not _ACCOUNT.fullmatch(account) or first is None or last is None:
        return None
    resource = _RESOURCE_ID.fullmatch(_text(row, "ResourceId"))
    urls = (*_texts(row, "AcceptedUrls"), _text(row, "RefusedUrl"))
    return LoggedSas(
        account=account,
        resource_id=resource[1] if resource is not None and resource[1].lower().endswith(f"/{account}") else None,
        signature_sha256=hashes["signature"].lower(),
        key_name=(hashes["key"] or "").lower() or None,
        urls=tuple(dict.fromkeys(url for url in urls if 0 < len(url) < log_queries.LONGEST_URL)),
        first=first,
        last=last,
        requests=number(row, "Requests"),
        accepted=number(row, "Accepted"),
        addresses=_distinct(map(_address, _texts(row, "Addresses"))),
        agents=_distinct(clean(agent, limit=_LONGEST_AGENT) for agent in _texts(row, "Agents")),
        operations=_distinct(name if _OPERATION.fullmatch(name) else "" for name in _texts(row, "Operations")),
    )


def _joined(one: LoggedSas, other: LoggedSas) -> LoggedSas:
    """Return the use of a SAS whose lines have several hashes: after its key was regenerated, or of two queries."""
    return LoggedSas(
        account=one.account,
        resource_id=one.resource_id or other.resource_id,
        signature_sha256=one.signature_sha256,
        key_name=one.key_name or other.key_name,
        urls=tuple(dict.fromkeys((*one.urls, *other.urls)))[:_MOST],
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        requests=one.requests + other.requests,
        accepted=one.accepted + other.accepted,
        addresses=_distinct((*one.addresses, *other.addresses)),
        agents=_distinct((*one.agents, *other.agents)),
        operations=_distinct((*one.operations, *other.operations)),
    )


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _texts(row: Row, name: str) -> list[str]:
    """Return the texts of a dynamic column, which the API sends as JSON text."""
    value = row.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return [each for each in value if isinstance(each, str)][:_MOST] if isinstance(value, list) else []


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))[:_MOST]


def _address(text: str) -> str:
    """Return an IP address in its usual form; nothing for other text."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return ""
