"""The start of a host on its own storage, by its identity's rights, in the local cloud.

Azure/azure-functions-host 4.1037, tried: a host that may not create azure-webjobs-secrets answers 503 on every route.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import INTAKE_ACCOUNT, STATE_ACCOUNT, Identity
from tests.support.deployment import Deployment
from tests.support.function_host import SYSTEM_KEY, running_host
from tests.support.patience import PATIENCE
from tests.support.storage_clients import Token

APP = """
import azure.functions as func

app = func.FunctionApp()

@app.route(route="hello", auth_level=func.AuthLevel.ANONYMOUS)
def hello(req: func.HttpRequest) -> str:
    return "hello"

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def tick(timer: func.TimerRequest) -> None:
    print("tick ran")
"""
SHARED = {
    f"AzureWebJobsStorage__{name}": value
    for name, value in {
        "accountName": STATE_ACCOUNT,
        **{
            f"{each}ServiceUri": f"https://{STATE_ACCOUNT}.{each}.core.windows.net/"
            for each in ("blob", "queue", "table")
        },
    }.items()
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text(APP)
    return folder


@pytest.fixture
async def variables(cloud: LocalCloud) -> dict[str, str]:
    """The environment of the intake's host."""
    return dict(await cloud.add_intake())


@pytest.fixture
def intake(cloud: LocalCloud) -> Iterator[Identity]:
    """The intake's identity; its rights are as before afterwards."""
    identities = cloud.model.identities
    before = identities["intake"]
    yield before
    identities["intake"] = before


@pytest.fixture
async def mine(cloud: LocalCloud, variables: dict[str, str]) -> AsyncIterator[BlobServiceClient]:
    """The blobs of the intake host's account, as the developer sees them."""
    token = Token(cloud, "developer")
    url = f"https://{INTAKE_ACCOUNT}.blob.core.windows.net"
    async with BlobServiceClient(url, credential=token, **Deployment(cloud).options) as service:
        async for container in service.list_containers():
            await service.delete_container(container)
        yield service


async def get(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.get(f"{url}{path}")


async def test_host_creates_its_containers_and_keys_by_the_rights_of_its_identity(
    variables: dict[str, str], mine: BlobServiceClient, app: Path, tmp_path: Path
) -> None:
    async with running_host(app, tmp_path / "log", variables) as host:
        assert (await get(host.url, "/api/hello")).text == "hello"
        secrets = mine.get_container_client("azure-webjobs-secrets")
        [name] = [blob.name async for blob in secrets.list_blobs()]
        stored = json.loads(await (await secrets.download_blob(name)).readall())

    assert name.endswith("/host.json")
    assert stored["systemKeys"] == [{"name": "eventgrid_extension", "value": SYSTEM_KEY, "encrypted": False}]
    assert SYSTEM_KEY not in host.log


async def test_host_without_rights_on_its_storage_answers_503_on_every_route(
    variables: dict[str, str], app: Path, tmp_path: Path
) -> None:
    """The intake on the shared account, where it has two queues."""
    async with running_host(app, tmp_path / "log", variables | SHARED) as host:
        answers = [await get(host.url, path) for path in ("/api/hello", "/", "/runtime/webhooks/eventgrid")]

    assert [(answer.status_code, answer.text) for answer in answers] == [(503, "Function host is not running.")] * 3
    assert "refused container azure-webjobs-secrets (HttpResponseError, status 403)" in host.log
    assert "Executing 'tick'" not in host.log


async def test_host_starts_once_its_identity_has_the_right(
    cloud: LocalCloud, variables: dict[str, str], intake: Identity, app: Path, tmp_path: Path
) -> None:
    async with running_host(app, tmp_path / "log", variables | SHARED) as host:
        assert (await get(host.url, "/api/hello")).status_code == 503
        right = f"Storage Blob Data Owner@{STATE_ACCOUNT}"
        cloud.model.identities["intake"] = replace(intake, rights=intake.rights | {right})
        answer = httpx.Response(503)
        while answer.status_code == 503:  # the host tries again by itself
            answer = await get(host.url, "/api/hello")

    assert answer.text == "hello"


@pytest.fixture
def reads_its_storage(cloud: LocalCloud, intake: Identity) -> None:
    """The intake's identity may read the account of its host, and not write."""
    rights = intake.rights - {f"Storage Blob Data Owner@{INTAKE_ACCOUNT}"}
    reader = replace(intake, rights=rights | {f"Storage Blob Data Reader@{INTAKE_ACCOUNT}"})
    cloud.model.identities["intake"] = reader


@pytest.mark.usefixtures("reads_its_storage")
async def test_routes_answer_where_only_the_keys_cannot_be_written(
    variables: dict[str, str], mine: BlobServiceClient, app: Path, tmp_path: Path
) -> None:
    await mine.create_container("azure-webjobs-secrets")
    async with running_host(app, tmp_path / "log", variables) as host:
        assert (await get(host.url, "/api/hello")).text == "hello"

    assert "The host's keys were not written" in host.log
    assert "Executing 'tick'" not in host.log  # no lease, no timer


async def test_intake_cannot_read_the_keys_of_the_responder(cloud: LocalCloud) -> None:
    token = Token(cloud, "intake")
    url = f"https://{STATE_ACCOUNT}.blob.core.windows.net"
    async with ContainerClient(
        url, "azure-webjobs-secrets", credential=token, **Deployment(cloud).options
    ) as container:
        with pytest.raises(HttpResponseError) as refused:
            [blob async for blob in container.list_blobs()]

    assert (refused.value.status_code, refused.value.error_code) == (403, "AuthorizationPermissionMismatch")


@pytest.mark.parametrize(("queue", "status"), [("intake", 200), ("intake-poison", 200), ("contain", 403)])
async def test_right_on_a_queue_opens_no_other_queue(cloud: LocalCloud, queue: str, status: int) -> None:
    """learn.microsoft.com, "Assign an Azure role for access to queue data": a role may be assigned on one queue."""
    url = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
    async with QueueClient(url, queue, credential=Token(cloud, "intake"), **Deployment(cloud).options) as client:
        try:
            await client.get_queue_properties()
            got = 200
        except HttpResponseError as error:
            got = error.status_code or 0

    assert got == status
