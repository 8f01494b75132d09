"""The activity log of the stand-in for ARM: what is recorded, and how it is listed.

Sources: MicrosoftDocs/azure-monitor-docs, "Azure Activity Log event schema": "the records of both the start and
success or fail of that operation are recorded in the Administrative category"; Azure/azure-rest-api-specs,
Microsoft.Insights 2015-04-01, activityLogs_API.json; "Retrieve activity log data using Azure monitor REST API": the
filter "requires at least the start date/time". Where `requestbody` is: MicrosoftDocs/azure-docs, "Alert on privileged
Azure role assignments".
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, Identity, Share
from tests.support.arm_requests import ACCOUNT, API, arm_client, error_code

LOG = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.Insights/eventtypes/management/values"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
READER = "Microsoft.Insights/eventtypes/values/read"


@pytest.fixture
def tenant(tenant: Cloud) -> Cloud:
    tenant.users |= identities.users()
    tenant.regenerate_seconds = 0
    return tenant


async def listed(
    tenant: Cloud, entra: Entra, *, resource: str = ACCOUNT, since: timedelta = timedelta(hours=1), end: str = ""
) -> list[dict[str, Any]]:
    start = datetime.now(UTC) - since
    where = f"eventTimestamp ge '{start:%Y-%m-%dT%H:%M:%SZ}'{end} and resourceUri eq '{resource}'"
    async with arm_client(tenant, entra, "responder") as api:
        answer = await api.get(LOG, params={"api-version": "2015-04-01", "$filter": where})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["value"]
    return rows


async def regenerated(tenant: Cloud, entra: Entra, identity: str = "developer", key: str = "key1") -> httpx.Response:
    async with arm_client(tenant, entra, identity) as api:
        return await api.post(
            f"{ACCOUNT}/regenerateKey?{API}",
            json={"keyName": key},
            headers={"x-ms-correlation-request-id": "aaaa0000-bb11-2222-33cc-444444dddddd"},
        )


async def test_rotation_is_recorded_as_its_start_and_its_success(tenant: Cloud, entra: Entra) -> None:
    await regenerated(tenant, entra)

    start, end = await listed(tenant, entra)

    assert [each["status"]["value"] for each in (start, end)] == ["Started", "Succeeded"]
    assert start["properties"] == {"requestbody": '{"keyName":"key1"}'}
    assert end["properties"] == {}
    developer = tenant.identities["developer"]
    for each in (start, end):
        assert each["operationName"]["value"] == "Microsoft.Storage/storageAccounts/regenerateKey/action"
        assert each["caller"] == "developer@contoso.com"
        assert (each["claims"]["appid"], each["claims"][OBJECT_ID]) == (developer.client_id, developer.object_id)
        assert each["correlationId"] == "aaaa0000-bb11-2222-33cc-444444dddddd"
        assert each["operationId"] == start["operationId"]


async def test_caller_without_a_principal_name_is_its_object_id(tenant: Cloud, entra: Entra) -> None:
    await regenerated(tenant, entra, "responder")

    assert {each["caller"] for each in await listed(tenant, entra)} == {tenant.identities["responder"].object_id}


async def test_refused_request_is_recorded_as_a_failure(tenant: Cloud, entra: Entra) -> None:
    await regenerated(tenant, entra, key="key3")

    assert [each["status"]["value"] for each in await listed(tenant, entra)] == ["Started", "Failed"]


async def test_reads_are_not_recorded(tenant: Cloud, entra: Entra) -> None:
    async with arm_client(tenant, entra) as api:
        assert (await api.get(f"{ACCOUNT}?{API}")).status_code == 200

    assert await listed(tenant, entra) == []


async def test_write_of_a_share_is_recorded_on_the_share(tenant: Cloud, entra: Entra, account: Account) -> None:
    account.shares["homes"] = Share("homes", datetime.now(UTC), "etag")
    share = f"{ACCOUNT}/fileServices/default/shares/homes"
    async with arm_client(tenant, entra) as api:
        await api.patch(f"{share}?{API}", json={"properties": {"signedIdentifiers": []}})

    start, end = await listed(tenant, entra, resource=share.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))

    assert end["operationName"]["value"] == "Microsoft.Storage/storageAccounts/fileServices/shares/write"
    assert "signedIdentifiers" in start["properties"]["requestbody"]
    assert await listed(tenant, entra) == []


async def test_times_of_the_filter_bound_the_list(tenant: Cloud, entra: Entra) -> None:
    await regenerated(tenant, entra)

    assert await listed(tenant, entra, since=-timedelta(hours=1)) == []
    assert await listed(tenant, entra, end=" and eventTimestamp le '2014-07-20T04:36:37.6407898Z'") == []


@pytest.mark.parametrize(
    "where",
    [
        "",
        f"resourceUri eq '{ACCOUNT}'",
        "eventTimestamp ge '2014-07-16T04:36:37Z' and caller eq 'x'",
        f"eventTimestamp ge '2014-07-16T04:36:37Z' and resourceUri eq '{ACCOUNT}' and caller eq 'x'",
    ],
)
async def test_other_filters_are_refused(tenant: Cloud, entra: Entra, where: str) -> None:
    """ "No other syntax is allowed." """
    async with arm_client(tenant, entra, "responder") as api:
        answer = await api.get(LOG, params={"api-version": "2015-04-01", "$filter": where})

    assert (answer.status_code, error_code(answer)) == (400, "BadRequest")


async def test_log_requires_its_right(tenant: Cloud, entra: Entra) -> None:
    tenant.identities["guest"] = Identity("guest", "0" * 8 + "-0000-4000-8000-" + "0" * 12, "g", frozenset())
    async with arm_client(tenant, entra, "guest") as api:
        answer = await api.get(LOG, params={"api-version": "2015-04-01", "$filter": "x"})

    assert answer.status_code == 403
    assert READER in answer.text
