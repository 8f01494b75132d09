"""People are reminded of what stays refused: once a day for each account and cause, whatever an instance does."""

import asyncio

import pytest

from local.network.faults import Effect
from local.tenant.model import Account, Mail
from shared.domain.finding import Finding
from shared.domain.states import State
from shared.errors import Blocked, SasquashError
from shared.operations import refusal_reminders
from shared.persistence.queues import Message
from tests.support.containment import LIST_KEYS, REGENERATE
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, report
from tests.support.followups import TAGS, followed
from tests.support.leaks import account_sas, later

ROWS = "digest(PartitionKey='reminder'"
MAILBOX = "security@contoso.com"


@pytest.fixture(autouse=True)
async def nothing_else(driver: Driver) -> None:
    """There is nothing else that Azure refuses."""
    await driver.no_floods()
    table = driver.app().fast_path.state_index._table
    async for row in table.query_entities("PartitionKey eq 'failed'"):
        await table.delete_entity("failed", row["RowKey"])


async def leak(driver: Driver, account: Account, *, key: str = "key1", days: int = 300) -> Finding:
    """A leak whose revocation is refused, and was mailed at once."""
    finding = found(account_sas(account.name, account.keys[key], expiry=later(days)))
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cool_down()
    assert (await followed(driver, finding)).state is State.FAILED
    return finding


async def refusing(driver: Driver, *, at: str = REGENERATE) -> Account:
    """An account where Azure refuses a request."""
    account = await driver.account(tags=TAGS)
    driver.fault(f"{account.name}{at}", status=403, code="AuthorizationFailed", times=None)
    return account


async def daily(driver: Driver, life: Lifetime | None = None) -> list[Mail]:
    """What is mailed by the pass of a day."""
    before = len(driver.cloud.model.mails)
    await driver.app(life).background.refusal_reminders.run()
    return driver.cloud.model.mails[before:]


def subjects(mails: list[Mail]) -> list[str]:
    return sorted(mail.subject.partition("Reminder: ")[2] for mail in mails)


async def test_people_are_reminded_once_a_day_and_not_on_the_first(driver: Driver) -> None:
    account = await refusing(driver)
    await leak(driver, account)
    assert await daily(driver) == []
    for _ in range(2):
        driver.clock.advance(days=1)
        [mail] = await daily(driver)
        assert (mail.to, mail.cc) == ((OWNER,), (MAILBOX,))
        assert "403 AuthorizationFailed" in mail.body
        assert await daily(driver) == []


async def test_leaks_of_one_account_and_cause_share_a_mail(driver: Driver) -> None:
    account, other = await refusing(driver), await refusing(driver)
    for days in (300, 301):
        await leak(driver, account, days=days)
    await leak(driver, account, key="key2")
    await leak(driver, other)
    driver.clock.advance(days=1)
    assert subjects(await daily(driver)) == sorted(
        [
            f"2 leaks of storage account {account.name} are STILL ACTIVE",
            f"1 leak of storage account {account.name} is STILL ACTIVE",
            f"1 leak of storage account {other.name} is STILL ACTIVE",
        ]
    )


async def test_nobody_is_reminded_once_the_cause_is_removed(driver: Driver) -> None:
    account = await refusing(driver)
    finding = await leak(driver, account)
    driver.cloud.faults.clear()
    driver.clock.advance(days=1)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
    assert await daily(driver) == []


async def test_another_cause_is_news_and_no_reminder(driver: Driver) -> None:
    account = await refusing(driver)
    finding = await leak(driver, account)
    driver.cloud.faults.clear()
    driver.fault(f"{account.name}{REGENERATE}", status=403, code="RequestDisallowedByPolicy", times=None)
    driver.clock.advance(days=1)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert await daily(driver) == []
    driver.clock.advance(days=1)
    [mail] = await daily(driver)
    assert "RequestDisallowedByPolicy" in mail.body


async def test_unconfirmed_leaks_of_all_accounts_share_a_mail_to_security(driver: Driver) -> None:
    """Where keys can't be listed, no signature is verified: anybody may have made them up."""
    for _ in range(2):
        account = await refusing(driver, at=LIST_KEYS)
        await leak(driver, account)
    driver.clock.advance(days=1)
    [mail] = await daily(driver)
    assert (mail.subject, mail.to, mail.cc) == (
        "[SUMMARY] 2 unconfirmed findings are still refused",
        (MAILBOX,),
        (),
    )
    assert await daily(driver) == []


