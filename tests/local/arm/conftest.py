"""The stand-in for ARM in process, with the management clients."""

from collections.abc import AsyncIterator

import pytest
from azure.mgmt.resourcegraph.aio import ResourceGraphClient
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud
from tests.support.asgi import Credential, Transport


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def tenant() -> Cloud:
    account = Account(name="robustmodels", resource_group="models", tags={"sasquash-owner": "a@contoso.com"})
    return Cloud(accounts={"robustmodels": account}, identities=identities.directory())


@pytest.fixture
def account(tenant: Cloud) -> Account:
    return tenant.accounts["robustmodels"]


@pytest.fixture
def entra(tenant: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(tenant, key=entra_key)


@pytest.fixture
def transport(tenant: Cloud, entra: Entra) -> Transport:
    return Transport(service.app(tenant, entra))


@pytest.fixture
async def storage(tenant: Cloud, entra: Entra, transport: Transport) -> AsyncIterator[StorageManagementClient]:
    credential = Credential(entra, tenant.identities["responder"])
    async with StorageManagementClient(credential, SUBSCRIPTION_ID, transport=transport, retry_total=0) as made:
        yield made


@pytest.fixture
async def graph(tenant: Cloud, entra: Entra, transport: Transport) -> AsyncIterator[ResourceGraphClient]:
    credential = Credential(entra, tenant.identities["responder"])
    async with ResourceGraphClient(credential, transport=transport, retry_total=0) as made:
        yield made
