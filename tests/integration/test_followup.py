"""The slow path, driven in process: verification, and one notification for each state, through failures."""

import asyncio
import base64
import contextlib
import threading
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, quote

import pytest

from local.network.faults import Effect
from local.tenant.model import SECURITY_MAILBOX, Account
from shared import app
from shared.domain.finding import Finding
from shared.domain.revocation import Outcome, Reason, Revocation, State
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, raw_report, report
from tests.support.leaks import Leak, account_sas, blob_sas, raw_key, small_sas

SEND_MAIL = "/sendMail"
ITEMS = "/items"
TOPIC = "eventgrid.azure.net"
DENY = {"networkAcls": {"defaultAction": "Deny"}}
TAGS = {"sasquash-owner": OWNER}


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags=TAGS)


async def contained(driver: Driver, account: Account, leak: str | None = None, **settings: str) -> Finding:
    """A leak on `account` after the fast path, revoked or not."""
    finding = found(leak or blob_sas(account.name, account.keys["key1"]))
    await driver.app(**settings).fast_path.ingest.receive(report(finding))
    return finding


async def followed(driver: Driver, finding: Finding) -> Revocation:
    """The record after one message of the follow-up."""
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


def left(driver: Driver, finding: Finding) -> list[tuple[float, int]]:
    """The messages of the follow-up to itself; the first is containment's."""
    return driver.messages("follow-up", finding.fingerprint)[1:]


# --- the whole way


@pytest.mark.parametrize("leak", [blob_sas, account_sas, raw_key], ids=lambda leak: leak.__name__)
async def test_revoked_leak_is_verified_filed_mailed_published_and_closed_in_one_run(
    driver: Driver, account: Account, leak: Leak
) -> None:
    finding = await contained(driver, account, leak(account.name, account.keys["key1"]))
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert record.verification is not None
    assert record.verification.outcome is Outcome.PROVEN
    assert [incident.fields["Status"] for incident in driver.incidents(finding.fingerprint)] == ["closed"]
    [mail] = driver.mails(account.name)
    assert (mail.to, mail.cc) == ((OWNER,), (SECURITY_MAILBOX,))
    assert driver.announced(finding.fingerprint) == ["Contained", "Proven", "Closed"]
    assert left(driver, finding) == []


