"""Fixtures for tests against a running local cloud: SDK clients, and a new storage account per test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from local.cloud.cloud import LocalCloud
from local.tenant.model import Account
from tests.support.cloud_clients import new_account
from tests.support.storage_clients import Clients


@pytest.fixture
async def clients(cloud: LocalCloud) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(cloud, stack)


@pytest.fixture
async def account(cloud: LocalCloud) -> Account:
    return await new_account(cloud)
