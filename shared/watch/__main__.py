"""`python -m shared.watch in-use --workspace ID`: the SAS in use, from the storage logs of a workspace.

As the signed-in identity (`az login`, a workload or managed identity), which needs "Log Analytics Reader" on the
workspace, and, to find the key that signed each SAS, the right to list the keys of the accounts
(`Microsoft.Storage/storageAccounts/listKeys/action`). It changes nothing. Prints JSON lines with the fields of
GET /api/sas, or a table; what the list can't show and the progress go to standard error. The exit code is 0, or 2 on
failure.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import msgspec
from azure.identity.aio import DefaultAzureCredential
from azure.mgmt.storage.aio import StorageManagementClient
from azure.monitor.query.aio import LogsQueryClient

from shared import redaction
from shared.cloud.sas_log import SasLog
from shared.domain.azure_clouds import CLOUDS
from shared.domain.guid import is_guid
from shared.domain.text import clean
from shared.errors import SasquashError
from shared.settings import read_one
from shared.watch.answer import SasInUse
from shared.watch.service import MOST_DAYS, SasInUseList
from shared.watch.signers import SignerSearch
from shared.watch.table import table
from shared.watch.workspace import Workspace

_PAGE = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    asked = _parser().parse_args(arguments)
    redaction.install()
    try:
        tokens = asyncio.run(_tokens(asked.workspace, days=asked.days, account=asked.account))
    except SasquashError as error:
        _say(f"The SAS in use were not listed: {error}", "Sign in (az login); docs/responders.md names the rights.")
        return 2
    if asked.format == "table":
        print(table(tokens))
    else:
        for token in tokens:
            print(msgspec.json.encode(token).decode())
    return 0


async def read_all(source: SasInUseList, *, days: int, account: str | None) -> list[SasInUse]:
    """Return all pages of a list. Progress, and what it can't show, go to standard error."""
    tokens: list[SasInUse] = []
    unread: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await source.page(account=account, days=days, limit=_PAGE, after=after)
        tokens += page.tokens
        unread |= {each.name: each.said for each in page.unread}
        after = page.next
        if after is None:
            break
        _say(f"{len(tokens)} SAS so far …")
    for name, said in sorted(unread.items()):
        _say(f"Not read: {name}: {clean(said)}")
    if page.unidentified_requests:
        _say(f"{page.unidentified_requests} requests had a SAS that the logs do not identify.")
    _say(*page.limits, "Accounts and services that do not log to this workspace are not seen.")
    _say(f"{len(tokens)} SAS in use in the last {days} days.")
    return tokens


async def _tokens(workspace: str, *, days: int, account: str | None) -> list[SasInUse]:
    async with _opened(workspace) as source:
        return await read_all(source, days=days, account=account)


@asynccontextmanager
async def _opened(workspace: str) -> AsyncIterator[SasInUseList]:
    """Open the clients of the signed-in identity. Raises SettingsError."""
    cloud = CLOUDS[read_one(os.environ, "cloud_name")]
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(DefaultAzureCredential(authority=cloud.authority))
        logs = await stack.enter_async_context(LogsQueryClient(credential, endpoint=cloud.logs))
        known: dict[str, StorageManagementClient] = {}

        def client_for(subscription: str) -> StorageManagementClient:
            if subscription not in known:
                client = StorageManagementClient(
                    credential,
                    subscription,
                    base_url=cloud.resource_manager,
                    credential_scopes=[f"{cloud.resource_manager}/.default"],
                )
                stack.push_async_exit(client)
                known[subscription] = client
            return known[subscription]

        yield SasInUseList(
            source=Workspace(SasLog(logs, clock=_now), workspace, client_for=client_for),
            search=SignerSearch(clock=_now),
            clock=_now,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.watch", description=(__doc__ or "").partition("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    in_use = commands.add_parser("in-use", help="list the SAS that the storage logs show in use")
    in_use.add_argument("--workspace", required=True, type=_guid, help="the workspace's id (its customer id), a GUID")
    in_use.add_argument("--days", type=_days, default=30, help="how far back: 1 to 90 days, by default 30")
    in_use.add_argument("--account", help="only this storage account")
    in_use.add_argument("--format", choices=("json", "table"), default="table")
    return parser


def _guid(text: str) -> str:
    if not is_guid(text):
        raise argparse.ArgumentTypeError("not a GUID: az monitor log-analytics workspace show --query customerId")
    return text


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:4]) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"not a number of days from 1 to {MOST_DAYS}")
    return int(text)


def _now() -> datetime:
    return datetime.now(UTC)


def _say(*sentences: str) -> None:
    for sentence in sentences:
        print(sentence, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
