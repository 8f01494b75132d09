"""A lock that is acquired while the record of its leak is written: two rounds to the action, nothing kept waiting."""

import asyncio
from datetime import timedelta

import pytest

from local.network.faults import Effect
from local.tenant.model import STATE_ACCOUNT, Account
from shared.app import App
from shared.containment import account_session
from shared.domain.finding import Finding
from shared.domain.report import read
from shared.domain.states import Reason, State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.support import unusual_leaks, user_delegation
from tests.support.containment import rotated
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas, blob_sas, later
from tests.support.patience import PATIENCE

TABLES = f"https://{STATE_ACCOUNT}.table.core.windows.net"
LOCK = f"POST {TABLES}/accounts"
CLAIM = f"POST {TABLES}/$batch"
REGENERATE = "/regenerateKey"


def leak_of(account: Account, key: str = "key1", *, hours: int = 2) -> Finding:
    return found(account_sas(account.name, account.keys[key], expiry=later(hours)))


async def knowing(driver: Driver, life: Lifetime | None = None) -> App:
    """An app that knows the accounts there are; its life begins then."""
    living = life or Lifetime()
    ends_at, living.ends_at = living.ends_at, None
    stops_at, living.stops_at = living.stops_at, None
    app = driver.app(living)
    await app.fast_path.accounts.take_inventory()
    living.calls, living.ends_at, living.stops_at = 0, ends_at, stops_at
    return app


def lock_row(account: Account) -> str:
    return f"{TABLES}/accounts(PartitionKey='{account.name}',RowKey='lock')"


async def lock_of(driver: Driver, account: Account) -> str:
    """What the lock's row says: who holds it, that the account cools down, or nothing."""
    row = (await driver.rows(account.name)).get("lock", {})
    return "held" if "Intent" in row else "cools down" if row else "free"


async def test_known_account_is_locked_while_its_leak_is_written_down(driver: Driver) -> None:
    account = await driver.account()
    life = Lifetime(stops_at=CLAIM)
    taking = asyncio.create_task((await knowing(driver, life)).fast_path.ingest.receive(report(leak_of(account))))
    await life.stopped.wait()
    async with asyncio.timeout(PATIENCE):
        while await lock_of(driver, account) != "held":
            pass
    life.go.set()
    await taking
    assert rotated(account) == ["key1"]


