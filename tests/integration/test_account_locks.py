import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from local.network.faults import Effect
from local.tenant.model import new_storage_key
from shared.domain.target import ActionKind, PolicyTarget
from shared.errors import AccountBusy, StorageRefused, TransientFailure
from shared.persistence.account_rows import Rotation
from shared.persistence.accounts import (
    _MOST_ATTRIBUTED,
    COOLDOWN,
    TAKEOVER_TIME,
    WORK_TIME,
    AccountTable,
    Attributed,
)
from shared.sas import Service
from tests.support.driver import Driver, found
from tests.support.leaks import account_sas, blob_sas

KEY = new_storage_key()
INSERT = "POST https://sasquashstate.table.core.windows.net/accounts"
UPDATE = "PUT https://sasquashstate.table.core.windows.net/accounts("
DELETE = "DELETE https://sasquashstate.table.core.windows.net/accounts("


@pytest.fixture
async def table(driver: Driver) -> AccountTable:
    return driver.app().fast_path.store.accounts


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """The name of an account that no other test locks; nothing but the table is asked about it."""
    return f"locks{sha256(request.node.name.encode()).hexdigest()[:16]}"


def proven(number: int) -> Attributed:
    """The largest value: the longest target, of characters that JSON doubles."""
    target = str(PolicyTarget(Service.QUEUE, "q" * 63, '"' * 64))
    return Attributed(f"{number:064x}", ActionKind.STORED_POLICY, target, "f" * 64, "f" * 8)


async def test_lock_is_held_by_one(table: AccountTable, account: str) -> None:
    await table.acquire(account, fingerprint="a")
    with pytest.raises(AccountBusy):
        await table.acquire(account, fingerprint="b")


async def test_lock_that_was_released_is_free(table: AccountTable, account: str) -> None:
    await table.release(await table.acquire(account, fingerprint="a"), listed_at=None)
    assert (await table.acquire(account, fingerprint="b")).predecessor is None


async def test_account_with_just_listed_keys_cools_down(driver: Driver, table: AccountTable, account: str) -> None:
    await table.release(await table.acquire(account, fingerprint="a"), listed_at=driver.clock())
    with pytest.raises(AccountBusy) as caught:
        await table.acquire(account, fingerprint="b")
    assert 0 < caught.value.retry_after <= COOLDOWN.total_seconds()


async def test_account_that_has_cooled_down_is_free(driver: Driver, table: AccountTable, account: str) -> None:
    await table.release(await table.acquire(account, fingerprint="a"), listed_at=driver.clock())
    driver.cool_down()
    assert (await table.acquire(account, fingerprint="b")).predecessor is None


