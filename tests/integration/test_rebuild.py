"""The ledger is rebuilt from the copy where the tables are gone, and nothing acts twice because of it."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from local.tenant.model import Account, new_storage_key
from shared.api.revocations import rendering
from shared.app import App
from shared.cloud import history_copy
from shared.domain.finding import Finding
from shared.domain.history import Integrity
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from shared.persistence.revocation_entity import snapshot
from shared.rebuild.__main__ import rebuild, said
from tests.support.driver import Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas
from tests.support.tables import delete_rows

NUMBERS = itertools.count(1)


@pytest.fixture
async def app(driver: Driver) -> AsyncIterator[App]:
    """An app whose tables have nothing of other tests in them."""
    made = driver.app()
    await gone(made)
    driver.cloud.model.history.clear()
    yield made
    driver.cloud.model.history.clear()
    await gone(made)


async def gone(app: App) -> None:
    """Lose all that Sasquash's tables hold."""
    fast_path = app.fast_path
    ledger, index = fast_path.store.revocations._table, fast_path.state_index._table
    await delete_rows(fast_path.outbox._table, ledger, index, fast_path.store.accounts._table)


async def revoked(driver: Driver, app: App, account: Account) -> Finding:
    """A leak whose key was regenerated, verified, filed and notified, with its lines in the copy."""
    leak = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(leak))
    await app.background.follow_up.run(Message(leak.fingerprint))
    await copied(app)
    return leak


async def copied(app: App) -> None:
    assert app.background.history_copier is not None
    await app.background.history_copier.run()


async def unresolved(app: App) -> Revocation:
    ledger = app.fast_path.store.revocations
    leak = found(account_sas(f"rebuilt{next(NUMBERS)}", new_storage_key()))
    record, _ = await ledger.claim(leak)
    ended = record.end(Reason.NO_KEY_MATCHES, now=app.fast_path.store.clock(), detail="Nothing fits.")
    return await ledger.save(ended, what="Ended.")


async def test_records_are_read_as_before_with_their_history(driver: Driver, app: App) -> None:
    leak = await revoked(driver, app, await driver.account())
    before, lines = await driver.record(leak.fingerprint), await driver.history(leak.fingerprint)
    await gone(app)

    result = await rebuild(app)

    assert result is not None
    assert (result.written, result.unreadable) == (1, [])
    after = await driver.record(leak.fingerprint)
    assert replace(after, etag="", leases=()) == replace(before, etag="", leases=())
    assert await driver.history(leak.fingerprint) == lines
    assert rendering.whole(after, now=driver.clock()) == rendering.whole(before, now=driver.clock())
    listed = await app.fast_path.store.revocations.page(state=State.CLOSED, account=None, limit=10, after=None)
    assert [record.fingerprint for record in listed.records] == [leak.fingerprint]


async def test_rebuilt_history_is_intact_and_goes_on(driver: Driver, app: App) -> None:
    record = await unresolved(app)
    await copied(app)
    await gone(app)
    await rebuild(app)
    assert (await app.background.history_checks.of(record.fingerprint)).integrity is Integrity.INTACT

    current = await driver.record(record.fingerprint)
    await app.fast_path.store.revocations.save(current, what="Later.")
    await copied(app)
    assert (await app.background.history_checks.of(record.fingerprint)).integrity is Integrity.INTACT


async def test_nothing_acts_twice_after_it(driver: Driver, app: App) -> None:
    account = await driver.account()
    leak = await revoked(driver, app, account)
    mails = len(driver.mails(account.name))
    await gone(app)
    await rebuild(app)

    for _ in range(3):
        driver.clock.advance(hours=1)
        await app.background.sweeper.run()
        await app.background.follow_up.run(Message(leak.fingerprint))
        await app.fast_path.containment.resume(Message(leak.fingerprint))
        await driver.app().fast_path.ingest.receive(report(leak))

    assert [key for key, _ in account.rotations] == ["key1"]
    assert len(driver.mails(account.name)) == mails