async def test_keys_are_listed_once_the_leak_is_written_down_and_the_account_locked(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(CLAIM, Effect.NONE, delay_ms=150)
    await (await knowing(driver)).fast_path.ingest.receive(report(leak_of(account)))
    [claim, lock, listing] = [driver.requests(line)[0] for line in (CLAIM, LOCK, "/listKeys")]
    began = listing.at  # what is recorded was answered `duration_ms` after that
    assert [r.at + timedelta(milliseconds=r.duration_ms) <= began for r in (claim, lock)] == [True, True]


async def test_account_that_is_not_known_is_not_locked_before_its_leak_is_written_down(driver: Driver) -> None:
    account = await driver.account()
    life = Lifetime(ends_at=1, counting=CLAIM)
    with pytest.raises(Crashed):
        await driver.app(life).fast_path.ingest.receive(report(leak_of(account)))
    assert driver.requests(LOCK) == []


async def test_lock_is_released_if_another_process_decided_on_the_leak(driver: Driver) -> None:
    account = await driver.account()
    finding = leak_of(account)
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    other = await knowing(driver)
    locks = len(driver.requests(LOCK))
    await other.fast_path.ingest.receive(report(finding))
    assert (len(driver.requests(LOCK)), await lock_of(driver, account)) == (locks + 1, "free")


async def test_process_takes_no_lock_for_a_leak_that_it_recorded_itself(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    finding = leak_of(account)
    await app.fast_path.ingest.receive(report(finding))
    locks = len(driver.requests(LOCK))
    driver.clock.advance(seconds=45)  # it is no repeat any more
    await app.fast_path.ingest.receive(report(finding))
    assert len(driver.requests(LOCK)) == locks


async def test_lock_is_released_where_the_leak_could_not_be_written_down(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    driver.fault(CLAIM, Effect.STATUS, status=500, times=None)
    with pytest.raises(SasquashError):
        await app.fast_path.ingest.receive(report(leak_of(account)))
    assert len(driver.requests(LOCK)) == 1
    assert await lock_of(driver, account) == "free"


async def test_leak_waits_while_another_process_holds_the_lock(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    await app.fast_path.store.accounts.acquire(account.name, fingerprint="f" * 64)
    finding = leak_of(account)
    await app.fast_path.ingest.receive(report(finding))
    assert (3.0, 0) in driver.messages("contain", finding.fingerprint)
    assert await lock_of(driver, account) == "held"


async def test_leak_is_contained_by_the_lock_holder_though_another_process_recorded_it(driver: Driver) -> None:
    """Two instances get the same report at once: one comes first with the record, the other one with the lock."""
    account = await driver.account()
    finding = leak_of(account)
    life = Lifetime(stops_at=LOCK)
    first = asyncio.create_task((await knowing(driver, life)).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    async with asyncio.timeout(PATIENCE):
        while await driver.app().fast_path.store.revocations.read(finding.fingerprint) is None:
            pass
    await (await knowing(driver)).fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    life.go.set()
    await first
    assert rotated(account) == ["key1"]


async def test_lock_whose_first_answer_was_lost_is_used(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    driver.fault(LOCK, status=503, after=True)
    finding = leak_of(account)
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_work_of_a_predecessor_is_reported_under_an_unneeded_lock(driver: Driver) -> None:
    account = await driver.account()
    known = leak_of(account)
    await driver.app().fast_path.ingest.receive(report(known))
    driver.cool_down()
    executed = leak_of(account)  # of the key that the first revocation has made
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(executed))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=executed.fingerprint)
    await driver.cloud.model.regenerate(account, "key1")  # by an instance that crashed before noting it
    account.key_created["key1"] = driver.clock()
    driver.clock.advance(minutes=4)
    await (await knowing(driver)).fast_path.ingest.receive(report(known))
    assert (await driver.record(executed.fingerprint)).state is State.CONTAINED
    assert await lock_of(driver, account) == "free"


async def test_what_a_lock_says_is_kept_where_azure_refuses_to_say_what_a_predecessor_did(driver: Driver) -> None:
    account = await driver.account()
    known = leak_of(account)
    await driver.app().fast_path.ingest.receive(report(known))
    driver.cool_down()
    gone = leak_of(account)
    await driver.app().fast_path.store.accounts.acquire(account.name, fingerprint=gone.fingerprint)
    driver.clock.advance(minutes=4)
    driver.fault("/listKeys", status=403, times=None)
    await (await knowing(driver)).fast_path.ingest.receive(report(known))
    [kept] = [row for key, row in (await driver.rows(account.name)).items() if key.startswith("unsettled~")]
    assert gone.fingerprint in kept["Intent"]
    assert await lock_of(driver, account) == "free"


async def test_lock_that_comes_late_is_released_as_soon_as_it_is_there(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_session, "EARLY_PATIENCE", 0.0)
    account = await driver.account()
    finding = leak_of(account)
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    life = Lifetime(stops_at=LOCK)
    app = await knowing(driver, life)
    await app.fast_path.ingest.receive(report(finding))
    assert life.stopped.is_set()
    life.go.set()
    await asyncio.gather(*app.fast_path.sessions._giving_back)
    assert await lock_of(driver, account) == "free"


async def test_leak_whose_patience_ends_while_the_lock_is_awaited_leaves_none_behind(driver: Driver) -> None:
    account = await driver.account()
    finding = leak_of(account)
    [reported] = read(report(finding), raw_allowed=False, now=driver.clock())
    life = Lifetime(stops_at=LOCK)
    app = await knowing(driver, life)
    taking = asyncio.create_task(app.fast_path.containment.take(reported, patience=0.05))
    await life.stopped.wait()
    async with asyncio.timeout(PATIENCE):
        while not app.fast_path.sessions._giving_back:  # noqa: ASYNC110 -- nothing says that the patience is over
            await asyncio.sleep(0.01)
    life.go.set()
    await taking
    assert ((await driver.record(finding.fingerprint)).state, await lock_of(driver, account)) == (
        State.RECEIVED,
        "free",
    )


async def test_lock_that_was_not_needed_harms_nobody_where_it_cannot_be_released(driver: Driver) -> None:
    account = await driver.account()
    finding = leak_of(account)
    await driver.app(mode="observe").fast_path.ingest.receive(report(finding))
    driver.cool_down()
    refused = driver.fault(f"DELETE {lock_row(account)}", status=403, times=None)
    await (await knowing(driver)).fast_path.ingest.receive(report(finding))
    assert ((await driver.record(finding.fingerprint)).state, refused.hits) == (State.OBSERVED, 1)


async def test_own_storage_is_never_locked(driver: Driver) -> None:
    own = driver.cloud.model.accounts[STATE_ACCOUNT]
    app = await knowing(driver)
    finding = leak_of(own)
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.OWN_STORAGE
    assert driver.requests(LOCK) == []


async def test_token_that_expired_locks_nothing(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    await app.fast_path.ingest.receive(report(found(unusual_leaks.expired(account.name, account.keys["key1"]))))
    assert driver.requests(LOCK) == []


async def test_account_is_not_locked_while_azure_is_asked_about_a_token(driver: Driver) -> None:
    account = await driver.account()
    app = await knowing(driver)
    finding = found(await user_delegation.url(driver, account))
    life_of_claim = driver.fault(CLAIM, Effect.STATUS, status=500, times=None)
    with pytest.raises(SasquashError):
        await app.fast_path.ingest.receive(report(finding))
    assert (life_of_claim.hits > 0, driver.requests(LOCK)) == (True, [])


async def test_sibling_of_a_leak_is_decided_by_the_lock_holder(driver: Driver) -> None:
    account = await driver.account()
    first, second = leak_of(account), found(blob_sas(account.name, account.keys["key1"]))
    app = await knowing(driver)
    await asyncio.gather(*(app.fast_path.ingest.receive(report(finding)) for finding in (first, second)))
    for finding in (first, second):
        driver.cool_down()
        await app.fast_path.containment.resume(Message(finding.fingerprint))
    states = {(await driver.record(finding.fingerprint)).state for finding in (first, second)}
    assert states == {State.CONTAINED, State.DISMISSED}
    assert rotated(account) == ["key1"]
