"""An account, and a leak of its key."""

import pytest

from local.tenant.model import Account
from tests.support.driver import OWNER, Driver
from tests.support.leaks import account_sas


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


@pytest.fixture
async def leak(account: Account) -> str:
    """A token of the account's first key, as it is before any rotation."""
    return account_sas(account.name, account.keys["key1"])
