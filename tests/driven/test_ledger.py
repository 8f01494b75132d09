import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from local.faults import Effect
from local.model import new_storage_key
from shared.errors import Conflict, PassingFailure
from shared.finding import Finding
from shared.ledger import Ledger
from shared.revocation import Reason, Revocation, State
from tests.driven.driving import Driver, found
from tests.roads.leaks import account_sas

BATCH = "/$batch"


@pytest.fixture
async def ledger(driver: Driver) -> Ledger:
    return driver.worker().ledger


@pytest.fixture
def finding() -> Finding:
    return found(account_sas("contosodata", new_storage_key()))


def ended(revocation: Revocation) -> Revocation:
    return revocation.end(Reason.NO_KEY_MATCHES, now=datetime.now(UTC), detail="Nothing fits.")


async def test_first_claim_is_new_and_later_ones_find_it(ledger: Ledger, finding: Finding) -> None:
    first, is_new = await ledger.claim(finding)
    again, is_new_again = await ledger.claim(finding)
    assert (is_new, is_new_again) == (True, False)
    assert again == first


async def test_one_of_many_claims_at_once_is_new(driver: Driver, finding: Finding) -> None:
    ledgers = [driver.worker().ledger for _ in range(4)]
    claims = await asyncio.gather(*(ledger.claim(finding) for ledger in ledgers for _ in range(4)))
    assert [is_new for _, is_new in claims].count(True) == 1


async def test_record_comes_back_as_it_was_saved(ledger: Ledger, finding: Finding) -> None:
    revocation, _ = await ledger.claim(finding)
    saved = await ledger.save(ended(revocation), what="Ended.")
    assert await ledger.read(finding.fingerprint) == saved


async def test_finding_without_a_record_is_none(ledger: Ledger, finding: Finding) -> None:
    assert await ledger.read(finding.fingerprint) is None


async def test_record_that_others_changed_is_not_overwritten(ledger: Ledger, finding: Finding) -> None:
    revocation, _ = await ledger.claim(finding)
    await ledger.save(ended(revocation), what="First.")
    with pytest.raises(Conflict):
        await ledger.save(replace(revocation, detail="second"), what="Second.")
    kept = await ledger.read(finding.fingerprint)
    assert kept is not None
    assert kept.detail == "Nothing fits."


async def test_changes_at_once_are_all_kept(driver: Driver, finding: Finding) -> None:
    ledgers = [driver.worker().ledger for _ in range(2)]
    await ledgers[0].claim(finding)

    def more(current: Revocation) -> Revocation:
        return replace(current, detail=f"{current.detail}x")

    await asyncio.gather(*(ledgers[n % 2].change(finding.fingerprint, more, what="x") for n in range(6)))
    kept = await ledgers[0].read(finding.fingerprint)
    assert kept is not None
    assert kept.detail == "x" * 6


async def test_change_of_nothing_writes_nothing(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(finding)
    written = len(driver.requests(BATCH))
    assert await ledger.change(finding.fingerprint, lambda _: None, what="Nothing.") is None
    assert len(driver.requests(BATCH)) == written


async def test_history_tells_what_happened_in_order(ledger: Ledger, finding: Finding) -> None:
    revocation, _ = await ledger.claim(finding)
    revocation = await ledger.save(ended(revocation), what="Nothing fits.")
    await ledger.save(replace(revocation, looked_for_account=1), what="")
    await ledger.save(
        replace(revocation, etag=(await ledger.change(finding.fingerprint, lambda r: r, what="")).etag),  # type: ignore[union-attr]
        what="Looked at.",
        who="ada@contoso.com",
    )
    told = [(entry.state, entry.who, entry.what) for entry in await ledger.history(finding.fingerprint)]
    assert told == [
        (State.RECEIVED, "sasquash", "Reported by scanner."),
        (State.UNRESOLVED, "sasquash", "Nothing fits."),
        (State.UNRESOLVED, "ada@contoso.com", "Looked at."),
    ]


async def test_history_is_of_one_record_alone(ledger: Ledger, finding: Finding) -> None:
    twin = replace(finding, fingerprint=finding.fingerprint[:63] + ("0" if finding.fingerprint[63] != "0" else "1"))
    await ledger.claim(finding)
    await ledger.claim(twin)
    assert len(await ledger.history(finding.fingerprint)) == 1


async def test_record_is_not_changed_where_its_history_cannot_be_written(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    revocation, _ = await ledger.claim(finding)
    driver.fault(BATCH, Effect.RESET, times=None)
    with pytest.raises(PassingFailure):
        await ledger.save(ended(revocation), what="Ended.")
    assert (await ledger.read(finding.fingerprint)) == revocation


async def test_claim_whose_first_answer_was_lost_is_durable(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    driver.fault(BATCH, status=503, after=True)
    await ledger.claim(finding)
    assert await ledger.read(finding.fingerprint) is not None


async def test_change_whose_first_answer_was_lost_is_not_done_twice_by_who_can_tell(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    await ledger.claim(finding)
    driver.fault(BATCH, status=503, after=True)
    await ledger.change(
        finding.fingerprint,
        lambda current: ended(current) if current.state is State.RECEIVED else None,
        what="Ended.",
    )
    kept = await ledger.read(finding.fingerprint)
    assert kept is not None
    assert [change.state for change in kept.changes] == [State.RECEIVED, State.UNRESOLVED]


async def test_record_with_all_that_a_hostile_report_may_hold_fits(driver: Driver, ledger: Ledger) -> None:
    text = account_sas("contosodata", new_storage_key())
    big = found(text, source="ü" * 5000, url="https://github.com/" + "ü" * 5000)
    revocation, _ = await ledger.claim(big)
    assert (await ledger.read(big.fingerprint)) == revocation


async def test_ping_raises_while_the_table_is_down(driver: Driver, ledger: Ledger) -> None:
    driver.fault("/revocations(", times=None)
    with pytest.raises(PassingFailure):
        await ledger.ping()
