"""Nothing that a run writes anywhere holds the leaked signature or a key, in any form (issue of the first slice)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.model import STATE_ACCOUNT
from shared.revocation import State
from tests.roads.leaks import LEAKS
from tests.roads.road import Developer, Road, forms


async def test_no_credential_is_written_anywhere(road: Road) -> None:
    secrets: dict[str, str] = {}
    for leak in LEAKS:
        account = await road.account()
        text = leak(account.name, account.keys["key2"])
        secrets |= {f"{account.name} {name}": key for name, key in account.keys.items()}
        if "sig=" in text:
            secrets[f"signature of {account.name}"] = text.split("sig=")[1].split("&")[0].rstrip("'\"}.")
        for fingerprint in await road.report(text):
            record = await road.settled(fingerprint)
            assert record.state is State.CLOSED, record.detail

    written = {place: content async for place, content in _everything(road)}

    assert any(place.startswith("table revocations") for place in written)
    found = [
        f"{name} in {place}"
        for place, content in written.items()
        for name, secret in secrets.items()
        if any(form in content for form in forms(secret))
    ]
    assert found == []


async def _everything(road: Road) -> AsyncIterator[tuple[str, bytes]]:
    model = road.cloud.model
    for name, content in _files(road.cloud.folder):
        yield name, content
    for name, things in (
        ("incidents", [incident.fields for incident in model.incidents]),
        ("mails", [[mail.subject, mail.body, mail.to] for mail in model.mails]),
        ("events", model.events),
        ("dead letters", model.dead_letters),
        ("requests", [request.url for request in model.requests]),
    ):
        yield name, json.dumps(things, default=str).encode()
    async for place in _storage(road):
        yield place


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(f"file {file.name}", file.read_bytes()) for file in sorted(folder.rglob("*")) if file.is_file()]


async def _storage(road: Road) -> AsyncIterator[tuple[str, bytes]]:
    base = f"https://{STATE_ACCOUNT}.{{}}.core.windows.net"
    who = Developer(road.cloud)
    async with TableServiceClient(base.format("table"), credential=who, **road.options) as tables:
        async for table in tables.list_tables():
            async for row in tables.get_table_client(table.name).list_entities():
                yield f"table {table.name} {row['RowKey']}", json.dumps(dict(row), default=str).encode()
    async with QueueServiceClient(base.format("queue"), credential=who, **road.options) as queues:
        async for queue in queues.list_queues():
            for message in await queues.get_queue_client(queue.name).peek_messages(32):
                yield f"queue {queue.name}", str(message.content).encode()
    async with BlobServiceClient(base.format("blob"), credential=who, **road.options) as blobs:
        async for container in blobs.list_containers():
            client = blobs.get_container_client(container.name)
            async for blob in client.list_blobs():
                download = await client.download_blob(blob.name)
                yield f"blob {container.name}/{blob.name}", await download.readall()
