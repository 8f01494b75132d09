"""Key distribution, through the real secret client, against the local Key Vault in process."""

from collections.abc import AsyncIterator

import pytest
from azure.keyvault.secrets.aio import SecretClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.entra.service import Entra
from local.key_vault import service
from local.tenant import identities
from local.tenant.model import KEY_VAULT, Cloud
from local.tenant.model.vault import Vault
from shared.followup.key_distribution import KeyDistributor
from tests.support.asgi import Credential
from tests.support.key_vaults import Arm, FaultyTransport, distributor_for


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory())


@pytest.fixture
def vault(cloud: Cloud) -> Vault:
    return cloud.vaults[KEY_VAULT]


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> FaultyTransport:
    return FaultyTransport(service.app(cloud, entra))


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
async def client(cloud: Cloud, entra: Entra, wire: FaultyTransport) -> AsyncIterator[SecretClient]:
    credential = Credential(entra, cloud.identities["responder"])
    url = f"https://{KEY_VAULT}.vault.azure.net"
    async with SecretClient(url, credential, transport=wire, retry_total=2, retry_backoff_factor=0) as opened:
        yield opened


@pytest.fixture
def distributor(client: SecretClient, arm: Arm) -> KeyDistributor:
    return distributor_for(client, arm)