async def test_each_message_more_does_nothing(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    first = await followed(driver, finding)
    assert await followed(driver, finding) == first
    assert (len(driver.mails(account.name)), len(driver.incidents(finding.fingerprint))) == (1, 1)


async def test_record_that_is_not_decided_yet_is_left_to_containment(driver: Driver, account: Account) -> None:
    driver.fault("/listKeys", times=3)
    finding = await contained(driver, account)
    assert (await followed(driver, finding)).state is State.RECEIVED
    assert driver.announced(finding.fingerprint) == []


async def test_verification_tokens_are_removed_from_the_record_after_use(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    before = await driver.record(finding.fingerprint)
    after = await followed(driver, finding)
    assert before.execution is not None
    assert after.execution is not None
    assert (len(before.execution.verification_tokens), after.execution.verification_tokens) == (1, ())


async def test_verification_covers_every_service_and_the_secondary(driver: Driver, account: Account) -> None:
    record = await followed(driver, await contained(driver, account, raw_key(account.name, account.keys["key1"])))
    assert record.verification is not None
    lines = [line.split(":")[0] for line in record.verification.evidence if "AuthenticationFailed" in line]
    proven = {name for line in lines for name in line.split(", ")}
    primary = {"blob", "file", "queue", "table"}
    assert proven == primary | {f"{service} (secondary)" for service in primary - {"file"}}


# --- the old key lives on for a while


async def test_key_that_is_still_accepted_is_proven_later(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    new = await in_force(driver, account, old)
    first = await followed(driver, finding)
    assert first.state is State.CONTAINED
    assert first.verification is not None
    assert (first.verification.outcome, first.verification.accepted) == (Outcome.PENDING, True)
    assert len(left(driver, finding)) == 1
    await in_force(driver, account, new)
    assert (await followed(driver, finding)).state is State.CLOSED


async def in_force(driver: Driver, account: Account, key: str) -> str:
    """Have the data plane take `key` for key1 while ARM lists what it listed; returns the key that ARM lists."""
    listed = account.keys["key1"]
    account.keys["key1"] = key
    await driver.cloud.model.keys_changed()
    account.keys["key1"] = listed
    return listed


async def test_key_that_lives_on_for_half_an_hour_is_still_alive(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    await in_force(driver, account, old)
    await followed(driver, finding)
    driver.clock.advance(minutes=28)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)]


async def test_key_that_was_alive_when_it_was_last_asked_is_not_proven_by_tokens_that_expired(
    driver: Driver, account: Account
) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    await in_force(driver, account, old)
    await followed(driver, finding)
    driver.clock.advance(hours=1)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)


async def test_list_of_keys_that_lags_for_a_moment_pages_nobody(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    new, account.keys["key1"] = account.keys["key1"], old
    assert (await followed(driver, finding)).state is State.CONTAINED
    account.keys["key1"] = new
    assert (await followed(driver, finding)).state is State.CLOSED


async def test_old_key_that_arm_goes_on_listing_is_still_alive(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    account.keys["key1"] = old
    driver.clock.advance(minutes=3)
    record = await followed(driver, finding)
    assert (record.state, record.reason) == (State.FAILED, Reason.STILL_ALIVE)
    assert "ARM still lists the old key1" in record.detail


async def test_still_alive_leak_that_is_reported_again_keeps_its_record(driver: Driver, account: Account) -> None:
    old = account.keys["key1"]
    finding = await contained(driver, account)
    account.keys["key1"] = old
    driver.clock.advance(minutes=3)
    await followed(driver, finding)
    driver.clock.advance(minutes=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.STILL_ALIVE


# --- a data plane that can't be asked


@pytest.mark.parametrize(
    ("closed", "why"),
    [(DENY, "network rules"), ({"allowSharedKeyAccess": False}, "shared key access is switched off")],
)
async def test_closed_data_plane_is_proven_by_arm_alone_and_only_after_a_while(
    driver: Driver, closed: dict[str, object], why: str
) -> None:
    account = await driver.account(tags=TAGS, properties=closed)
    finding = await contained(driver, account)
    assert (await followed(driver, finding)).state is State.CONTAINED
    driver.clock.advance(minutes=2, seconds=1)
    record = await followed(driver, finding)
    assert record.verification is not None
    assert record.verification.outcome is Outcome.ARM_ONLY
    assert any(why in line for line in record.verification.evidence)
    assert "by ARM only" in driver.mails(account.name)[-1].body


async def test_firewall_refusal_does_not_verify_a_revoked_key(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    account.properties |= DENY
    record = await followed(driver, finding)
    assert (record.state, record.verification and record.verification.outcome) == (State.CONTAINED, Outcome.PENDING)


async def test_mail_about_a_revocation_waits_briefly_for_its_verification(driver: Driver) -> None:
    account = await driver.account(tags=TAGS, properties=DENY)
    finding = await contained(driver, account)
    await followed(driver, finding)
    assert driver.mails(account.name) == []
    [(delay, attempt)] = left(driver, finding)
    assert (delay <= 30, attempt) == (True, 0)
    driver.clock.advance(minutes=2)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1


async def test_failing_verification_delays_neither_incident_nor_mail_for_long(
    driver: Driver, account: Account
) -> None:
    finding = await contained(driver, account)
    driver.fault("/listKeys", times=None)
    await followed(driver, finding)
    assert len(driver.incidents(finding.fingerprint)) == 1
    driver.clock.advance(minutes=2, seconds=1)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1


# --- people and incidents, once


async def test_two_instances_at_once_file_mail_and_publish_once(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    apps = [driver.app() for _ in range(3)]
    await asyncio.gather(*(each.follow_up.run(Message(finding.fingerprint)) for each in apps))
    driver.clock.advance(minutes=3)
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1
    assert len(driver.mails(account.name)) == 1
    assert sorted(driver.announced(finding.fingerprint)) == ["Closed", "Contained", "Proven"]


async def test_instance_with_a_record_from_before_the_mail_sends_no_second_one(
    driver: Driver, account: Account
) -> None:
    """The race without luck: this one read the record before the mail, and then paused."""
    finding = await contained(driver, account, small_sas(account.name, account.keys["key1"]))
    slow = driver.app()
    stale = await driver.record(finding.fingerprint)
    await followed(driver, finding)
    assert len(driver.mails(account.name)) == 1
    await slow.follow_up._finish(slow._follow_up_steps.after_verification[0], stale)
    assert len(driver.mails(account.name)) == 1


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_incident_is_filed_once_though_its_answer_is_lost(
    driver: Driver, account: Account, effect: Effect
) -> None:
    finding = await contained(driver, account)
    driver.fault("POST https://graph.microsoft.com/v1.0/sites", effect, after=True)
    await followed(driver, finding)
    assert (await followed(driver, finding)).state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1


async def test_graph_outage_delays_notifications_but_not_the_verification(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault("graph.microsoft.com", times=None)
    assert (await followed(driver, finding)).state is State.PROVEN
    assert left(driver, finding) == [(1.0, 1)]
    driver.cloud.faults.clear()
    assert (await followed(driver, finding)).state is State.CLOSED
    assert (len(driver.mails(account.name)), len(driver.incidents(finding.fingerprint))) == (1, 1)


async def test_failing_mailbox_does_not_keep_the_incident_waiting(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, status=403, times=None)
    assert (await followed(driver, finding)).state is State.PROVEN
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == ["proven"]


async def test_failing_step_backs_off_by_its_own_failures_alone(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    account.properties |= DENY
    for _ in range(4):
        await followed(driver, finding)
    assert [attempt for _, attempt in left(driver, finding)] == [0, 0, 0, 0]


async def test_step_that_fails_for_a_day_is_given_up_and_noted(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, status=403, times=None)
    await followed(driver, finding)
    driver.clock.advance(hours=25)
    sent = len(left(driver, finding))
    await followed(driver, finding)
    assert len(left(driver, finding)) == sent
    said = (await driver.history(finding.fingerprint))[-1].what
    assert said.startswith("Not done within 24 hours; retried every 6 hours from now: mail.")


async def test_message_of_the_sweep_that_fails_is_not_put_back(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(SEND_MAIL, times=None)
    before = len(left(driver, finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint, swept=True))
    assert len(left(driver, finding)) == before


async def test_message_of_the_sweep_does_what_was_given_up_after_a_day(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    fault = driver.fault(SEND_MAIL, times=None)
    await followed(driver, finding)
    driver.clock.advance(hours=25)
    await followed(driver, finding)
    fault.times = 0
    await driver.app().background.follow_up.run(Message(finding.fingerprint, swept=True))
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED
    assert len(driver.mails(account.name)) == 1


async def test_ledger_that_is_down_puts_the_message_back(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault("/revocations(", times=None)
    await driver.app().background.follow_up.run(Message(finding.fingerprint, attempt=2))
    assert left(driver, finding) == [(4.0, 3)]


async def test_announcement_is_repeated_until_it_is_taken(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account)
    driver.fault(TOPIC, times=None)
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == []
    driver.cloud.faults.clear()
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == ["Contained", "Proven", "Closed"]


async def test_crash_at_any_call_leaves_one_incident_and_misses_no_mail(driver: Driver) -> None:
    """A crash between sending a mail and recording it causes a second mail, as followup/service.py says.

    Every third call, in turn before and after it is carried out: each is a whole follow-up.
    """
    number = -2
    life = Lifetime(ended=True)
    while life.ended:
        number += 3
        account = await driver.account(tags=TAGS)
        finding = await contained(driver, account, mode="observe")
        life = Lifetime(ends_at=number, carried_out=number % 2 == 0)
        await crashes_or_not(driver, finding, life)
        assert len(driver.incidents(finding.fingerprint)) == 1, f"crashed at call {number}"
        assert 1 <= len(driver.mails(account.name)) <= 2, f"crashed at call {number}"
        assert set(driver.announced(finding.fingerprint)) == {"Observed"}, f"crashed at call {number}"
    assert number > 15


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
async def test_crash_after_a_change_of_the_record_does_not_prevent_its_closing(driver: Driver, number: int) -> None:
    account = await driver.account(tags=TAGS)
    finding = await contained(driver, account)
    life = Lifetime(ends_at=number, carried_out=True, counting="$batch")
    await crashes_or_not(driver, finding, life)
    assert life.ended
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED
    assert len(driver.incidents(finding.fingerprint)) == 1


async def crashes_or_not(driver: Driver, finding: Finding, life: Lifetime) -> None:
    """Follow up with an instance of this life, and deliver its message again to others."""
    with contextlib.suppress(Crashed):
        await driver.app(life).background.follow_up.run(Message(finding.fingerprint))
    for _ in range(2):
        driver.clock.advance(minutes=3)
        await followed(driver, finding)


# --- who is notified


async def test_address_in_a_foreign_domain_is_not_notified(driver: Driver) -> None:
    account = await driver.account(tags={"sasquash-owner": "attacker@evil.example", "owner": OWNER})
    record = await followed(driver, await contained(driver, account))
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)]
    assert record.owners_rejected


async def test_account_without_owners_notifies_the_security_mailbox(driver: Driver) -> None:
    account = await driver.account()
    await followed(driver, await contained(driver, account))
    assert [(mail.to, mail.cc) for mail in driver.mails(account.name)] == [((SECURITY_MAILBOX,), ())]


@pytest.mark.parametrize(
    "leak",
    [
        unusual_leaks.forged,
        unusual_leaks.altered,
        unusual_leaks.user_delegation_sas,
        unusual_leaks.of_unknown_version,
    ],
)
async def test_owners_are_not_notified_without_a_verified_signature(
    driver: Driver, account: Account, leak: Leak
) -> None:
    finding = await contained(driver, account, leak(account.name, account.keys["key1"]))
    await followed(driver, finding)
    assert driver.mails(account.name) == []
    await driver.app().background.summary_mail.send()
    assert [(mail.to, mail.cc) for mail in driver.mails(account.name)] == [((SECURITY_MAILBOX,), ())]


async def test_owners_are_forgotten_when_a_reopened_leak_is_not_confirmed_again(
    driver: Driver, account: Account
) -> None:
    finding = await contained(driver, account, mode="observe")
    await followed(driver, finding)
    await driver.cloud.model.regenerate(account, "key1")  # its owner did it
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(finding))
    await followed(driver, finding)
    assert [mail.to for mail in driver.mails(account.name)] == [(OWNER,)]
    assert (await driver.record(finding.fingerprint)).owners is None


@pytest.mark.parametrize(
    ("settings", "state", "announced"),
    [
        ({"mode": "observe"}, State.OBSERVED, "Observed"),
        ({"mode": "approve"}, State.AWAITING_APPROVAL, "AwaitingApproval"),
    ],
)
async def test_leak_that_awaits_approval_is_filed_mailed_and_left_open(
    driver: Driver, account: Account, settings: dict[str, str], state: State, announced: str
) -> None:
    finding = await contained(driver, account, **settings)
    record = await followed(driver, finding)
    assert (record.state, len(driver.mails(account.name))) == (state, 1)
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == [state]
    assert driver.announced(finding.fingerprint) == [announced]


async def test_dismissed_leak_is_announced_and_bothers_nobody(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, unusual_leaks.expired(account.name, account.keys["key1"]))
    await followed(driver, finding)
    assert driver.announced(finding.fingerprint) == ["Dismissed"]
    assert (driver.mails(account.name), driver.incidents(finding.fingerprint)) == ([], [])


async def test_unresolved_leak_never_closes_itself(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, unusual_leaks.forged(account.name, ""))
    await followed(driver, finding)
    driver.clock.advance(hours=24 * 30)
    assert (await followed(driver, finding)).state is State.UNRESOLVED


async def test_reopened_leak_that_is_revoked_updates_its_incident(driver: Driver, account: Account) -> None:
    finding = await contained(driver, account, mode="observe")
    await followed(driver, finding)
    driver.clock.advance(minutes=5)
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await followed(driver, finding)
    assert record.state is State.CLOSED
    assert [i.fields["Status"] for i in driver.incidents(finding.fingerprint)] == ["closed"]
    assert [sent.state for sent in record.notifications] == [State.OBSERVED, State.PROVEN]


# --- nothing that is written down could be used


@pytest.mark.parametrize("leak", [account_sas, raw_key], ids=lambda leak: leak.__name__)
async def test_nothing_that_is_written_holds_what_leaked(
    driver: Driver, account: Account, leak: Leak, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    keys = dict(account.keys)
    text = leak(account.name, keys["key1"])
    driver.fault("/regenerateKey", Effect.RESET, after=True)
    driver.fault("graph.microsoft.com", times=2)
    finding = found(text)
    await driver.app().fast_path.ingest.receive(raw_report(text))
    for _ in range(2):
        await followed(driver, finding)
    signature = parse_qs(text.partition("?")[2]).get("sig", [keys["key1"]])[0]
    secrets = [signature, *keys.values(), *account.keys.values()]
    written = "\n".join(
        (
            *[line async for line in tables(driver)],
            *(str(sent) for sent in driver.sent),
            *(str(mail) for mail in driver.cloud.model.mails),
            *(str(incident) for incident in driver.cloud.model.incidents),
            *(str(event) for event in driver.cloud.model.events),
            *(str(request) for request in driver.requests()),
            *(caplog.messages),
            *(str(record.__dict__) for record in caplog.records),
        )
    )
    assert finding.fingerprint in written
    assert [form for secret in secrets for form in forms(secret) if form in written] == []


async def tables(driver: Driver) -> AsyncIterator[str]:
    driven = driver.app()
    for table in (driven.store.revocations._table, driven.store.accounts._table):
        async for row in table.list_entities():
            yield str(dict(row))


def forms(secret: str) -> tuple[str, ...]:
    """The ways in which a secret in base64 may be written."""
    once = quote(secret, safe="")
    data = base64.b64decode(secret)
    url_safe = base64.urlsafe_b64encode(data).decode()
    return (
        secret,
        secret.rstrip("="),
        once,
        once.lower(),
        quote(once, safe=""),
        url_safe,
        data.hex(),
        data.hex().upper(),
    )


async def test_notification_clients_are_not_imported_on_the_event_loop(
    driver: Driver, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds, and the loop has other leaks to revoke."""
    finding = await contained(driver, account)
    importing: list[threading.Thread] = []
    monkeypatch.setattr(app, "_import_for_people", lambda: importing.append(threading.current_thread()))
    await followed(driver, finding)
    assert importing
    assert threading.main_thread() not in importing
