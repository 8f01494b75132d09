"""The user delegation keys action, against the local ARM and a data plane in memory."""

from collections.abc import AsyncIterator

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions.delegation_key import DelegationKeyAction
from tests.support.arm_transport import Wire
from tests.support.asgi import Credential
from tests.support.delegation_keys import Clock, make
from tests.support.delegation_plane import DelegationPlane
from tests.support.samples import ACCOUNT, SUBSCRIPTION


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    return Account(name=ACCOUNT, resource_group="research")


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def credential(cloud: Cloud, entra: Entra) -> Credential:
    return Credential(entra, cloud.identities["responder"])


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on="/revokeUserDelegationKeys")


@pytest.fixture
def plane(account: Account, entra: Entra) -> DelegationPlane:
    return DelegationPlane(account, entra)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def action(
    wire: Wire, plane: DelegationPlane, credential: Credential, clock: Clock
) -> AsyncIterator[DelegationKeyAction]:
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as client:
        yield make(client, plane, credential, clock)
