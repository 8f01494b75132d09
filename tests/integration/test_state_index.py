"""The index by state and time: it may be wrong for a moment, and never for good."""

import pytest

from local.tenant.model import new_storage_key
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import TransientFailure
from shared.persistence.revocations import Ledger
from tests.support.driver import Crashed, Driver, Lifetime, found
from tests.support.leaks import account_sas

STATES = "/states("


@pytest.fixture
async def ledger(driver: Driver) -> Ledger:
    return driver.app().fast_path.store.revocations


@pytest.fixture
def finding() -> Finding:
    return found(account_sas("contosodata", new_storage_key()))


async def index(driver: Driver, finding: Finding) -> list[tuple[str, str]]:
    """The rows of the index about a record: partition, and whether it is the record's own state."""
    table = driver.app().fast_path.state_index._table
    rows = [row async for row in table.list_entities()]
    return sorted(
        (row["PartitionKey"], row.get("Reason", "")) for row in rows if finding.fingerprint in row["RowKey"]
    )


def ended(driver: Driver, record: Revocation) -> Revocation:
    return record.end(Reason.NO_KEY_MATCHES, now=driver.clock(), detail="Nothing fits.")


async def listed(ledger: Ledger, state: State, finding: Finding) -> bool:
    return any([record.fingerprint == finding.fingerprint async for record in ledger.in_state(state)])


async def test_new_record_is_indexed_as_received_and_open(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(finding)
    assert await index(driver, finding) == [("open", ""), ("received", "")]


async def test_every_record_of_a_state_is_listed_the_newest_first(driver: Driver, ledger: Ledger) -> None:
    """Also where they are more than are read at a time."""
    findings = [found(account_sas("contosodata", new_storage_key())) for _ in range(35)]
    for finding in findings:
        await ledger.claim(finding)
        driver.clock.advance(seconds=1)
    mine = {finding.fingerprint for finding in findings}
    shown = [one.fingerprint async for one in ledger.in_state(State.RECEIVED) if one.fingerprint in mine]
    assert shown == [finding.fingerprint for finding in reversed(findings)]


async def test_record_that_moves_on_is_indexed_in_its_new_state_alone(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    record, _ = await ledger.claim(finding)
    await ledger.save(ended(driver, record), what="Ended.")
    assert await index(driver, finding) == [("open", ""), ("unresolved", "no_key_matches")]


async def test_saving_without_a_new_state_writes_no_index(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    record, _ = await ledger.claim(finding)
    before = len(driver.requests(STATES))
    await ledger.save(record, what="Checked.")
    assert len(driver.requests(STATES)) == before


async def test_duplicate_claim_leaves_the_index_as_it_was(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(finding)
    driver.clock.advance(seconds=5)
    await ledger.claim(finding)
    assert await index(driver, finding) == [("open", ""), ("received", "")]


async def test_claim_that_can_t_be_indexed_has_failed(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    driver.fault(STATES, times=None)
    with pytest.raises(TransientFailure):
        await ledger.claim(finding)


async def test_claim_that_comes_again_is_indexed(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    driver.fault(STATES, times=None)
    with pytest.raises(TransientFailure):
        await ledger.claim(finding)
    driver.cloud.faults.clear()
    driver.clock.advance(seconds=10)
    await ledger.claim(finding)
    assert await listed(ledger, State.RECEIVED, finding)
    assert ("open", "") in await index(driver, finding)


async def test_record_whose_new_state_could_not_be_indexed_is_found_by_its_old_one_and_put_right(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    record, _ = await ledger.claim(finding)
    driver.fault(STATES, times=None)
    await ledger.save(ended(driver, record), what="Ended.")
    driver.cloud.faults.clear()
    assert not await listed(ledger, State.RECEIVED, finding)
    assert await listed(ledger, State.UNRESOLVED, finding)
    assert await index(driver, finding) == [("open", ""), ("unresolved", "no_key_matches")]


async def test_row_without_a_record_is_kept_for_an_hour_and_then_removed(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    await driver.app().fast_path.state_index.note(Revocation.of(finding, now=driver.clock()))
    assert not await listed(ledger, State.RECEIVED, finding)
    assert ("received", "") in await index(driver, finding)
    driver.clock.advance(hours=2)
    assert not await listed(ledger, State.RECEIVED, finding)
    assert ("received", "") not in await index(driver, finding)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_a_record_that_is_found(
    driver: Driver, ledger: Ledger, *, carried_out: bool
) -> None:
    number, crashed = 0, True
    while crashed:
        number += 1
        finding = found(account_sas("contosodata", new_storage_key()))
        record, _ = await ledger.claim(finding)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        try:
            await driver.app(life).fast_path.store.revocations.save(ended(driver, record), what="Ended.")
        except Crashed:
            crashed = True
        now = (await driver.record(finding.fingerprint)).state
        for _ in range(2):  # the first check corrects what it finds
            found_in = [state for state in (State.RECEIVED, State.UNRESOLVED) if await listed(ledger, state, finding)]
        assert found_in == [now], f"crashed at call {number}"
    assert number > 3
