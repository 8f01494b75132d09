"""The stand-in for Log Analytics: the query of the SAS in use, by resource, subscription and workspace.

Sources: learn.microsoft.com, "Querying logs for Azure resources", "Manage access to Log Analytics workspaces"; Kusto:
make_set(), take_anyif(), replace_regex(); Azure Monitor Logs reference, "StorageBlobLogs": CallerIpAddress has the
port.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from local.entra.tokens import Entra
from local.monitor import log_analytics
from local.tenant.model import STORAGE_WORKSPACE, SUBSCRIPTION_ID, Account, Cloud, StorageLogLine, now
from shared.cloud import log_queries
from tests.local.monitor.conftest import Bearer
from tests.support.asgi import client

HOST = "api.loganalytics.io"
SAS = f"key1({'AB' * 32}),SasSignature({'CD' * 32})"
ALL = f"/v1/subscriptions/{SUBSCRIPTION_ID}/query"


@pytest.fixture
def account(cloud: Cloud) -> Account:
    made = Account(name="logged1", resource_group="logs")
    cloud.accounts[made.name] = made
    return made


@pytest.fixture
async def api(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    async with client(log_analytics.app(cloud, entra), HOST) as opened:
        yield opened


def line(account: Account, **changed: Any) -> StorageLogLine:
    values: dict[str, Any] = {
        "account": account.name,
        "at": now() - timedelta(hours=1),
        "category": "StorageRead",
        "status": 200,
        "object_key": "/logged1/models/a",
        "address": "203.0.113.7:50211",
        "agent": "curl",
        "authentication_hash": SAS,
        "response_size": 1,
        "operation": "GetBlob",
        "uri": "https://logged1.blob.core.windows.net:443/models/a?sv=2020-12-06&sig=XXXXX",
        "authentication_type": "SAS",
    }
    return StorageLogLine(**values | changed)


async def asked(
    api: httpx.AsyncClient, bearer: Bearer, path: str = ALL, *, days: int | None = 30, by: str = "responder"
) -> httpx.Response:
    span = {"timespan": f"{(now() - timedelta(days=days)).isoformat()}/{now().isoformat()}"} if days else {}
    headers = bearer(by, log_analytics.AUDIENCE)
    return await api.post(path, json={"query": log_queries.sas_in_use(), **span}, headers=headers)


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    [table] = answer.json()["tables"]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


async def test_lines_of_one_hash_are_one_row(
    api: httpx.AsyncClient, bearer: Bearer, cloud: Cloud, account: Account
) -> None:
    cloud.storage_log += [
        line(account),
        line(account, address="[2001:db8::7]:443", operation="ListBlobs"),
        line(account, status=403, uri="https://logged1.blob.core.windows.net:443/x?sig=XXXXX"),
        line(account, authentication_type="AccountKey", authentication_hash=f"key1({'AB' * 32})"),
        line(account, authentication_type="OAuth", authentication_hash=""),
    ]

    [row] = rows(await asked(api, bearer))

    assert (row["AuthenticationHash"], row["AccountName"], row["ResourceId"]) == (SAS, "logged1", account.id.lower())
    assert (row["Requests"], row["Accepted"]) == (3, 2)
    assert json.loads(row["Addresses"]) == ["203.0.113.7", "[2001:db8::7]"]
    assert json.loads(row["Operations"]) == ["GetBlob", "ListBlobs"]
    assert (len(json.loads(row["AcceptedUrls"])), "/x?" in row["RefusedUrl"]) == (1, True)


async def test_timespan_is_regarded(api: httpx.AsyncClient, bearer: Bearer, cloud: Cloud, account: Account) -> None:
    cloud.storage_log.append(line(account, at=now() - timedelta(days=40)))

    assert rows(await asked(api, bearer, days=30)) == []
    assert len(rows(await asked(api, bearer, days=50))) == 1
    assert (await asked(api, bearer, days=None)).status_code == 400


async def test_resource_has_its_own_lines_only(
    api: httpx.AsyncClient, bearer: Bearer, cloud: Cloud, account: Account
) -> None:
    other = Account(name="logged2", resource_group="logs")
    cloud.accounts[other.name] = other
    cloud.storage_log += [line(account), line(other)]

    assert [row["AccountName"] for row in rows(await asked(api, bearer, f"/v1{other.id}/query"))] == ["logged2"]
    assert len(rows(await asked(api, bearer))) == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (ALL, 200),
        ("/v1/subscriptions/00000000-0000-4000-8000-000000000001/query", 404),
        (f"/v1/workspaces/{STORAGE_WORKSPACE}/query", 403),  # of resources, the responder may read logs alone
        ("/v1/workspaces/00000000-0000-4000-8000-000000000001/query", 404),
    ],
)
async def test_scope_is_one_that_the_identity_may_read(
    api: httpx.AsyncClient, bearer: Bearer, path: str, status: int
) -> None:
    assert (await asked(api, bearer, path)).status_code == status


async def test_intake_may_read_no_logs(api: httpx.AsyncClient, bearer: Bearer) -> None:
    assert (await asked(api, bearer, by="intake")).status_code == 403


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("203.0.113.7:50211", "203.0.113.7"),
        ("[2001:db8::7]:443", "[2001:db8::7]"),
        ("2001:db8::7:50211", "2001:db8::7"),
    ],
)
async def test_clients_of_a_token_are_shown_without_their_port(
    api: httpx.AsyncClient, bearer: Bearer, cloud: Cloud, account: Account, *, written: str, shown: str
) -> None:
    cloud.storage_log.append(line(account, address=written))
    kql = log_queries.clients(log_queries.by_token("cd" * 32))

    answer = await api.post(
        f"/v1{account.id}/query", json={"query": kql}, headers=bearer("responder", log_analytics.AUDIENCE)
    )

    assert rows(answer) == [{"Address": shown, "Agent": "curl", "Requests": 1}]
