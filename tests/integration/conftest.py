import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
from azure.identity.aio import ManagedIdentityCredential

from local.cloud.cloud import LocalCloud
from shared.cloud import clients
from shared.cloud.graph import Graph
from tests.support.driver import Driver, driving


@pytest.fixture(scope="session")
async def identity(cloud: LocalCloud) -> AsyncIterator[ManagedIdentityCredential]:
    """The app's managed identity; one for all tests, since tokens live long."""
    client_id = cloud.model.identities["responder"].client_id
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            patch.setenv(name, cloud.environment[name])
        credential = ManagedIdentityCredential(client_id=client_id)
    async with credential:
        yield credential


@pytest.fixture(autouse=True)
def environment(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The way into the local cloud, an ARM that answers at once, and SDKs that try again at once."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cloud.model, "regenerate_seconds", 0.01)
    monkeypatch.setitem(clients._RETRIES, "retry_backoff_factor", 0.01)
    monkeypatch.setitem(clients._QUEUE_RETRIES, "initial_backoff", 0.01)
    monkeypatch.setitem(clients._QUEUE_RETRIES, "increment_base", 0.01)
    yield
    cloud.faults.clear()


@pytest.fixture(scope="session")
def trust(cloud: LocalCloud) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cloud.authority_file)


@pytest.fixture(scope="session")
async def graph(cloud: LocalCloud, identity: ManagedIdentityCredential) -> AsyncIterator[Graph]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        made = Graph(identity, base_url="https://graph.microsoft.com")
    yield made
    await made.close()


@pytest.fixture
async def driver(
    cloud: LocalCloud, identity: ManagedIdentityCredential, trust: ssl.SSLContext, graph: Graph
) -> AsyncIterator[Driver]:
    async with driving(cloud, identity, trust, graph) as made:
        yield made
