"""The account of a contained leak, whose owner a tag names."""

import pytest

from local.tenant.model import Account
from tests.support.driver import Driver
from tests.support.followups import TAGS


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags=TAGS)
