"""What the lock holds."""

from local.network.faults import Effect
from shared.domain.states import State
from tests.support.containment import rotated
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas
from tests.support.waiting_leaks import NOTE


async def test_action_runs_though_the_lock_could_not_be_updated(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(f"{NOTE}='{account.name}',RowKey='lock')", Effect.STATUS, status=500, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_lock_is_released_though_the_answer_to_its_note_was_lost(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(f"{NOTE}='{account.name}',RowKey='lock')", Effect.STATUS, status=500, times=3, after=True)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert "Intent" not in (await driver.rows(account.name))["lock"]
