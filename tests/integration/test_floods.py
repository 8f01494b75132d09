"""Floods: what nobody confirmed is one mail, one source's flood holds up no other, and ARM is not rushed."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.tenant.model import SECURITY_MAILBOX, Account, Mail
from shared.cloud.graph import Graph
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, Report
from shared.domain.states import Reason, State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.containment import fingerprint_of
from tests.support.driver import OWNER, Clock, Crashed, Driver, Lifetime, found, raw_report, report
from tests.support.leaks import account_sas

SEND_MAIL = "/sendMail"


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """There is no other flood but the test's."""
    await driver.no_floods()


async def unconfirmed(driver: Driver, account: Account) -> Finding:
    """A forged leak, decided and followed up."""
    finding = found(unusual_leaks.forged(account.name, ""))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    await app.background.follow_up.run(Message(finding.fingerprint))
    driver.cool_down()
    return finding


def digests(driver: Driver, account: Account) -> list[Mail]:
    return [mail for mail in driver.mails(account.name) if mail.subject.startswith("[SUMMARY]")]


async def test_forged_findings_by_the_hundred_are_one_mail(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": OWNER})
    texts = [unusual_leaks.forged(account.name, "") for _ in range(60)]
    app = driver.app()
    await app.fast_path.ingest.receive(raw_report("\n".join(texts)))
    driver.cool_down()
    fingerprints = [found(text).fingerprint for text in texts]
    for fingerprint in fingerprints:
        await app.fast_path.containment.resume(Message(fingerprint))
    await asyncio.gather(*(app.background.follow_up.run(Message(fingerprint)) for fingerprint in fingerprints))
    await app.background.summary_mail.send()
    [mail] = driver.mails(account.name)
    assert (mail.to, "60 x no key matches" in mail.body) == ((SECURITY_MAILBOX,), True)


async def test_summary_mail_reports_once(driver: Driver) -> None:
    account = await driver.account()
    await unconfirmed(driver, account)
    await driver.app().background.summary_mail.send()
    await driver.app().background.summary_mail.send()
    assert len(digests(driver, account)) == 1


async def test_lines_that_were_removed_without_an_answer_are_sent_once(driver: Driver) -> None:
    account = await driver.account()
    await unconfirmed(driver, account)
    driver.fault("$batch", status=503, times=1, after=True)
    await driver.app().background.summary_mail.send()
    await driver.app().background.summary_mail.send()
    assert len(digests(driver, account)) == 1


INSERT = "POST https://sasquashstate.table.core.windows.net/digest"
UPDATE = "PATCH https://sasquashstate.table.core.windows.net/digest(PartitionKey='lock'"


@pytest.mark.parametrize("call", [INSERT, UPDATE], ids=["new", "of a crashed instance"])
async def test_summary_mail_is_sent_at_once_although_its_lock_was_written_without_an_answer(
    driver: Driver, call: str
) -> None:
    account = await driver.account()
    await unconfirmed(driver, account)
    if call == UPDATE:
        with contextlib.suppress(Crashed):
            life = Lifetime(ends_at=1, counting=INSERT, carried_out=True)
            await driver.app(life).background.summary_mail.send()
        driver.clock.advance(minutes=7)
    fault = driver.fault(call, status=503, after=True)
    await driver.app().background.summary_mail.send()
    assert (fault.hits, len(digests(driver, account))) == (1, 1)


async def test_line_that_was_written_again_while_the_mail_was_sent_is_in_the_next_one(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    record = await driver.record((await unconfirmed(driver, account)).fingerprint)
    app = driver.app()
    send = Graph.send_mail

    async def sending(graph: Graph, *args: Any, **options: Any) -> None:
        await send(graph, *args, **options)
        await app.background.summary_mail.add(record)

    with monkeypatch.context() as patched:
        patched.setattr(Graph, "send_mail", sending)
        await app.background.summary_mail.send()
    driver.clock.advance(minutes=61)
    await app.background.summary_mail.send()
    assert len(digests(driver, account)) == 2


async def test_digests_at_once_are_one(driver: Driver) -> None:
    account = await driver.account()
    await unconfirmed(driver, account)
    await asyncio.gather(*(driver.app().background.summary_mail.send() for _ in range(4)))
    assert len(digests(driver, account)) == 1


async def test_no_news_is_no_mail(driver: Driver) -> None:
    before = len(driver.requests(SEND_MAIL))
    await driver.app().background.summary_mail.send()
    assert len(driver.requests(SEND_MAIL)) == before


@pytest.mark.parametrize("carried_out", [False, True])
async def test_summary_mail_after_a_crash_at_any_call_is_sent_by_the_next_run(
    driver: Driver, *, carried_out: bool
) -> None:
    """Only one that ends between the mail and the note of it has it sent twice."""
    number, crashed, twice = 0, True, 0
    while crashed:
        number += 1
        account = await driver.account()
        await unconfirmed(driver, account)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        try:
            await driver.app(life).background.summary_mail.send()
        except Crashed:
            crashed = True
        driver.clock.advance(minutes=7)
        await driver.app().background.summary_mail.send()
        driver.clock.advance(minutes=61)
        await driver.app().background.summary_mail.send()
        mails = len(digests(driver, account))
        assert 1 <= mails <= 2, f"crashed at call {number}"
        twice += mails == 2
    assert (number > 3, twice) == (True, 0 if carried_out else 1)


async def test_what_is_over_a_source_s_quota_is_durable_and_left_to_the_queue(driver: Driver) -> None:
    accounts = [await driver.account() for _ in range(3)]
    app = driver.app(source_quota="1")
    first, second, third = (found(account_sas(account.name, account.keys["key1"])) for account in accounts)
    await app.fast_path.ingest.receive(report(first))
    await app.fast_path.ingest.receive(report(second))
    assert (await driver.record(second.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", second.fingerprint)[0][0] > 45
    await app.fast_path.ingest.receive(report(third))
    assert driver.messages("contain", third.fingerprint)[0][0] == 900


class Still(Clock):
    """A clock that goes only when the test says so: what depends on it does not depend on the machine."""

    def __init__(self) -> None:
        super().__init__()
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


def invented(number: int) -> Report:
    """The event with a token of an account that does not exist, from a source of its own."""
    key = base64.b64encode(hashlib.sha512(str(number).encode()).digest()).decode()
    finding = found(account_sas(f"invented{number}", key), source=f"scanner {number}")
    return Report(f"invented-{number}", REPORTED, f"/scanners/{number}", finding.to_data())


def lookups(driver: Driver) -> tuple[int, int]:
    """How often Resource Graph was queried, and ARM's list of accounts read."""
    pages = driver.requests("/providers/Microsoft.Storage/storageAccounts?")
    lists = [page for page in pages if "$skiptoken" not in page.url]  # other tests leave accounts, too
    return len(driver.requests("Microsoft.ResourceGraph")), len(lists)


async def the_first_alone[T](run: Callable[[T], Awaitable[None]], several: list[T]) -> None:
    """Run the first one alone, so that what it looks up is known to the others; then all of them."""
    await run(several[0])
    await asyncio.gather(*map(run, several[1:]))


async def test_400_invented_accounts_cost_two_lists_and_a_few_queries(driver: Driver) -> None:
    """Each has a source of its own, and each is looked up twice, five minutes apart."""
    driver.clock = Still()
    app = driver.app()
    reports = [invented(number) for number in range(400)]
    await the_first_alone(app.fast_path.ingest.receive, reports)
    queries, lists = lookups(driver)
    assert (queries <= 10, lists) == (True, 1)
    fingerprints = [fingerprint_of(event) for event in reports]
    driver.clock.advance(minutes=5)
    await the_first_alone(app.fast_path.containment.resume, [Message(fingerprint) for fingerprint in fingerprints])
    queries, lists = lookups(driver)
    assert (queries <= 20, lists) == (True, 2)
    reasons = {(await driver.record(fingerprint)).reason for fingerprint in fingerprints[::40]}
    assert reasons == {Reason.NOT_COVERED}


async def test_flood_of_invented_accounts_delays_no_leak_of_a_known_account(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app(unattributed_quota="5", finding_quota="5", source_quota="5")
    await app.fast_path.accounts.take_inventory()
    events = [invented(1000 + number) for number in range(20)]
    for event in events:
        await app.fast_path.ingest.receive(event)
    over = [event for event in events if await is_left_to_the_queue(driver, event)]
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(finding))
    assert len(over) == 15
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def is_left_to_the_queue(driver: Driver, event: Report) -> bool:
    record = await driver.record(fingerprint_of(event))
    return (record.state, record.account_lookups) == (State.RECEIVED, 0)


async def test_real_leak_in_a_flood_of_forged_ones_is_revoked_with_the_next_batch_of_its_account(
    driver: Driver,
) -> None:
    """What is over every budget waits for its account like all others, and no batch leaves it out."""
    account = await driver.account()
    app = driver.app(source_quota="1", finding_quota="1")
    await app.fast_path.accounts.take_inventory()
    for _ in range(61):
        await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    driver.clock.advance(minutes=1)
    await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_429_closes_the_way_to_arm_until_it_allows(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault("/listKeys", status=429)
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    before = len(driver.requests("/listKeys"))
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert len(driver.requests("/listKeys")) == before + 1  # the ten seconds of a 429 that names none are over
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_repeat_within_half_a_minute_costs_no_remote_call(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    before = len(driver.requests())
    await app.fast_path.ingest.receive(report(finding))
    assert len(driver.requests()) == before


async def test_report_that_was_not_made_durable_is_taken_in_when_it_comes_again(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    driver.fault("/revocations", times=None)
    driver.fault("$batch", times=None)
    with pytest.raises(SasquashError):
        await app.fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_same_leak_from_elsewhere_is_noted_at_once(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    app = driver.app()
    await app.fast_path.ingest.receive(report(found(text)))
    await app.fast_path.ingest.receive(report(found(text, source="gitlab")))
    assert [s.source for s in (await driver.record(found(text).fingerprint)).sightings] == ["gitlab"]


async def test_blocked_record_is_evaluated_again_a_minute_later_regardless_of_repeats(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    account.locks.append("ReadOnly")
    await app.fast_path.ingest.receive(report(finding))
    account.locks.clear()
    for seconds in (29, 29, 4):
        driver.clock.advance(seconds=seconds)
        await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
