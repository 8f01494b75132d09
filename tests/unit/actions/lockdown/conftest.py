"""The lockdown action, through the real management client, against the local ARM in process."""

import json
from collections.abc import AsyncIterator

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions.lockdown import LockdownAction
from shared.cloud.accounts import Accounts
from tests.support.arm_transport import Wire
from tests.support.asgi import Credential
from tests.support.lockdowns import CORRELATION_ID, PATCH, RULES
from tests.support.samples import ACCOUNT, NOW, SUBSCRIPTION
from tests.support.subscriptions import only_subscription


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    made = Account(name=ACCOUNT, resource_group="research")
    made.properties["networkAcls"] = json.loads(json.dumps(RULES))
    return made


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on=PATCH)


@pytest.fixture
async def client(wire: Wire, cloud: Cloud, entra: Entra) -> AsyncIterator[StorageManagementClient]:
    credential = Credential(entra, cloud.identities["responder"])
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as made:
        yield made


@pytest.fixture
def action(client: StorageManagementClient) -> LockdownAction:
    return LockdownAction(lambda _: client, clock=lambda: NOW, new_id=lambda: CORRELATION_ID)


@pytest.fixture
def accounts(client: StorageManagementClient) -> Accounts:
    return Accounts(lambda _: client, subscriptions=only_subscription(client), tag_names=(), clock=lambda: NOW)
