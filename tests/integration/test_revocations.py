import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from local.network.faults import Effect
from local.tenant.model import new_storage_key
from shared.domain.caller import Caller
from shared.domain.finding import Finding, Order
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import Conflict, InvalidRequest, TransientFailure
from shared.persistence.revocations import Ledger, Listed
from tests.support.driver import Driver, found
from tests.support.leaks import account_sas

BATCH = "/$batch"
QUERY = "/states()"
NUMBERS = itertools.count(1)
ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)


@pytest.fixture
async def ledger(driver: Driver) -> Ledger:
    return driver.app().fast_path.store.revocations


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


async def test_one_of_many_leases_at_once_is_new(driver: Driver, finding: Finding) -> None:
    ledgers = [driver.app().fast_path.store.revocations for _ in range(4)]
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
    ledgers = [driver.app().fast_path.store.revocations for _ in range(2)]
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


async def test_history_lists_events_in_order(ledger: Ledger, finding: Finding) -> None:
    revocation, _ = await ledger.claim(finding)
    revocation = await ledger.save(ended(revocation), what="Nothing fits.")
    await ledger.save(replace(revocation, account_lookups=1), what="")
    await ledger.save(
        replace(revocation, etag=(await ledger.change(finding.fingerprint, lambda r: r, what="")).etag),  # type: ignore[union-attr]
        what="Checked.",
        who="ada@contoso.com",
    )
    recorded = [(entry.state, entry.who, entry.what) for entry in await ledger.history(finding.fingerprint)]
    assert recorded == [
        (State.RECEIVED, "sasquash", "Reported by scanner."),
        (State.UNRESOLVED, "sasquash", "Nothing fits."),
        (State.UNRESOLVED, "ada@contoso.com", "Checked."),
    ]


