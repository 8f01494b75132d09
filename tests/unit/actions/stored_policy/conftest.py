"""The stored access policy action, against a strict Azure Storage and ARM in memory."""

from collections.abc import AsyncIterator

import pytest
from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.acl.lists import PolicyLists
from shared.actions.stored_policy import StoredPolicyAction
from shared.actions.verification import Verifier
from shared.domain.account import AccountFacts, AccountKey
from tests.support.acl_service import AclPlane, Resource, Token
from tests.support.samples import SUBSCRIPTION
from tests.support.stored_policies import ID, KEY, LIVE, OTHERS, RESOURCES


@pytest.fixture
def plane() -> AclPlane:
    return AclPlane(
        {f"{service}/{name}": Resource([OTHERS[0], LIVE, OTHERS[1]]) for service, name in RESOURCES.items()}
    )


async def keys(_: AccountFacts) -> dict[str, AccountKey]:
    return {"key1": KEY}


@pytest.fixture
async def action(plane: AclPlane) -> AsyncIterator[StoredPolicyAction]:
    transport = plane.connect()
    async with StorageManagementClient(
        Token(), SUBSCRIPTION, transport=transport, retry_total=2, retry_backoff_factor=0
    ) as client:
        verifier = Verifier(plane.connect, clock=lambda: plane.now, new_id=lambda: ID)
        lists = PolicyLists(
            lambda _: client, plane.connect, clock=lambda: plane.now, new_id=lambda: ID, pause=plane.pause
        )
        yield StoredPolicyAction(lists, verifier, keys, clock=lambda: plane.now, new_id=lambda: ID)
