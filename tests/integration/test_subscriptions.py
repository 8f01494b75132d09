"""Which subscriptions are monitored: listed ones, and those below a management group.

Sources: REST, Management Groups - Get Descendants (2020-05-01), Subscriptions - List (2022-12-01); the right
`Microsoft.Management/managementGroups/descendants/read` of "Azure permissions for Management and governance".
"""

from datetime import timedelta

import pytest

from local.tenant.model import MANAGEMENT_GROUP, SUBSCRIPTION_ID
from shared.cloud.subscriptions import Subscription
from shared.errors import TransientFailure
from tests.support.containment import RESOURCE_GRAPH, rotated
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas

DESCENDANTS = "/descendants"
OTHER = "7f1b9c3d-0000-4000-8000-000000000002"
GROUP = {"subscriptions": OTHER, "management_group": MANAGEMENT_GROUP}


async def test_listed_subscriptions_need_no_request(driver: Driver) -> None:
    assert await driver.app().connections.subscriptions.monitored() == (SUBSCRIPTION_ID,)
    assert driver.requests("management.azure.com") == []


async def test_subscriptions_below_the_group_are_monitored_too(driver: Driver) -> None:
    assert await driver.app(**GROUP).connections.subscriptions.monitored() == (OTHER, SUBSCRIPTION_ID)


async def test_leak_of_a_subscription_below_the_group_is_revoked(driver: Driver) -> None:
    account = await driver.account()
    leak = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(**GROUP).fast_path.ingest.receive(report(leak))
    assert rotated(account) == ["key1"]


async def test_group_is_read_once_an_hour(driver: Driver) -> None:
    subscriptions = driver.app(**GROUP).connections.subscriptions
    for passed in (timedelta(0), timedelta(minutes=59), timedelta(minutes=2)):
        driver.clock.advance(seconds=passed.total_seconds())
        await subscriptions.monitored()
    assert len(driver.requests(DESCENDANTS)) == 2


async def test_group_that_can_not_be_read_now_is_as_it_was(driver: Driver) -> None:
    subscriptions = driver.app(**GROUP).connections.subscriptions
    before = await subscriptions.monitored()
    driver.clock.advance(hours=2)
    driver.fault(DESCENDANTS, status=403, times=None)
    assert await subscriptions.monitored() == before


async def test_group_that_was_never_read_is_an_error(driver: Driver) -> None:
    """To monitor only the listed ones would leave leaks of the others unrevoked for an hour."""
    driver.fault(DESCENDANTS, status=500, times=None)
    with pytest.raises(TransientFailure, match=f"management group {MANAGEMENT_GROUP}"):
        await driver.app(**GROUP).connections.subscriptions.monitored()


async def test_group_that_may_not_be_read_stops_no_revocation_in_the_listed_subscriptions(driver: Driver) -> None:
    """A leak elsewhere ends `not_covered`, and people are notified."""
    subscriptions = driver.app(**GROUP).connections.subscriptions
    driver.fault(DESCENDANTS, status=403, times=None)
    assert await subscriptions.monitored() == (OTHER,)
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=1)
    assert await subscriptions.monitored() == (OTHER, SUBSCRIPTION_ID)


async def test_resource_graph_is_asked_about_all_of_them(driver: Driver) -> None:
    account = await driver.account()
    await driver.app(**GROUP).fast_path.accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert len(driver.requests(RESOURCE_GRAPH)) == 1


async def test_subscription_that_nobody_monitors_is_named_by_the_daily_check(driver: Driver) -> None:
    driver.cloud.model.other_subscriptions[OTHER] = "Forgotten `rm -rf`"
    app = driver.app()
    await app.background.readiness.run()
    others = await app.background.readiness_table.others()
    del driver.cloud.model.other_subscriptions[OTHER]
    assert others is not None
    assert (others.count, [one.id for one in others.first]) == (1, [OTHER])
    assert "`" not in others.first[0].name


async def test_monitored_subscriptions_are_not_among_the_others(driver: Driver) -> None:
    assert await driver.app().connections.subscriptions.not_monitored() == ()


async def test_others_are_listed_by_name(driver: Driver) -> None:
    names = {OTHER: "Web", OTHER.replace("2", "3"): "Data"}
    driver.cloud.model.other_subscriptions |= names
    others = await driver.app().connections.subscriptions.not_monitored()
    driver.cloud.model.other_subscriptions.clear()
    assert others == tuple(Subscription(one, names[one]) for one in sorted(names, key=lambda one: names[one]))