async def test_history_begins_with_who_reported_it_and_why(ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(replace(finding, reported_by=ADA, reason="Seen on a slide."))
    [first] = await ledger.history(finding.fingerprint)
    assert (first.who, first.what) == (str(ADA), "Reported by scanner. Reason: Seen on a slide.")


async def test_history_of_an_order_begins_with_what_was_ordered(ledger: Ledger, finding: Finding) -> None:
    wanted = Order("contosodata", ActionKind.ACCOUNT_KEY, "key2")
    await ledger.claim(replace(finding, credential=None, order=wanted, reported_by=ADA, reason="A laptop was lost."))
    [first] = await ledger.history(finding.fingerprint)
    assert first.what == "Ordered: account_key on key2 of contosodata. Reason: A laptop was lost."


async def test_change_is_reported_with_its_author(ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(finding)
    await ledger.change(finding.fingerprint, ended, what="Ended.", who=str(ADA))
    assert (await ledger.history(finding.fingerprint))[-1].who == str(ADA)


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
    with pytest.raises(TransientFailure):
        await ledger.save(ended(revocation), what="Ended.")
    assert (await ledger.read(finding.fingerprint)) == revocation


async def test_claim_whose_first_answer_was_lost_is_new(driver: Driver, ledger: Ledger, finding: Finding) -> None:
    driver.fault(BATCH, status=503, after=True)
    created, is_new = await ledger.claim(finding)
    assert (await ledger.read(finding.fingerprint), is_new) == (created, True)


async def test_change_whose_first_answer_was_lost_is_done_once(
    driver: Driver, ledger: Ledger, finding: Finding
) -> None:
    await ledger.claim(finding)
    driver.fault(BATCH, status=503, after=True)
    changed = await ledger.change(
        finding.fingerprint, lambda current: replace(current, detail=f"{current.detail}x"), what="One more."
    )
    assert changed is not None
    assert (await ledger.read(finding.fingerprint), changed.detail) == (changed, "x")
    assert [entry.what for entry in await ledger.history(finding.fingerprint)][1:] == ["One more."]


async def test_change_that_another_instance_has_made_in_the_same_moment_is_not_ours(
    driver: Driver, finding: Finding
) -> None:
    """Both write the same at the same time: each line is its own, whatever the clock says."""
    now = driver.clock()
    one, other = driver.app().fast_path.store.revocations, driver.app().fast_path.store.revocations
    for ledger in (one, other):
        ledger._clock = lambda: now
    assert [is_new for _, is_new in (await one.claim(finding), await other.claim(finding))] == [True, False]


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
    with pytest.raises(TransientFailure):
        await ledger.ping()


# --- listing


@pytest.fixture
def account() -> str:
    """A name of which no other test has records."""
    return f"listed{next(NUMBERS)}"


async def many(ledger: Ledger, account: str, count: int) -> list[str]:
    """Claim `count` leaks of `account`, each with a line of history more; return their fingerprints, oldest first."""
    fingerprints = []
    for _ in range(count):
        finding = found(account_sas(account, new_storage_key()))
        await ledger.claim(finding)
        await ledger.change(finding.fingerprint, lambda current: current, what="Checked.")
        fingerprints.append(finding.fingerprint)
    return fingerprints


async def test_page_holds_the_records_of_an_account_and_none_of_their_history(ledger: Ledger, account: str) -> None:
    fingerprints = await many(ledger, account, 3)
    page = await ledger.page(state=None, account=account, limit=100, after=None)
    assert ({record.fingerprint for record in page.records}, page.place) == (set(fingerprints), None)


async def test_record_that_reached_its_state_last_comes_first(ledger: Ledger, account: str) -> None:
    fingerprints = await many(ledger, account, 4)
    await ledger.change(fingerprints[1], ended, what="")
    records = (await ledger.page(state=None, account=account, limit=100, after=None)).records
    expected = [fingerprints[n] for n in (1, 3, 2, 0)]
    assert [record.fingerprint for record in records] == expected


async def test_pages_hold_each_record_once(ledger: Ledger, account: str) -> None:
    fingerprints = await many(ledger, account, 5)
    listed: list[str] = []
    place, pages = None, 0
    while pages == 0 or place is not None:
        page = await ledger.page(state=None, account=account, limit=2, after=place)
        place, pages = page.place, pages + 1
        listed += [record.fingerprint for record in page.records]
        assert len(page.records) <= 2
    assert sorted(listed) == sorted(fingerprints)
    assert pages >= 3


async def test_page_of_everything_holds_records_alone(ledger: Ledger, account: str) -> None:
    fingerprints = await many(ledger, account, 2)
    listed: list[str] = []
    place: str | None = ""
    while place is not None:
        page = await ledger.page(state=None, account=None, limit=100, after=place or None)
        listed += [record.fingerprint for record in page.records]
        place = page.place
    assert set(fingerprints) <= set(listed)
    assert len(listed) == len(set(listed))


async def test_page_of_a_state_holds_no_other(ledger: Ledger, account: str) -> None:
    fingerprints = await many(ledger, account, 3)
    await ledger.change(fingerprints[1], ended, what="Ended.")
    records = (await ledger.page(state=State.UNRESOLVED, account=account, limit=100, after=None)).records
    assert [record.fingerprint for record in records] == [fingerprints[1]]
    of_all = await ledger.page(state=State.UNRESOLVED, account=None, limit=100, after=None)
    assert {record.state for record in of_all.records} == {State.UNRESOLVED}


async def test_record_is_listed_by_the_account_that_its_order_names(
    ledger: Ledger, finding: Finding, account: str
) -> None:
    wanted = Order(account, ActionKind.ACCOUNT_KEY, "key1")
    await ledger.claim(replace(finding, credential=None, order=wanted))
    [record] = (await ledger.page(state=None, account=account, limit=10, after=None)).records
    assert record.fingerprint == finding.fingerprint


async def test_quote_in_an_account_s_name_is_only_text(ledger: Ledger, finding: Finding) -> None:
    await ledger.claim(finding)
    page = await ledger.page(state=None, account="x' or State gt '", limit=10, after=None)
    assert page == Listed((), (), None)


async def test_place_that_no_page_named_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequest):
        await ledger.page(state=None, account=None, limit=10, after="eyJhIjoxfQ")


async def test_listing_during_a_table_outage_is_a_transient_failure(driver: Driver, ledger: Ledger) -> None:
    driver.fault(QUERY, times=None)
    with pytest.raises(TransientFailure):
        await ledger.page(state=None, account=None, limit=10, after=None)
    with pytest.raises(TransientFailure):
        [record async for record in ledger.ended_for(Reason.POLICY_GONE)]


async def test_records_are_found_by_any_of_several_reasons(ledger: Ledger, account: str) -> None:
    reasons = (Reason.POLICY_GONE, Reason.POLICY_EXPIRED, Reason.LOOSE)
    fingerprints = await many(ledger, account, 4)
    for fingerprint, reason in zip(fingerprints, reasons, strict=False):
        await ledger.change(
            fingerprint, lambda r, reason=reason: r.end(reason, now=datetime.now(UTC), detail=""), what=""
        )
    dormant = {r.fingerprint async for r in ledger.ended_for(Reason.POLICY_GONE, Reason.POLICY_EXPIRED)}
    assert dormant & set(fingerprints) == set(fingerprints[:2])