@pytest.mark.parametrize("carried_out", [False, True])
async def test_instance_that_crashes_at_any_call_loses_no_mail_and_repeats_at_most_one(
    driver: Driver, *, carried_out: bool
) -> None:
    accounts = [await refusing(driver) for _ in range(2)]
    for account in accounts:
        await leak(driver, account)
    number, crashed = 0, True
    while crashed:
        number, crashed = number + 1, False
        driver.clock.advance(days=1)
        before = len(driver.cloud.model.mails)
        try:
            await daily(driver, Lifetime(ends_at=number, carried_out=carried_out, counting="/digest"))
        except Crashed:
            crashed = True
        driver.clock.advance(minutes=3)  # leases end
        await daily(driver)
        mails = driver.cloud.model.mails[before:]
        about = [sum(account.name in mail.body for mail in mails) for account in accounts]
        assert sorted(about) in ([1, 1], [1, 2]), f"crashed at call {number}"
        assert await daily(driver) == []
    assert number > 8


async def test_mail_of_an_instance_that_crashed_just_now_is_not_repeated(driver: Driver) -> None:
    for _ in range(2):
        await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    before = len(driver.cloud.model.mails)
    with pytest.raises(Crashed):
        await daily(driver, Lifetime(ends_at=3, counting=ROWS))  # the first mail was sent, and is not noted
    assert len(driver.cloud.model.mails) == before + 1
    assert len(await daily(driver)) == 1
    assert await daily(driver) == []


async def test_two_passes_at_once_send_each_mail_once(driver: Driver) -> None:
    for _ in range(3):
        await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    before = len(driver.cloud.model.mails)
    await asyncio.gather(*(driver.app().background.refusal_reminders.run() for _ in range(3)))
    assert len(set(subjects(driver.cloud.model.mails[before:]))) == 3
    assert len(driver.cloud.model.mails) == before + 3


@pytest.mark.parametrize("effect", [Effect.RESET, Effect.STATUS])
async def test_lease_whose_answer_was_lost_is_held(driver: Driver, effect: Effect) -> None:
    await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    driver.fault("/digest", Effect.NONE, times=2)  # the list, and the row that is missing
    lost = driver.fault("/digest", effect, after=True)
    assert (len(await daily(driver)), lost.hits) == (1, 1)


async def test_lease_that_is_refused_is_reported_and_sends_nothing(driver: Driver) -> None:
    await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    driver.fault("/digest", Effect.NONE, times=2)
    driver.fault("/digest", status=403)
    with pytest.raises(Blocked, match="Leasing a reminder"):
        await daily(driver)
    assert len(await daily(driver)) == 1


async def test_mail_that_is_refused_stops_no_other_and_is_sent_when_the_pass_is_run_again(driver: Driver) -> None:
    for _ in range(2):
        await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    before = len(driver.cloud.model.mails)
    driver.fault("/sendMail", status=403)
    with pytest.raises(SasquashError):
        await daily(driver)
    assert len(driver.cloud.model.mails) == before + 1
    assert len(await daily(driver)) == 1


async def test_mails_of_a_day_are_bounded_and_each_account_has_its_own_in_the_end(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_reminders, "MOST_MAILS", 1)
    for _ in range(3):
        await leak(driver, await refusing(driver))
    own = []
    for _ in range(3):
        driver.clock.advance(days=1)
        first, rest = await daily(driver)
        own.append(first.subject)
        assert rest.subject == "[SUMMARY] Reminder: 2 more leaks are STILL ACTIVE"
        assert (rest.to, rest.cc) == ((MAILBOX,), ())
        assert await daily(driver) == []
    assert len(set(own)) == 3


async def test_old_rows_are_removed(driver: Driver) -> None:
    await leak(driver, await refusing(driver))
    driver.clock.advance(days=1)
    await daily(driver)
    rows = driver.app().background.refusal_reminders.reminders
    assert len(await rows.mailed()) == 1
    driver.clock.advance(days=8)
    assert await rows.mailed() == {}
    table = driver.app().background.summary_mail.lines.table
    assert [row async for row in table.query_entities("PartitionKey eq 'reminder'")] == []
