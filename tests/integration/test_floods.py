"""Floods: what nobody confirmed is one mail, one source's flood holds up no other, and ARM is not rushed."""

import asyncio

import pytest

from local.tenant.model import SECURITY_MAILBOX, Account, Mail
from shared.domain.finding import Finding
from shared.domain.revocation import State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, raw_report, report
from tests.support.leaks import account_sas

SEND_MAIL = "/sendMail"


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """The digest has nothing to tell but what the test brings."""
    table = driver.app().background.summary_mail.table
    async for row in table.list_entities():
        await table.delete_entity(row["PartitionKey"], row["RowKey"])


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
    number, crashed = 0, True
    while crashed:
        number += 1
        account = await driver.account()
        await unconfirmed(driver, account)
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out), False
        try:
            await driver.app(life).background.summary_mail.send()
        except Crashed:
            crashed = True
        driver.clock.advance(minutes=5)
        await driver.app().background.summary_mail.send()
        assert 1 <= len(digests(driver, account)) <= 2, f"crashed at call {number}"
    assert number > 3


async def test_trouble_of_our_own_is_mailed_at_once(driver: Driver) -> None:
    before = len(driver.cloud.model.mails)
    await driver.app().background.poison_messages.failed("contain", b"none of ours, at all")
    [sent] = [s for s in driver.sent if s.queue == "follow-up"]
    await driver.app().background.follow_up.run(sent.message)
    [mail] = driver.cloud.model.mails[before:]
    assert "FAILED with an unexpected error" in mail.subject


async def test_what_is_over_a_source_s_quota_is_durable_and_left_to_the_queue(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app(source_quota="1")
    first, second = (found(account_sas(account.name, account.keys[name])) for name in ("key1", "key2"))
    await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(first))
    assert (await driver.record(first.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", first.fingerprint)[0][0] > 45
    await app.fast_path.ingest.receive(report(second))
    assert driver.messages("contain", second.fingerprint)[0][0] == 900


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
