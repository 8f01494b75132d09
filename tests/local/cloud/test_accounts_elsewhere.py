"""Accounts that Azure Resource Manager does not show, and the bearer challenge that names their tenant.

Sources: REST, "Authorize with Microsoft Entra ID" (bearer challenge); the header of a real refusal
(github.com/microsoft/AzureStorageExplorer/issues/9050).
"""

import httpx
import pytest
from azure.storage.blob._shared.authentication import StorageHttpChallenge

from local.cloud.cloud import LocalCloud
from local.tenant.model import TENANT_ID
from tests.support.cloud_clients import browser, control

OTHER_TENANT = "7f1b9c3d-0000-4000-8000-000000000001"
QUESTION = "/?restype=service&comp=properties"


async def answer(cloud: LocalCloud, name: str, service: str = "blob", version: str = "2021-12-02") -> httpx.Response:
    async with browser(cloud) as client:
        headers = {"x-ms-version": version}
        return await client.get(f"https://{name}.{service}.core.windows.net{QUESTION}", headers=headers)


@pytest.mark.parametrize("service", ["blob", "queue", "table", "file"])
async def test_challenge_names_the_tenant_of_the_account(cloud: LocalCloud, service: str) -> None:
    async with control(cloud) as client:
        body = {"name": f"else{service}", "tenant": OTHER_TENANT}
        assert (await client.post("/accounts", json=body)).status_code == 201
    answered = await answer(cloud, f"else{service}", service)
    assert answered.status_code == 401
    assert StorageHttpChallenge(answered.headers["www-authenticate"]).tenant_id == OTHER_TENANT


async def test_monitored_account_names_this_tenant(cloud: LocalCloud) -> None:
    async with control(cloud) as client:
        await client.post("/accounts", json={"name": "elsehere"})
    answered = await answer(cloud, "elsehere", "queue")
    assert StorageHttpChallenge(answered.headers["www-authenticate"]).tenant_id == TENANT_ID


async def test_older_version_has_no_challenge(cloud: LocalCloud) -> None:
    cloud.model.elsewhere["elseold"] = OTHER_TENANT
    answered = await answer(cloud, "elseold", "queue", version="2019-07-07")
    assert (answered.status_code, "www-authenticate" in answered.headers) == (403, False)


@pytest.mark.parametrize("tenant", ["", "contoso.com", 7, None, OTHER_TENANT.upper()])
async def test_tenant_must_be_an_id(cloud: LocalCloud, tenant: object) -> None:
    async with control(cloud) as client:
        refused = await client.post("/accounts", json={"name": "elsebad", "tenant": tenant})
    assert (refused.status_code, "elsebad" in cloud.model.elsewhere) == (400, False)


async def test_name_is_taken_once(cloud: LocalCloud) -> None:
    async with control(cloud) as client:
        statuses = [
            (await client.post("/accounts", json=body)).status_code
            for body in ({"name": "elsetwice", "tenant": OTHER_TENANT}, {"name": "elsetwice"})
        ]
    assert statuses == [201, 409]
