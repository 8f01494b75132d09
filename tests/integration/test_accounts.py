import asyncio

import pytest

from local.arm import storage_accounts
from local.network.faults import Effect
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.states import State
from shared.errors import Blocked, NotFound, TransientFailure
from shared.persistence.queues import Message
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas

GRAPH = "Microsoft.ResourceGraph"
LISTS = "/providers/Microsoft.Storage/storageAccounts?"


def lists(driver: Driver) -> int:
    """How often ARM's list was read, whatever its pages: other tests leave accounts, too."""
    return len([request for request in driver.requests(LISTS) if "$skiptoken" not in request.url])


@pytest.fixture
async def accounts(driver: Driver) -> Accounts:
    return driver.app().fast_path.accounts


@pytest.mark.parametrize("service", ["blob", "queue", "table", "file", "dfs"])
async def test_account_is_found_by_the_host_of_any_service(driver: Driver, accounts: Accounts, service: str) -> None:
    account = await driver.account()
    ref = await accounts.find(f"{account.name}.{service}.core.windows.net", account.name)
    assert ref is not None
    assert (ref.name, ref.resource_group, ref.id) == (account.name, "driven", account.id)


async def test_account_is_found_by_its_custom_domain(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account(properties={"customDomain": {"name": "Data.Contoso.com"}})
    ref = await accounts.find("data.contoso.com", None)
    assert ref is not None
    assert ref.name == account.name


async def test_account_that_resource_graph_does_not_know_yet_is_found_in_arm_s_lists(
    driver: Driver, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    monkeypatch.setattr("local.arm.resource_graph._Search.finds", lambda *_: False)
    ref = await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    assert ref.name == account.name


async def test_account_is_found_in_arm_s_lists_where_resource_graph_takes_no_more_queries(
    driver: Driver, accounts: Accounts
) -> None:
    account = await driver.account()
    driver.fault(GRAPH, status=429)
    for _ in range(2):  # the second one is not even sent
        accounts.forget(await found_by_name(accounts, account.name))
    assert len(driver.requests(GRAPH)) == 1


async def found_by_name(accounts: Accounts, name: str) -> AccountRef:
    ref = await accounts.find(f"{name}.blob.core.windows.net", name)
    assert ref is not None
    return ref


async def test_inventory_that_fails_is_taken_by_the_next(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    driver.fault(GRAPH, status=403)
    await accounts.take_inventory()
    await accounts.take_inventory()
    assert accounts.known(f"{account.name}.blob.core.windows.net", account.name) is not None


async def test_account_on_the_last_page_is_found(
    driver: Driver, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account(name="zzzlast")
    monkeypatch.setattr(storage_accounts, "PAGE_SIZE", 2)
    await driver.account()
    await driver.account()
    monkeypatch.setattr("local.arm.resource_graph._Search.finds", lambda *_: False)
    assert await accounts.find(f"{account.name}.blob.core.windows.net", account.name) is not None
    assert len(driver.requests("storageAccounts?")) > 1


async def test_found_account_is_not_queried_again(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    for _ in range(3):
        await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert len(driver.requests(GRAPH)) == 1


async def test_account_is_queried_again_after_ten_minutes(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    driver.clock.advance(minutes=11)
    await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert len(driver.requests(GRAPH)) == 2


async def test_account_not_found_is_listed_again_after_a_minute(driver: Driver, accounts: Accounts) -> None:
    for _ in range(2):
        assert await accounts.find("notourdata.blob.core.windows.net", "notourdata") is None
    assert lists(driver) == 1
    driver.clock.advance(minutes=1)
    assert await accounts.find("notourdata.blob.core.windows.net", "notourdata") is None
    assert lists(driver) == 2


async def test_account_that_is_made_after_a_miss_is_found_in_resource_graph(
    driver: Driver, accounts: Accounts
) -> None:
    assert await accounts.find("notourdata.blob.core.windows.net", "notourdata") is None
    account = await driver.account()
    assert await accounts.find(f"{account.name}.blob.core.windows.net", account.name) is not None
    assert lists(driver) == 1


async def test_account_that_is_made_after_a_miss_is_found_in_arm_s_list_a_minute_later(
    driver: Driver, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.arm.resource_graph._Search.finds", lambda *_: False)
    assert await accounts.find("notourdata.blob.core.windows.net", "notourdata") is None
    account = await driver.account()
    host = f"{account.name}.blob.core.windows.net"
    assert await accounts.find(host, account.name) is None
    driver.clock.advance(minutes=1)
    assert await accounts.find(host, account.name) is not None


async def test_accounts_that_are_wanted_at_the_same_time_are_one_query(driver: Driver, accounts: Accounts) -> None:
    made = [await driver.account() for _ in range(3)]
    await driver.account(properties={"customDomain": {"name": "models.contoso.com"}})
    hosts = [(f"{account.name}.blob.core.windows.net", account.name) for account in made]
    wanted = [*hosts, ("models.contoso.com", None), ("notourdata.blob.core.windows.net", "notourdata")]
    found = await asyncio.gather(*(accounts.find(host, account) for host, account in wanted))
    assert [ref.name if ref else None for ref in found[:3]] == [account.name for account in made]
    assert (found[3] is not None, found[4]) == (True, None)
    assert (len(driver.requests(GRAPH)), lists(driver)) == (1, 1)


async def test_forgotten_account_is_queried_again(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    host = f"{account.name}.blob.core.windows.net"
    ref = await accounts.find(host, account.name)
    assert ref is not None
    accounts.forget(ref)
    del driver.cloud.model.accounts[account.name]
    assert await accounts.find(host, account.name) is None


async def test_account_in_the_inventory_is_not_asked_for(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    await accounts.take_inventory()
    driver.clock.advance(hours=23)
    ref = await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    assert (ref.id, len(driver.requests(GRAPH))) == (account.id, 1)


async def test_inventory_is_forgotten_after_a_day(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    await accounts.take_inventory()
    driver.clock.advance(hours=25)
    await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert len(driver.requests(GRAPH)) == 2


async def test_custom_domain_is_asked_for_whatever_the_inventory_says(driver: Driver, accounts: Accounts) -> None:
    await driver.account(properties={"customDomain": {"name": "moved.contoso.com"}})
    await accounts.take_inventory()
    assert await accounts.find("moved.contoso.com", None) is not None
    assert len(driver.requests(GRAPH)) == 2


@pytest.mark.parametrize(("minutes", "taken"), [(9, 1), (11, 2)])
async def test_inventory_is_taken_every_ten_minutes(
    driver: Driver, accounts: Accounts, minutes: int, taken: int
) -> None:
    await accounts.take_inventory()
    driver.clock.advance(minutes=minutes)
    await accounts.take_inventory()
    assert len(driver.requests(GRAPH)) == taken


async def test_inventory_that_is_asked_for_twice_at_once_is_taken_once(driver: Driver, accounts: Accounts) -> None:
    await asyncio.gather(*(accounts.take_inventory() for _ in range(3)))
    assert len(driver.requests(GRAPH)) == 1


async def test_inventory_has_every_page(driver: Driver, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [await driver.account() for _ in range(5)]
    monkeypatch.setattr("shared.cloud.accounts._PAGE", len(driver.cloud.model.accounts) // 4 + 1)
    await accounts.take_inventory()
    pages = len(driver.requests(GRAPH))
    for account in made:
        assert await accounts.find(f"{account.name}.blob.core.windows.net", account.name) is not None
    assert (pages >= 3, len(driver.requests(GRAPH))) == (True, pages)


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_inventory_that_cannot_be_taken_fails_nothing_and_is_taken_the_next_time(
    driver: Driver, accounts: Accounts, effect: Effect
) -> None:
    account = await driver.account()
    driver.fault(GRAPH, effect, times=3, status=403)
    await accounts.take_inventory()
    driver.cloud.faults.clear()
    await accounts.take_inventory()
    before = len(driver.requests(GRAPH))
    assert await accounts.find(f"{account.name}.blob.core.windows.net", account.name) is not None
    assert len(driver.requests(GRAPH)) == before


async def test_inventory_that_takes_too_long_is_given_up(
    driver: Driver, accounts: Accounts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.cloud.accounts._INVENTORY_SECONDS", 0.05)
    driver.fault(GRAPH, Effect.HANG)
    await accounts.take_inventory()
    assert "The inventory of storage accounts failed: it took too long." in caplog.text


async def test_account_that_moved_since_the_inventory_is_contained_where_it_is(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.accounts.take_inventory()
    account.resource_group = "elsewhere"
    await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_account_deleted_since_the_inventory_is_queried_once_more_later(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.accounts.take_inventory()
    del driver.cloud.model.accounts[account.name]
    await app.fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.account_lookups) == (State.RECEIVED, 1)


@pytest.mark.parametrize(
    ("host", "account"),
    [("a'b.blob.core.windows.net", None), ("x.blob.core.windows.net", "x' or name != '"), ("a b", None)],
)
async def test_name_that_could_be_read_as_a_query_is_asked_of_nobody(
    driver: Driver, accounts: Accounts, host: str, account: str | None
) -> None:
    assert await accounts.find(host, account) is None
    assert driver.requests("management.azure.com") == []


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_resource_graph_outage_is_a_transient_failure(
    driver: Driver, accounts: Accounts, effect: Effect
) -> None:
    driver.fault(GRAPH, effect, times=None)
    with pytest.raises(TransientFailure):
        await accounts.find("contosodata.blob.core.windows.net", "contosodata")


async def test_arm_list_that_is_down_is_not_taken_for_an_empty_one(driver: Driver, accounts: Accounts) -> None:
    driver.fault(LISTS, times=None)
    with pytest.raises(TransientFailure):
        await accounts.find("notourdata.blob.core.windows.net", "notourdata")


async def test_refused_resource_graph_is_for_a_person(driver: Driver, accounts: Accounts) -> None:
    driver.fault(GRAPH, status=403, times=None)
    with pytest.raises(Blocked):
        await accounts.find("contosodata.blob.core.windows.net", "contosodata")


async def test_facts_are_what_arm_says_now(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account(tags={"owner": "one@contoso.com"})
    ref = await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    account.tags = {"owner": "two@contoso.com"}
    facts = await accounts.facts(ref)
    assert facts.tags == {"owner": "two@contoso.com"}
    assert sorted(facts.endpoints) == ["blob", "file", "queue", "table"]
    assert sorted(facts.secondary_endpoints) == ["blob", "queue", "table"]


async def test_facts_of_a_deleted_account_are_not_found(driver: Driver, accounts: Accounts) -> None:
    account = await driver.account()
    ref = await accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    del driver.cloud.model.accounts[account.name]
    with pytest.raises(NotFound):
        await accounts.facts(ref)
