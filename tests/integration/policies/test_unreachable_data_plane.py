"""A data plane that is slow, refuses, or can't be reached."""

import asyncio

from local.network.faults import Effect
from shared.domain import report as findings
from shared.domain.execution import Outcome
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from tests.support.driver import Driver, Lifetime, ended, found, report
from tests.support.policy_leaks import get_acl, leaked, set_acl


async def test_slow_data_plane_leaves_the_rest_to_the_queue(driver: Driver) -> None:
    account, text = await leaked(driver)
    [reported] = findings.in_text(text, source="x", url=None, detected_at=driver.clock())
    driver.fault(set_acl(account), Effect.NONE, delay_ms=600)
    await driver.app().fast_path.containment.take(reported, patience=0.4)
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False)


async def test_key_that_the_data_plane_no_longer_takes_is_read_again(driver: Driver) -> None:
    account, text = await leaked(driver)
    driver.fault(get_acl(account), status=403, code="AuthenticationFailed")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert record.state is State.RECEIVED
    assert (await ended(driver, record.fingerprint)).state is State.CONTAINED


async def test_read_only_lock_that_hides_the_keys_is_a_failure_that_names_it(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.locks.append("ReadOnly")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.reason, "ReadOnly lock" in record.detail) == (State.FAILED, Reason.BLOCKED, True)


async def test_read_only_lock_that_came_after_the_keys_were_listed_does_not_stop_the_data_plane(
    driver: Driver,
) -> None:
    account, text = await leaked(driver)
    life = Lifetime(stops_at=get_acl(account))
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    account.locks.append("ReadOnly")
    life.go.set()
    await containing
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED


async def test_policy_behind_a_firewall_that_opens_again_is_proven_on_the_data_plane(driver: Driver) -> None:
    account, text = await leaked(driver)
    account.properties["publicNetworkAccess"] = "Disabled"
    await driver.app().fast_path.ingest.receive(report(found(text)))
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED
    account.properties["publicNetworkAccess"] = "Enabled"
    await driver.app().background.follow_up.run(Message(found(text).fingerprint))
    record = await driver.record(found(text).fingerprint)
    assert record.verification is not None
    assert (record.state, record.verification.outcome) == (State.CLOSED, Outcome.PROVEN)


async def test_write_with_a_lost_answer_is_recorded_by_the_next_holder(
    driver: Driver,
) -> None:
    account, text = await leaked(driver)
    life = Lifetime(stops_at=set_acl(account))
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(found(text))))
    await life.stopped.wait()
    driver.fault(set_acl(account), Effect.RESET, after=True)
    driver.fault(get_acl(account), times=2)
    life.go.set()
    await containing
    record = await ended(driver, found(text).fingerprint)
    assert (record.state, record.execution is None) == (State.CONTAINED, False), record.detail