async def test_record_that_waited_for_a_decision_is_decided_by_the_keys_as_they_are(driver: Driver, app: App) -> None:
    """Its key was regenerated already: the leak ended with it, and the new key stays."""
    account = await driver.account()
    leak = await revoked(driver, app, account)
    row = driver.cloud.model.history[-1]
    record = await driver.record(leak.fingerprint)
    open_again = replace(
        record.reach(State.RECEIVED, now=driver.clock(), detail="Open."), execution=None, verification=None
    )
    row.columns["Record"] = snapshot(open_again, longest=60_000)
    await gone(app)
    await rebuild(app)
    driver.clock.advance(minutes=30)
    await app.background.sweeper.run()
    await app.fast_path.containment.resume(Message(leak.fingerprint))

    assert [key for key, _ in account.rotations] == ["key1"]
    assert (await driver.record(leak.fingerprint)).reason is Reason.COVERED


async def test_record_that_is_there_stays_as_it_is(driver: Driver, app: App) -> None:
    record = await unresolved(app)
    await copied(app)
    later = await app.fast_path.store.revocations.save(replace(record, detail="Newer."), what="Newer.")
    result = await rebuild(app)
    assert result is not None
    assert (result.written, result.known) == (0, 1)
    assert await driver.record(record.fingerprint) == later


async def test_record_past_retention_is_left_out(driver: Driver, app: App) -> None:
    await revoked(driver, app, await driver.account())
    await gone(app)
    driver.clock.advance(days=500)
    result = await rebuild(app)
    assert result is not None
    assert (result.written, result.past_retention) == (0, 1)
    await app.background.history_checks.run()
    assert [one async for one in app.fast_path.store.revocations.ended_for(Reason.TAMPERED)] == []


async def test_earlier_record_of_a_leak_that_was_removed_stays_removed(driver: Driver, app: App) -> None:
    leak = await revoked(driver, app, await driver.account())
    driver.clock.advance(hours=1)
    await app.background.sweeper.run()
    driver.clock.advance(days=500)
    await copied(app)
    await app.background.retention.run()
    again, _ = await app.fast_path.store.revocations.claim(leak)
    ended = again.end(Reason.NO_KEY_MATCHES, now=driver.clock(), detail="Nothing fits.")
    await app.fast_path.store.revocations.save(ended, what="Ended.")
    await copied(app)
    lines = await driver.history(leak.fingerprint)
    await gone(app)

    await rebuild(app)

    assert await driver.history(leak.fingerprint) == lines
    assert (await app.background.history_checks.of(leak.fingerprint)).integrity is Integrity.INTACT


async def test_record_with_a_lost_line_is_named(driver: Driver, app: App) -> None:
    record = await unresolved(app)
    await copied(app)
    history = driver.cloud.model.history
    history[:] = [row for row in history if row.columns["Line"] != 1]
    await gone(app)
    result = await rebuild(app)
    assert result is not None
    assert result.unreadable == [record.fingerprint]
    assert record.fingerprint in said(result)


async def test_rebuilding_that_ends_at_any_call_goes_on(driver: Driver, app: App) -> None:
    record = await unresolved(app)
    await copied(app)
    number, ended = 0, True
    while ended:
        number += 1
        await gone(app)
        life = Lifetime(ends_at=number, carried_out=number % 2 == 0, counting=".table.core.windows.net")
        try:
            await rebuild(driver.app(life))
            ended = False
        except Crashed:
            await rebuild(app)
        assert [entry.what for entry in await driver.history(record.fingerprint)][-1] == "Ended.", f"call {number}"
        assert (await driver.record(record.fingerprint)).state is State.UNRESOLVED


async def test_more_lines_than_a_query_returns_are_read_in_parts(
    driver: Driver, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, names = app.fast_path.store.revocations, ("ab0" + "0" * 61, "ab1" + "0" * 61)
    for name in names:
        leak = replace(found(account_sas(f"rebuilt{next(NUMBERS)}", new_storage_key())), fingerprint=name)
        record, _ = await ledger.claim(leak)
        ended = record.end(Reason.NO_KEY_MATCHES, now=app.fast_path.store.clock(), detail="Nothing fits.")
        await ledger.save(ended, what="Ended.")
    await copied(app)
    await gone(app)
    monkeypatch.setattr(history_copy, "_MOST", 3)
    result = await rebuild(app)
    assert result is not None
    assert (result.written, result.unreadable) == (2, [])
    assert all([await ledger.read(name) for name in names])


async def test_app_without_a_copy_says_so(driver: Driver) -> None:
    made = driver.app(history_endpoint="", history_rule="", history_workspace="")
    assert await rebuild(made) is None
