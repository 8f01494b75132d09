"""A key that leaked without its account: the index of keys knows whose it is, or was."""

from dataclasses import dataclass, replace
from typing import Any

from local.network.faults import Effect
from local.tenant.model import Account
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.sas import Kind
from tests.support.containment import LIST_KEYS
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas, connection_string


def bare(account: Account, key_name: str = "key1") -> Finding:
    """Return the finding of a key that a scanner reports alone."""
    finding = found(connection_string(account.name, account.keys[key_name]))
    assert finding.credential is not None
    credential = replace(finding.credential, host=None)
    return replace(finding, fingerprint=credential.fingerprint, credential=credential)


@dataclass
class Only:
    """The monitored accounts of a test, in place of all that other tests have made."""

    accounts: Accounts
    names: list[str]

    async def inventory(self) -> tuple[AccountRef, ...]:
        return tuple(ref for ref in await self.accounts.inventory() if ref.name in self.names)


async def indexed(driver: Driver, *accounts: Account) -> None:
    indexer = driver.app().background.key_indexer
    assert indexer is not None
    await indexer.accounts.take_inventory()
    only: Any = Only(indexer.accounts, [account.name for account in accounts])
    await replace(indexer, accounts=only).run()
    driver.cool_down()


async def received(driver: Driver, finding: Finding, **settings: str) -> Revocation:
    await driver.app(**settings).fast_path.ingest.receive(report(finding))
    return await driver.record(finding.fingerprint)


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


async def test_key_without_an_account_is_rotated_where_the_index_knows_it(driver: Driver) -> None:
    account = await driver.account()
    await indexed(driver, account)
    record = await received(driver, bare(account, "key2"))
    assert (record.state, record.account_name, rotated(account)) == (State.CONTAINED, account.name, ["key2"])


async def test_key_that_the_index_does_not_know_is_unattributed(driver: Driver) -> None:
    account = await driver.account()
    record = await received(driver, bare(account))
    assert (record.reason, rotated(account)) == (Reason.LOOSE, [])


async def test_key_that_was_rotated_since_is_revoked_by_others(driver: Driver) -> None:
    account = await driver.account()
    finding = bare(account)
    await indexed(driver, account)
    driver.clock.advance(hours=1)
    await driver.cloud.model.regenerate(account, "key1")
    account.key_created["key1"] = driver.clock()
    driver.clock.advance(hours=1)
    record = await received(driver, finding)
    assert record.execution is not None
    assert (record.state, record.account_name, record.execution.is_ours) == (State.CONTAINED, account.name, False)
    assert rotated(account) == ["key1"]


async def test_index_that_is_off_is_neither_kept_nor_asked(driver: Driver) -> None:
    account = await driver.account()
    await indexed(driver, account)
    assert driver.app(key_index="off").background.key_indexer is None
    record = await received(driver, bare(account), key_index="off")
    assert record.reason is Reason.LOOSE


async def test_account_is_listed_once_a_day(driver: Driver) -> None:
    account = await driver.account()
    await indexed(driver, account)
    before = len(driver.requests(f"{account.name}{LIST_KEYS}"))
    await indexed(driver, account)
    assert len(driver.requests(f"{account.name}{LIST_KEYS}")) == before
    driver.clock.advance(hours=21)
    await indexed(driver, account)
    assert len(driver.requests(f"{account.name}{LIST_KEYS}")) == before + 1


async def test_account_that_can_not_be_read_stops_no_other(driver: Driver) -> None:
    blocked, account = await driver.account(), await driver.account()
    driver.fault(f"{blocked.name}{LIST_KEYS}", Effect.STATUS, status=403, times=None)
    await indexed(driver, blocked, account)
    driver.cloud.faults.clear()
    assert (await received(driver, bare(account))).state is State.CONTAINED


async def test_key_that_was_not_seen_for_a_year_is_forgotten(driver: Driver) -> None:
    account = await driver.account()
    finding = bare(account)
    await indexed(driver, account)
    await driver.cloud.model.regenerate(account, "key1")
    driver.clock.advance(days=401)
    await indexed(driver, account)
    assert finding.credential is not None
    assert finding.credential.kind is Kind.ACCOUNT_KEY
    assert await driver.app().fast_path.key_index.find(finding.credential.key_sha256 or "") is None


async def test_key_with_the_address_of_nobody_s_account_is_found_by_the_index(driver: Driver) -> None:
    account = await driver.account()
    await indexed(driver, account)
    finding = found(connection_string("nobodys9", account.keys["key1"]))
    record = await received(driver, finding)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_token_without_an_account_is_no_matter_of_the_index(driver: Driver) -> None:
    account = await driver.account()
    await indexed(driver, account)
    finding = found(account_sas(account.name, account.keys["key1"]))
    assert finding.credential is not None
    credential = replace(finding.credential, host=None)
    loose = replace(finding, fingerprint=credential.fingerprint, credential=credential)
    assert (await received(driver, loose)).reason is Reason.LOOSE
