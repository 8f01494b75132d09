"""The account key action, with ARM and the data plane in process."""

from collections.abc import AsyncIterator

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions.account_key import AccountKeyAction
from shared.actions.verification import Verifier
from tests.support.account_keys import CORRELATION_ID, REGENERATE, made
from tests.support.arm_transport import Wire
from tests.support.asgi import Credential
from tests.support.data_plane import DataPlane
from tests.support.samples import ACCOUNT, KEYS, NOW, SUBSCRIPTION


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    return Account(name=ACCOUNT, resource_group="research", keys=dict(KEYS))


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory(), regenerate_seconds=0)


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on=REGENERATE)


@pytest.fixture
def plane() -> DataPlane:
    return DataPlane(keys=list(KEYS.values()))


@pytest.fixture
async def action(wire: Wire, cloud: Cloud, entra: Entra, plane: DataPlane) -> AsyncIterator[AccountKeyAction]:
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as client:
        verifier = Verifier(plane.connect, clock=lambda: NOW, new_id=lambda: CORRELATION_ID)
        yield made(client, verifier)