async def test_account_that_cools_down_is_taken_by_one(driver: Driver, table: AccountTable, account: str) -> None:
    await table.release(await table.acquire(account, fingerprint="a"), listed_at=driver.clock())
    driver.cool_down()
    taken = await asyncio.gather(*(table.acquire(account, fingerprint="b") for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in taken) == [*["AccountBusy"] * 4, "AccountLock"]


async def test_what_a_person_has_decided_does_not_wait_for_the_cooldown(
    driver: Driver, table: AccountTable, account: str
) -> None:
    await table.release(await table.acquire(account, fingerprint="a"), listed_at=driver.clock())
    assert (await table.acquire(account, fingerprint="b", urgent=True)).predecessor is None


async def test_lock_that_cools_down_after_a_lost_note_is_released_once(
    driver: Driver, table: AccountTable, account: str
) -> None:
    lock = await table.acquire(account, fingerprint="a")
    await table.attribute(lock, ())
    await table.release(lock, listed_at=driver.clock())
    await table.release(lock, listed_at=None)
    with pytest.raises(AccountBusy):
        await table.acquire(account, fingerprint="b")


async def test_busy_lock_is_rechecked_soon_while_its_holder_may_work(table: AccountTable, account: str) -> None:
    await table.acquire(account, fingerprint="a")
    with pytest.raises(AccountBusy) as caught:
        await table.acquire(account, fingerprint="b")
    assert caught.value.retry_after == 3.0


async def test_lock_that_is_held_for_long_is_rechecked_ever_later(
    driver: Driver, table: AccountTable, account: str
) -> None:
    """Each try may leave a copy of its message, if the queue's answer is lost: copies of copies must not pile up."""
    await table.acquire(account, fingerprint="a")
    driver.clock.advance(seconds=30)
    with pytest.raises(AccountBusy) as caught:
        await table.acquire(account, fingerprint="b")
    assert 15 <= caught.value.retry_after < 20


async def test_lock_of_a_silent_holder_is_rechecked_when_it_may_be_taken(
    driver: Driver, table: AccountTable, account: str
) -> None:
    await table.acquire(account, fingerprint="a")
    driver.clock.advance(seconds=WORK_TIME.total_seconds() + 1)
    with pytest.raises(AccountBusy) as caught:
        await table.acquire(account, fingerprint="b")
    assert 115 < caught.value.retry_after <= 119


async def test_lock_is_taken_over_when_its_holder_cannot_be_at_work(
    driver: Driver, table: AccountTable, account: str
) -> None:
    first = await table.acquire(account, fingerprint="a")
    driver.clock.advance(seconds=(WORK_TIME + TAKEOVER_TIME).total_seconds() + 1)
    assert (await table.acquire(account, fingerprint="b")).predecessor == first.intent


async def test_lock_that_was_taken_over_is_not_released_by_its_former_holder(
    driver: Driver, table: AccountTable, account: str
) -> None:
    first = await table.acquire(account, fingerprint="a")
    driver.clock.advance(minutes=4)
    await table.acquire(account, fingerprint="b")
    await table.release(first, listed_at=None)
    with pytest.raises(AccountBusy):
        await table.acquire(account, fingerprint="c")


async def test_lock_whose_row_is_gone_is_released_without_a_word(table: AccountTable, account: str) -> None:
    lock = await table.acquire(account, fingerprint="a")
    await table.release(lock, listed_at=None)
    await table.release(lock, listed_at=None)


async def test_lock_whose_first_answer_was_lost_is_ours(driver: Driver, table: AccountTable, account: str) -> None:
    driver.fault(INSERT, status=503, after=True)
    lock = await table.acquire(account, fingerprint="a")
    await table.release(lock, listed_at=None)
    assert await driver.rows(account) == {}


async def test_takeover_whose_first_answer_was_lost_is_ours(
    driver: Driver, table: AccountTable, account: str
) -> None:
    first = await table.acquire(account, fingerprint="a")
    driver.clock.advance(minutes=4)
    driver.fault(UPDATE, status=503, after=True)
    lock = await table.acquire(account, fingerprint="b")
    assert lock.predecessor == first.intent
    await table.release(lock, listed_at=None)
    assert await driver.rows(account) == {}


async def test_successor_sees_what_was_proven(driver: Driver, table: AccountTable, account: str) -> None:
    await table.attribute(await table.acquire(account, fingerprint="a"), [proven(1), proven(2)])
    driver.clock.advance(minutes=4)
    lock = await table.acquire(account, fingerprint="b")
    assert lock.predecessor is not None
    assert lock.predecessor.attributed == (proven(1), proven(2))


async def test_successor_sees_whom_the_lock_was_held_for_first_however_many_could_not_settle_it(
    driver: Driver, table: AccountTable, account: str
) -> None:
    for number in range(12):
        lock = await table.acquire(account, fingerprint=f"{number}")
        driver.clock.advance(minutes=4)
    assert lock.predecessor is not None
    assert [tenure.fingerprint for tenure in lock.intent.before] == ["0", *(f"{n}" for n in range(4, 11))]


async def test_storm_of_leaks_fits_into_the_lock(table: AccountTable, account: str) -> None:
    lock = await table.acquire(account, fingerprint="a" * 64)
    noted = await table.attribute(lock, [proven(n) for n in range(10_000)])
    assert len(noted.intent.attributed) == _MOST_ATTRIBUTED


async def test_note_on_a_lock_that_was_taken_over_is_refused(
    driver: Driver, table: AccountTable, account: str
) -> None:
    lock = await table.acquire(account, fingerprint="a")
    driver.clock.advance(minutes=4)
    await table.acquire(account, fingerprint="b")
    with pytest.raises(StorageRefused):
        await table.attribute(lock, [proven(1)])


async def test_noted_lock_is_released_though_the_answer_was_lost(
    driver: Driver, table: AccountTable, account: str
) -> None:
    lock = await table.acquire(account, fingerprint="a")
    driver.fault(UPDATE, Effect.RESET, times=3, after=True)
    with pytest.raises(TransientFailure):
        await table.attribute(lock, [proven(1)])
    await table.release(lock, listed_at=None)
    assert await driver.rows(account) == {}


async def test_lock_that_cannot_be_released_is_a_transient_failure(
    driver: Driver, table: AccountTable, account: str
) -> None:
    lock = await table.acquire(account, fingerprint="a")
    driver.fault(DELETE, times=None)
    with pytest.raises(TransientFailure):
        await table.release(lock, listed_at=None)


async def test_waiting_finding_is_visible_to_every_reader_of_the_account(table: AccountTable, account: str) -> None:
    finding = found(account_sas(account, KEY))
    await table.add_waiting(finding)
    await table.add_waiting(finding)
    assert (await table.rows([account])).waiting == (finding,)


async def test_finding_that_waits_no_more_is_not_seen(table: AccountTable, account: str) -> None:
    finding = found(account_sas(account, KEY))
    await table.add_waiting(finding)
    await table.remove_waiting(finding)
    await table.remove_waiting(finding)
    assert (await table.rows([account])).waiting == ()


async def test_two_partitions_are_read_as_one(table: AccountTable, account: str) -> None:
    one, two = found(account_sas(account, KEY)), found(blob_sas(f"{account}2", KEY))
    await table.add_waiting(one)
    await table.add_waiting(two)
    assert set((await table.rows([account, f"{account}2", account])).waiting) == {one, two}


async def test_rotation_is_counted_once_regardless_of_repeats(
    driver: Driver, table: AccountTable, account: str
) -> None:
    at = driver.clock()
    await table.add_rotation(account, Rotation(ActionKind.ACCOUNT_KEY, "key1", at, "f", "new"))
    await table.add_rotation(account, Rotation(ActionKind.ACCOUNT_KEY, "key1", at - timedelta(seconds=1), "f", "new"))
    await table.add_rotation(account, Rotation(ActionKind.ACCOUNT_KEY, "key1", at, "f", "newer"))
    assert len((await table.rows([account])).rotations) == 2


async def test_quote_in_a_partition_s_name_is_only_text(table: AccountTable, account: str) -> None:
    finding = found(account_sas(account, KEY))
    await table.add_waiting(finding)
    assert (await table.rows([f"{account}' or PartitionKey gt '"])).waiting == ()


@pytest.mark.parametrize("status", [500, 503])
async def test_table_outage_is_a_transient_failure(
    driver: Driver, table: AccountTable, account: str, status: int
) -> None:
    driver.fault("sasquashstate.table", status=status, times=None)
    for call in (
        table.acquire(account, fingerprint="a"),
        table.rows([account]),
        table.remove_waiting(found(account_sas(account, KEY))),
        table.add_rotation(account, Rotation(ActionKind.ACCOUNT_KEY, "key1", driver.clock(), "f", "new")),
    ):
        with pytest.raises(TransientFailure):
            await call
