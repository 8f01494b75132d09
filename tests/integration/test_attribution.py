"""Leaks that the client libraries sign: the product attributes them to the key under which storage accepts them.

Storage reads and verifies the tokens by itself, so a string-to-sign that is wrong on either side fails here.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas

from local.tenant.model import Account
from tests.support.cloud_clients import browser
from tests.support.driver import Driver, found, raw_report

SNAPSHOT = "2026-01-05T10:11:12.0000000Z"
END = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
FIELDS: dict[str, Any] = {"permission": "r", "expiry": END, "start": END - timedelta(days=4), "protocol": "https"}
HEADERS: dict[str, Any] = {"cache_control": "no-cache", "content_type": "text/plain; charset=utf-8"}


def blob(account: str, key: str, **fields: Any) -> str:
    options = FIELDS | HEADERS | {"encryption_scope": "scope-1"} | fields
    query = generate_blob_sas(account, "models", "in/a b.bin", account_key=key, **options)
    return f"https://{account}.blob.core.windows.net/models/in/a%20b.bin?{query}"


def snapshot(account: str, key: str) -> str:
    # The library may or may not write the time into the token: the URL has it in any case.
    url, _, query = blob(account, key, snapshot=SNAPSHOT).partition("?")
    kept = [pair for pair in query.split("&") if not pair.startswith("snapshot=")]
    return f"{url}?snapshot={SNAPSHOT}&{'&'.join(kept)}"


def directory(account: str, key: str) -> str:
    query = generate_blob_sas(account, "models", "in", account_key=key, is_directory=True, sdd=1, **FIELDS)
    return f"https://{account}.blob.core.windows.net/models/in/a.bin?{query}"


def container(account: str, key: str) -> str:
    query = generate_container_sas(account, "models", account_key=key, **FIELDS, **HEADERS)
    return f"https://{account}.blob.core.windows.net/models/in/a.bin?{query}"


def share(account: str, key: str) -> str:
    query = generate_share_sas(account, "homes", key, **FIELDS, **HEADERS)
    return f"https://{account}.file.core.windows.net/homes/a.txt?{query}"


def file(account: str, key: str) -> str:
    query = generate_file_sas(account, "homes", ["in", "a.txt"], key, **FIELDS, **HEADERS)
    return f"https://{account}.file.core.windows.net/homes/in/a.txt?{query}"


def queue(account: str, key: str) -> str:
    query = generate_queue_sas(account, "jobs", key, **FIELDS)
    return f"https://{account}.queue.core.windows.net/jobs?comp=metadata&{query}"


def table(account: str, key: str) -> str:
    credential = AzureNamedKeyCredential(account, key)
    ranges = {"start_pk": "a", "start_rk": "1", "end_pk": "m", "end_rk": "9"}
    query = generate_table_sas(credential, "Rows", **FIELDS, **ranges)
    return f"https://{account}.table.core.windows.net/Rows(PartitionKey='b',RowKey='2')?{query}"


def whole_account(account: str, key: str) -> str:
    query = generate_account_sas(
        account, key, "co", "rl", END, start=FIELDS["start"], services="bq", encryption_scope="scope-1"
    )
    return f"https://{account}.blob.core.windows.net/models/in/a.bin?{query}"


async def refusal(driver: Driver, account: Account, leaked: str) -> str | None:
    """Return storage's error code for the leaked token."""
    async with browser(driver.cloud) as client:
        answer = await client.get(leaked, headers={"Accept": "application/json;odata=nometadata"})
    if ".table." in leaked:
        return str(answer.json()["odata.error"]["code"]) if answer.status_code >= 400 else None
    return answer.headers.get("x-ms-error-code")


@pytest.mark.parametrize("key", ["key1", "key2"])
@pytest.mark.parametrize(
    "leak",
    [blob, snapshot, directory, container, share, file, queue, table, whole_account],
    ids=lambda leak: leak.__name__,
)
async def test_leak_is_attributed_to_the_key_under_which_storage_accepts_it(
    driver: Driver, leak: Callable[[str, str], str], key: str
) -> None:
    account = await driver.account()
    leaked = leak(account.name, account.keys[key])
    assert await refusal(driver, account, leaked) not in ("AuthenticationFailed", None)
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(leaked))
    assert (await driver.record(found(leaked).fingerprint)).key_name == key
    other = leak(account.name, driver.cloud.model.accounts["sasquashstate"].keys[key])
    assert await refusal(driver, account, other) == "AuthenticationFailed"
