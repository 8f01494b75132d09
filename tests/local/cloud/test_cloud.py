import asyncio
import json
from pathlib import Path

import httpx
import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from local.child_processes import Child, ChildError
from local.cloud.cloud import LocalCloud, running
from local.network.faults import Effect, Fault
from local.storage.azurite import Azurite, AzuriteError
from local.tenant.model import INTAKE_ACCOUNT, STATE_ACCOUNT, Mail, Share, SignedIdentifier, now
from tests.support.cloud_clients import browser, control, options
from tests.support.patience import PATIENCE
from tests.support.storage_clients import Token

APP = """
import azure.functions as func

app = func.FunctionApp()


@app.route("health", auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("fine")


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    pass
"""
HOST = {
    "version": "2.0",
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
}


def app(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "function_app.py").write_text(text)
    (folder / "host.json").write_text(json.dumps(HOST))
    return folder


async def test_two_hosts_serve_the_app_and_a_finding_reaches_one(tmp_path: Path) -> None:
    async with running(folder=tmp_path / "cloud", hosts=2, app_folder=app(tmp_path / "app", APP)) as cloud:
        async with httpx.AsyncClient(trust_env=False) as client:
            for host in cloud.hosts:
                assert (await client.get(f"{host}/api/health")).text == "fine"
        token = cloud.entra.mint(cloud.model.identities["developer"], audience="https://eventgrid.azure.net")
        event = {
            "specversion": "1.0",
            "id": "1",
            "type": "Sasquash.Finding.Reported.v1",
            "source": "/tests",
            "data": {},
        }
        headers = {"authorization": f"Bearer {token}", "content-type": "application/cloudevents+json"}
        async with browser(cloud) as client:
            url = f"{cloud.environment['SASQUASH_TOPIC_ENDPOINT']}?api-version=2018-01-01"
            assert (await client.post(url, json=event, headers=headers)).status_code == 200
        async with asyncio.timeout(PATIENCE), control(cloud) as port:
            while (await port.get("/state")).json()["events"][0]["state"] != "delivered":
                pass


async def test_app_that_does_not_load_is_reported_with_its_error(tmp_path: Path) -> None:
    broken = app(tmp_path / "app", "raise RuntimeError('SASQUASH_MODE is missing')")
    with pytest.raises(ChildError, match="SASQUASH_MODE is missing"):
        async with running(folder=tmp_path / "cloud", app_folder=broken):
            pass


async def test_hosts_of_a_failed_start_are_ended_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    stop = Child.stop

    async def watched(self: Child, *, seconds: float) -> None:
        waited.append(seconds)
        await stop(self, seconds=seconds)

    async def fail(_azurite: Azurite) -> None:
        raise AzuriteError("not installed")

    monkeypatch.setattr(Child, "stop", watched)
    monkeypatch.setattr(Azurite, "start", fail)
    with pytest.raises(AzuriteError):
        async with running(folder=tmp_path / "cloud", app_folder=app(tmp_path / "app", APP)):
            pass
    assert waited == [0]


async def test_used_control_port_is_reported(cloud: LocalCloud, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        async with running(folder=tmp_path / "cloud", hosts=0, control_port=cloud.control_port):
            pass


async def test_state_account_refuses_keys_and_has_tables_and_queues(cloud: LocalCloud) -> None:
    assert cloud.model.accounts[STATE_ACCOUNT].properties["allowSharedKeyAccess"] is False
    url = f"https://{STATE_ACCOUNT}.table.core.windows.net"
    async with TableServiceClient(url, credential=Token(cloud, "responder"), **options(cloud)) as tables:
        assert {table.name async for table in tables.list_tables()} >= {"revocations", "accounts"}


async def test_reset_deletes_everything_but_the_state_account(tmp_path: Path) -> None:
    async with running(folder=tmp_path, hosts=0) as cloud, control(cloud) as port:
        account = (await port.post("/accounts", json={"name": "models"})).json()
        blob_url = "https://models.blob.core.windows.net"
        async with BlobServiceClient(blob_url, credential=account["key1"], **options(cloud)) as blobs:
            await blobs.create_container("models")
        credential = Token(cloud, "responder")
        table_url = f"https://{STATE_ACCOUNT}.table.core.windows.net"
        async with TableServiceClient(table_url, credential=credential, **options(cloud)) as tables:
            rows = tables.get_table_client("revocations")
            await rows.create_entity({"PartitionKey": "p", "RowKey": "r"})
            cloud.model.mails.append(Mail("s@x", ("a@x",), (), "subject", "body", "Text", now()))
            cloud.faults.add(Fault(match="regenerateKey", effect=Effect.RESET))
            own = cloud.model.accounts[STATE_ACCOUNT]
            own.policies["table", "revocations"] = (SignedIdentifier("a", None),)
            own.shares["tools"] = Share("tools", now(), "")
            await port.post("/reset")
            state = (await port.get("/state")).json()
            assert (own.policies, own.shares) == ({}, {})
            assert (list(state["accounts"]), state["mails"]) == ([STATE_ACCOUNT], [])
            assert (await port.get("/faults")).json() == []
            assert [row async for row in rows.list_entities()] == []
        again = (await port.post("/accounts", json={"name": "models"})).json()
        async with BlobServiceClient(blob_url, credential=again["key1"], **options(cloud)) as blobs:
            assert [container async for container in blobs.list_containers()] == []


async def test_reset_keeps_the_storage_of_a_separate_intake(tmp_path: Path) -> None:
    """Its host has its keys there, and goes on."""
    async with running(folder=tmp_path, hosts=0) as cloud, control(cloud) as port:
        await cloud.add_intake()
        await port.post("/reset")
        assert set(cloud.model.accounts) == {STATE_ACCOUNT, INTAKE_ACCOUNT}


async def test_reset_forgets_accounts_elsewhere(tmp_path: Path) -> None:
    async with running(folder=tmp_path, hosts=0) as cloud, control(cloud) as port:
        cloud.model.elsewhere["theirs"] = "7f1b9c3d-0000-4000-8000-000000000001"
        await port.post("/reset")
        assert cloud.model.elsewhere == {}


async def test_resets_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    async with running(folder=tmp_path, hosts=0) as cloud, control(cloud) as port:
        for name in ("models", "backups"):
            key = (await port.post("/accounts", json={"name": name})).json()["key1"]
            url = f"https://{name}.blob.core.windows.net"
            async with BlobServiceClient(url, credential=key, **options(cloud)) as blobs:
                for number in range(5):
                    await blobs.create_container(f"container{number}")
        answers = await asyncio.gather(*(port.post("/reset") for _ in range(3)))
        assert [answer.status_code for answer in answers] == [204, 204, 204]


async def test_reset_keeps_a_live_client_of_the_state_account_working(tmp_path: Path) -> None:
    async with running(folder=tmp_path, hosts=0) as cloud, control(cloud) as port:
        url = f"https://{STATE_ACCOUNT}.table.core.windows.net"
        async with TableServiceClient(url, credential=Token(cloud, "responder"), **options(cloud)) as tables:
            rows = tables.get_table_client("revocations")
            done = asyncio.Event()

            async def write() -> int:
                written = 0
                while not done.is_set():
                    await rows.upsert_entity({"PartitionKey": "p", "RowKey": str(written)})
                    written += 1
                return written

            writing = asyncio.create_task(write())
            for _ in range(5):
                assert (await port.post("/reset")).status_code == 204
            done.set()
            assert await writing > 0
