"""The stand-in for Graph in process, with msgraph-sdk and with raw requests."""

import httpx
import pytest
from azure.core.credentials_async import AsyncTokenCredential
from cryptography.hazmat.primitives.asymmetric import rsa
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph_core import GraphClientFactory

from local.entra.service import Entra
from local.graph import service
from local.tenant import identities
from local.tenant.model import Cloud
from tests.support.asgi import Credential
from tests.support.graph_requests import as_identity


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture
def entra(cloud: Cloud, key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=key)


@pytest.fixture
def sdk(cloud: Cloud, entra: Entra) -> GraphServiceClient:
    credential: AsyncTokenCredential = Credential(entra, cloud.identities["responder"])
    authentication = AzureIdentityAuthenticationProvider(credential, allowed_hosts=["graph.microsoft.com"])
    transport = httpx.ASGITransport(app=service.app(cloud, entra))
    http = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(transport=transport))
    return GraphServiceClient(request_adapter=GraphRequestAdapter(authentication, http))


@pytest.fixture
def raw(cloud: Cloud, entra: Entra) -> httpx.AsyncClient:
    return as_identity(cloud, entra, "responder")
