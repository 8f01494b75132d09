"""Policies of every kind of resource."""

import pytest

from shared.domain.states import Reason, State
from tests.support.deployment import Deployment
from tests.support.driver import Driver, found, report
from tests.support.policy_leaks import leaked, meanwhile
from tests.support.policy_resources import PLACES, REFUSED


@pytest.mark.parametrize("kind", PLACES)
async def test_token_is_revoked_with_its_policy_on_every_kind_of_resource(driver: Driver, kind: str) -> None:
    account = await driver.account()
    place = PLACES[kind](Deployment(driver.cloud), account, "models")
    await place.make()
    url = place.url(policy="partners")
    await driver.app().fast_path.ingest.receive(report(found(url)))
    record = await driver.record(found(url).fingerprint)
    assert (record.state, account.rotations) == (State.CONTAINED, []), record.detail
    assert await place.answer(url) == REFUSED
    assert await place.answer(place.url(policy="suppliers")) == (None, None)


async def test_leak_whose_share_is_deleted_is_dormant(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.shares.clear()
    account.policies.clear()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)
    assert "its resource does not exist either" in record.detail


async def test_share_that_is_deleted_while_its_policy_is_being_ended_leaves_a_dormant_record(driver: Driver) -> None:
    account, text = await leaked(driver)

    async def delete() -> None:
        account.shares.clear()
        account.policies.clear()

    record = await meanwhile(driver, account, text, delete())
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.POLICY_GONE)
