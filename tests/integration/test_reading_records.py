"""Reading and listing records, and waiting until they are settled."""

import asyncio
from dataclasses import replace

import pytest

from local.tenant.model import new_storage_key
from shared.api.revocations.requests import PageQuery
from shared.domain.states import State
from shared.errors import (
    NoSuchRecord,
)
from shared.persistence.queues import Message
from tests.support.decisions import ADA, asked, awaiting
from tests.support.driver import Driver
from tests.support.leaks import account_sas


async def test_record_is_read_with_its_history(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    read, history = await driver.app().http.revocations.read(record.fingerprint)
    assert (read, [entry.state for entry in history]) == (record, [State.RECEIVED, State.AWAITING_APPROVAL])


async def test_record_is_read_by_its_id_only(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    table = driver.app().fast_path.store.revocations._table
    query = table.query_entities("PartitionKey eq @p", parameters={"p": record.fingerprint[:2]})
    rows = [row["RowKey"] async for row in query if row["RowKey"].startswith(f"{record.fingerprint}~")]
    assert rows
    for fingerprint in ("0" * 64, "", record.fingerprint.upper(), f"{record.fingerprint}\n", *rows):
        with pytest.raises(NoSuchRecord):
            await driver.app().http.revocations.read(fingerprint)


async def test_page_has_the_records_of_an_account(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app().http.revocations
    page = await service.page(PageQuery(state=State.AWAITING_APPROVAL, account=account.name, limit=10))
    assert ([one.fingerprint for one in page.revocations], page.next) == ([record.fingerprint], None)
    assert (await service.page(PageQuery(state=State.PROVEN, account=account.name, limit=10))).revocations == ()


async def test_wait_ends_when_the_record_is_settled(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app()
    [record] = await app.http.revocations.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    assert record.state is State.CONTAINED
    waiting = asyncio.create_task(app.http.revocations.wait((record.fingerprint,), seconds=60))
    await app.background.follow_up.run(Message(record.fingerprint))
    [after] = await asyncio.wait_for(waiting, 30)
    assert after.state in (State.PROVEN, State.CLOSED)


async def test_wait_ends_after_its_time(driver: Driver) -> None:
    account = await driver.account()
    service = driver.app().http.revocations
    [record] = await service.report(asked(account_sas(account.name, account.keys["key1"])), caller=ADA)
    pauses: list[float] = []

    async def pass_time(seconds: float) -> None:
        pauses.append(seconds)
        driver.clock.advance(seconds=seconds)

    service = replace(service, sleep=pass_time)
    [after] = await service.wait((record.fingerprint,), seconds=20)
    assert after.state is State.CONTAINED
    assert sum(pauses) == pytest.approx(20, abs=5)
    assert pauses[:3] == sorted(pauses[:3])
    assert max(pauses) <= 4


async def test_settled_records_are_returned_immediately(driver: Driver) -> None:
    account = await driver.account()
    record = await awaiting(driver, account)
    service = driver.app().http.revocations

    async def never(seconds: float) -> None:
        raise AssertionError("there is nothing to wait for")

    service = replace(service, sleep=never)
    assert await service.wait((record.fingerprint,), seconds=60) == (record,)
    assert await service.wait((), seconds=60) == ()


async def test_wait_does_not_include_the_second_search_for_an_account(driver: Driver) -> None:
    service = driver.app().http.revocations
    [record] = await service.report(asked(account_sas("nobodysaccount", new_storage_key())), caller=ADA)

    async def never(seconds: float) -> None:
        raise AssertionError("it comes in five minutes")

    service = replace(service, sleep=never)
    [after] = await service.wait((record.fingerprint,), seconds=60)
    assert after.state is State.RECEIVED


async def test_wait_for_a_missing_record_is_not_found(driver: Driver) -> None:
    with pytest.raises(NoSuchRecord):
        await driver.app().http.revocations.wait(("0" * 64,), seconds=1)
