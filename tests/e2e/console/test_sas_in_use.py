"""The console's list of SAS in use, in a real browser: real requests, and hostile text in their log lines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from azure.storage.blob import generate_account_sas
from azure.storage.blob.aio import BlobServiceClient
from playwright.async_api import expect

from local.tenant.model import Account
from tests.support.browser import ConsolePage
from tests.support.cloud_clients import browser as http_client
from tests.support.cloud_clients import options
from tests.support.deployment import Deployment
from tests.support.harmless import check_visible

HOSTILE = "<img src=x onerror=alert(1)> <script>alert(2)</script>"


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(deployment.cloud) as opened:
        yield opened


async def used(deployment: Deployment, client: httpx.AsyncClient, *, agent: str) -> Account:
    """An account with a token until 2051 that a client has used twice, and nobody has reported."""
    account = await deployment.account()
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key2"], **options(deployment.cloud)) as service:
        await service.create_container("models")
        await service.get_blob_client("models", "a.ckpt").upload_blob(b"x")
    account.logged["blob"] = ("StorageRead", "StorageWrite", "StorageDelete")
    token = generate_account_sas(
        account.name,
        account.keys["key1"],
        resource_types="sco",
        permission="rwdl",
        expiry=datetime(2051, 10, 6, tzinfo=UTC),
    )
    for _ in range(2):
        answer = await client.get(f"{url}/models/a.ckpt?{token}", headers={"user-agent": agent})
        assert answer.status_code == 200
    return account


async def test_token_that_nobody_reported_is_in_the_list(
    console: ConsolePage, deployment: Deployment, client: httpx.AsyncClient
) -> None:
    account = await used(deployment, client, agent="curl/8.5")
    await console.open(as_="reader")

    await console.page.get_by_role("link", name="SAS in use").click()

    row = console.page.locator("tbody tr", has_text=account.name)
    await expect(row).to_contain_text("until 2051-10-06")
    for text in ("Not reported", "whole account", "CRITICAL", "key1", "curl/8.5"):
        await expect(row).to_contain_text(text)
    await expect(console.page.get_by_role("heading", name="What this list can't show")).to_be_visible()
    await expect(console.page.locator("main")).to_contain_text("is not listed: Azure has no list of the tokens")
    assert account.rotations == []
    assert console.troubles == []
    assert await console.violations() == []


async def test_list_is_asked_for_one_account(
    console: ConsolePage, deployment: Deployment, client: httpx.AsyncClient
) -> None:
    one = await used(deployment, client, agent="curl/8.5")
    other = await used(deployment, client, agent="curl/8.5")
    await console.open("#/sas", as_="reader")
    await expect(console.page.locator("tbody tr", has_text=other.name)).to_have_count(1)

    await console.page.get_by_label("Account").fill(one.name)
    await console.page.get_by_label("Used in the last").select_option("7")
    await console.page.get_by_role("button", name="List").click()

    await expect(console.page.locator("tbody tr", has_text=other.name)).to_have_count(0)
    await expect(console.page.locator("tbody tr", has_text=one.name)).to_have_count(1)
    await expect(console.page.locator("main")).to_contain_text("not used in the last 7 days")
    await expect(console.page.get_by_label("Account")).to_have_value(one.name)


async def test_account_that_is_not_monitored_is_an_error_and_the_list_stays(
    console: ConsolePage, deployment: Deployment
) -> None:
    await console.open("#/sas", as_="reader")

    await console.page.get_by_label("Account").fill("nosuchaccount")
    await console.page.get_by_role("button", name="List").click()

    await expect(console.page.locator("#status")).to_contain_text("not an account in a monitored subscription")
    await expect(console.page.locator("h1")).to_have_text("SAS in use")


async def test_hostile_user_agent_stays_text(
    console: ConsolePage, deployment: Deployment, client: httpx.AsyncClient
) -> None:
    account = await used(deployment, client, agent=HOSTILE)
    await console.open("#/sas", as_="reader")

    row = console.page.locator("tbody tr", has_text=account.name)
    await expect(row).to_contain_text("<img src=x onerror=alert(1)>")
    assert await row.locator("img, script, button, iframe").count() == 0
    for cell in await row.locator("td").all_inner_texts():
        check_visible(cell)
    assert console.troubles == []
