"""Requests with a SAS through the whole of storage, with Azurite behind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.storage.blob import generate_account_sas, generate_blob_sas
from azure.storage.blob._shared_access_signature import BlobSharedAccessSignature
from azure.storage.blob.aio import ContainerClient

from local.cloud.cloud import LocalCloud
from local.storage.sas.signing import sign
from local.tenant.model import Account, now
from tests.support.cloud_clients import browser
from tests.support.storage_clients import Clients

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
BLOCK = {"sasExpirationPeriod": "0.01:00:00", "expirationAction": "Block"}


@pytest.fixture
async def container(clients: Clients, account: Account) -> ContainerClient:
    made = await (await clients.blob(account, account.keys["key1"])).create_container("data")
    await made.upload_blob("in/a.txt", b"12345", metadata={"owner": "us"})
    return made


async def get(cloud: LocalCloud, account: Account, path: str, query: str, **options: Any) -> httpx.Response:
    async with browser(cloud) as client:
        return await client.request(
            options.get("method", "GET"), f"https://{account.name}.blob.core.windows.net/{path}?{query}"
        )


def blob_sas(account: Account, **fields: Any) -> str:
    options = {"permission": "r", "expiry": SOON} | fields
    return generate_blob_sas(account.name, "data", "in/a.txt", account_key=account.keys["key2"], **options)


def by_hand(account: Account, fields: dict[str, str], *lines: str) -> str:
    """Return a token whose string-to-sign is `lines`."""
    signature = sign("\n".join(lines), account.keys["key2"])
    return str(httpx.QueryParams(fields | {"sig": signature}))


@pytest.mark.parametrize("version", ["2020-12-06", "2026-10-06"])
async def test_token_of_a_newer_version_reads_its_blob(
    cloud: LocalCloud, account: Account, container: ContainerClient, version: str
) -> None:
    made = BlobSharedAccessSignature(account.name, account.keys["key2"])
    made.x_ms_version = version
    query = made.generate_blob("data", "in/a.txt", permission="r", expiry=SOON, encryption_scope="scope")
    assert (await get(cloud, account, "data/in/a.txt", query)).content == b"12345"


async def test_token_of_an_old_version_reads_its_blob(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    end = f"{SOON:%Y-%m-%dT%H:%M:%SZ}"
    fields = {"sv": "2012-02-12", "sr": "b", "sp": "r", "se": end}
    query = by_hand(account, fields, "r", "", end, f"/{account.name}/data/in/a.txt", "", "2012-02-12")
    assert (await get(cloud, account, "data/in/a.txt", query)).content == b"12345"


@pytest.mark.parametrize(("life", "status"), [(timedelta(minutes=59), 200), (timedelta(hours=2), 403)])
async def test_token_without_a_version_lives_for_an_hour_at_most(
    cloud: LocalCloud, account: Account, container: ContainerClient, life: timedelta, status: int
) -> None:
    end = f"{now() + life:%Y-%m-%dT%H:%M:%SZ}"
    query = by_hand(account, {"sr": "b", "sp": "r", "se": end}, "r", "", end, f"/{account.name}/data/in/a.txt", "")
    assert (await get(cloud, account, "data/in/a.txt", query)).status_code == status


async def test_directory_sas_of_an_account_key_covers_its_content(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    query = generate_blob_sas(
        account.name,
        "data",
        "in",
        account_key=account.keys["key2"],
        permission="r",
        expiry=SOON,
        is_directory=True,
        sdd=1,
    )
    assert (await get(cloud, account, "data/in/a.txt", query)).content == b"12345"
    assert (await get(cloud, account, "data/other/a.txt", query)).status_code == 403


@pytest.mark.parametrize(
    ("addresses", "code"),
    [("127.0.0.1", None), ("127.0.0.0-127.0.0.9", None), ("203.0.113.7", "AuthorizationSourceIPMismatch")],
)
async def test_token_is_accepted_from_its_addresses_only(
    cloud: LocalCloud, account: Account, container: ContainerClient, addresses: str, code: str | None
) -> None:
    answer = await get(cloud, account, "data/in/a.txt", blob_sas(account, ip=addresses))
    assert answer.headers.get("x-ms-error-code") == code


async def test_account_sas_of_another_service_is_refused(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    query = generate_account_sas(account.name, account.keys["key1"], "o", "r", SOON, services="q")
    answer = await get(cloud, account, "data/in/a.txt", query)
    assert answer.headers["x-ms-error-code"] == "AuthorizationServiceMismatch"


async def test_ad_hoc_token_keeps_its_permissions(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    answer = await get(cloud, account, "data/in/a.txt", blob_sas(account), method="DELETE")
    assert answer.headers["x-ms-error-code"] == "AuthorizationPermissionMismatch"


async def test_policy_blocks_with_azures_words(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    account.set_sas_policy(BLOCK, enforced_from=now())
    answer = await get(cloud, account, "data/in/a.txt", blob_sas(account))
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    detail = "<AuthenticationErrorDetail>Policy violated by no signed start.</AuthenticationErrorDetail>"
    assert detail in answer.text
    started = blob_sas(account, start=SOON - timedelta(hours=1))
    assert (await get(cloud, account, "data/in/a.txt", started)).status_code == 200


async def test_metadata_of_a_blob_comes_without_its_content(
    cloud: LocalCloud, account: Account, container: ContainerClient
) -> None:
    # "Get Blob Metadata": GET or HEAD with comp=metadata; the response has headers only.
    answer = await get(cloud, account, "data/in/a.txt", f"comp=metadata&{blob_sas(account)}")
    assert (answer.status_code, answer.content, answer.headers["x-ms-meta-owner"]) == (200, b"", "us")
