"""The list of SAS in use: real requests with tokens of Microsoft's clients, the logs' lines of them, real keys."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient

from local.cloud.cloud import LocalCloud
from local.network.faults import Effect
from local.tenant.model import STORAGE_WORKSPACE, Account, new_storage_key
from shared.cloud.sas_log import SasLog
from shared.errors import Blocked, InvalidRequest, SasquashError
from shared.watch.__main__ import read_all
from shared.watch.answer import SasInUse, SasPage
from shared.watch.service import SasInUseList
from shared.watch.signers import SignedBy, SignerSearch
from shared.watch.workspace import Workspace
from tests.support.cloud_clients import browser, options
from tests.support.driver import Driver, found, report

LOGS = "api.loganalytics.io"
LOGGED = ("StorageRead", "StorageWrite", "StorageDelete")
END = datetime(2051, 10, 6, tzinfo=UTC)


@pytest.fixture
async def account(driver: Driver, cloud: LocalCloud) -> Account:
    """An account with a blob, whose requests are logged from now on."""
    made = await driver.account()
    url = f"https://{made.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=made.keys["key2"], **options(cloud)) as service:
        await service.create_container("models")
        await service.get_blob_client("models", "a b/model.ckpt").upload_blob(b"x" * 100)
    made.logged["blob"] = LOGGED
    return made


@pytest.fixture
async def client(cloud: LocalCloud) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(cloud) as opened:
        yield opened


def forever(account: Account) -> str:
    """A token until 2051 for everything in the account, which nobody has reported."""
    return generate_account_sas(
        account.name, account.keys["key1"], resource_types="sco", permission="rwdl", expiry=END
    )


def of_container(account: Account) -> str:
    return generate_container_sas(
        account.name,
        "models",
        account_key=account.keys["key2"],
        permission="rl",
        expiry=datetime.now(UTC) + timedelta(hours=2),
    )


async def read(client: httpx.AsyncClient, account: Account, token: str, agent: str = "curl/8.5") -> int:
    url = f"https://{account.name}.blob.core.windows.net/models/a%20b/model.ckpt?{token}"
    return (await client.get(url, headers={"user-agent": agent})).status_code


async def listed(driver: Driver, account: Account | None = None, **settings: str) -> SasPage:
    app = driver.app(**settings)
    return await app.http.sas_in_use.page(account=account.name if account else None, limit=100, after=None)


def of(page: SasPage, account: Account) -> list[SasInUse]:
    return [token for token in page.tokens if token.account == account.name]


async def test_token_that_nobody_reported_is_listed_in_mode_observe(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    token = forever(account)
    assert [await read(client, account, token) for _ in range(3)] == [200, 200, 200]

    [seen] = of(await listed(driver, mode="observe"), account)

    assert (seen.kind, seen.signed_by, seen.severity) == ("account_sas", SignedBy.KEY1, "critical")
    assert (seen.expires, seen.revocation) == (END, None)
    assert (seen.requests, seen.accepted, seen.operations) == (3, 3, ("GetBlob",))
    assert (seen.clients, seen.user_agents) == (("127.0.0.1",), ("curl/8.5",))
    assert seen.first_used < seen.last_used
    assert "sig" not in seen.url
    assert account.rotations == []


async def test_tokens_of_both_keys_are_proven_and_a_forged_one_is_unknown(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    forged = replace(account, keys={"key1": new_storage_key(), "key2": new_storage_key()})
    blob = generate_blob_sas(
        account.name, "models", "a b/model.ckpt", account_key=account.keys["key1"], permission="r", expiry=END
    )
    for token in (of_container(account), blob):
        assert await read(client, account, token) == 200
    assert await read(client, account, of_container(forged)) == 403

    page = await listed(driver, account)

    assert [(each.signed_by, each.resource, each.accepted) for each in page.tokens] == [
        (SignedBy.KEY1, "models/a b/model.ckpt", 1),
        (SignedBy.KEY2, "models", 1),
        (SignedBy.UNKNOWN, "models", 0),
    ]


async def test_token_of_a_key_that_was_regenerated_is_unknown(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    assert await read(client, account, forever(account)) == 200
    account.regenerate("key1")

    [token] = (await listed(driver, account)).tokens

    assert (token.signed_by, token.accepted) == (SignedBy.UNKNOWN, 1)


async def test_shared_key_and_anonymous_requests_are_no_sas(
    driver: Driver, account: Account, cloud: LocalCloud, client: httpx.AsyncClient
) -> None:
    url = f"https://{account.name}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=account.keys["key1"], **options(cloud)) as service:
        await service.get_blob_client("models", "a b/model.ckpt").get_blob_properties()
    await client.get(f"{url}/models/a%20b/model.ckpt")

    assert (await listed(driver, account)).tokens == ()


async def test_use_before_the_days_that_are_asked_for_is_not_listed(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    assert await read(client, account, forever(account)) == 200
    driver.clock.advance(days=31)
    app = driver.app()

    assert (await app.http.sas_in_use.page(account=account.name, days=30, after=None)).tokens == ()
    assert len((await app.http.sas_in_use.page(account=account.name, days=32, after=None)).tokens) == 1


async def test_reported_token_has_the_id_of_its_record(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    token = forever(account)
    assert await read(client, account, token) == 200
    finding = found(f"https://{account.name}.blob.core.windows.net/?{token}")
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))

    [seen] = (await listed(driver, account)).tokens

    assert seen.revocation == finding.fingerprint


async def test_keys_are_listed_of_accounts_with_such_lines_alone(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    quiet = await driver.account()
    quiet.logged["blob"] = LOGGED
    assert await read(client, account, forever(account)) == 200

    await listed(driver)

    urls = [request.url.lower() for request in driver.requests("management.azure.com")]
    keys = [url for url in urls if "listkeys" in url]
    assert any(f"/{account.name}/" in url for url in keys)
    assert not any(f"/{quiet.name}/" in url for url in keys)


async def test_account_whose_keys_arm_refuses_is_named(
    driver: Driver, account: Account, client: httpx.AsyncClient
) -> None:
    assert await read(client, account, forever(account)) == 200
    driver.fault(f"{account.name}/listKeys", status=403, times=99)

    page = await listed(driver, account)

    assert [token.signed_by for token in page.tokens] == [SignedBy.UNCHECKED]
    [unread] = page.unread
    assert unread.name == account.name
    assert "403" in unread.said or "right" in unread.said


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_unreachable_logs_are_an_error_and_no_empty_list(
    driver: Driver, account: Account, effect: Effect
) -> None:
    driver.fault(LOGS, effect, times=99)

    with pytest.raises(SasquashError):
        await listed(driver)


async def test_account_that_is_not_monitored_is_no_account(driver: Driver) -> None:
    with pytest.raises(InvalidRequest, match="not an account in a monitored subscription"):
        await driver.app().http.sas_in_use.page(account="nosuchaccount", after=None)


def of_workspace(driver: Driver) -> SasInUseList:
    """The list of the command, as the identity of the app."""
    clients = driver.app().clients
    log = SasLog(clients.logs, clock=driver.clock)
    return SasInUseList(
        source=Workspace(log, STORAGE_WORKSPACE, client_for=clients.arm),
        search=SignerSearch(clock=driver.clock),
        clock=driver.clock,
    )


async def test_command_lists_the_tokens_of_a_workspace(
    driver: Driver, cloud: LocalCloud, account: Account, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    responder = cloud.model.identities["responder"]
    reader = replace(responder, rights=responder.rights | {"Microsoft.OperationalInsights/workspaces/query/*/read"})
    monkeypatch.setitem(cloud.model.identities, "responder", reader)
    for token in (forever(account), of_container(account)):
        assert await read(client, account, token) == 200

    tokens = await read_all(of_workspace(driver), days=30, account=account.name)

    assert [(each.signed_by, each.resource) for each in tokens] == [(SignedBy.KEY1, None), (SignedBy.KEY2, "models")]


async def test_command_says_which_right_is_missing(driver: Driver) -> None:
    with pytest.raises(Blocked, match=r"docs/rights\.md"):
        await read_all(of_workspace(driver), days=30, account=None)
