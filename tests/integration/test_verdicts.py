"""Verdicts without a rotation, and reports that cannot be read."""

import asyncio
from datetime import UTC, datetime

import pytest

from local.tenant.model import STATE_ACCOUNT, TENANT_ID, new_storage_key
from shared.domain import report as findings
from shared.domain.finding import Reported
from shared.domain.report import REPORTED, Report
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import TransientFailure
from shared.persistence.queues import Message
from tests.support import other_services, unusual_leaks
from tests.support.containment import (
    FOLLOW_UP_QUEUE,
    LIST_KEYS,
    rotated,
)
from tests.support.driver import Driver, found, raw_report, report
from tests.support.leaks import Leak, account_sas, later
from tests.support.patience import PATIENCE

# --- verdicts without a rotation


@pytest.mark.parametrize(
    ("leak", "state", "reason"),
    [
        (unusual_leaks.expired, State.DISMISSED, Reason.EXPIRED),
        (unusual_leaks.altered, State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        (unusual_leaks.forged, State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        (unusual_leaks.of_unknown_version, State.UNRESOLVED, Reason.UNKNOWN_VERSION),
        (unusual_leaks.without_path, State.UNRESOLVED, Reason.PATH_LOST),
        (unusual_leaks.without_host, State.UNRESOLVED, Reason.LOOSE),
        (unusual_leaks.under_a_policy, State.UNRESOLVED, Reason.POLICY_GONE),
        (unusual_leaks.user_delegation_sas, State.AWAITING_APPROVAL, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_verdict_without_a_rotation(driver: Driver, leak: Leak, state: State, reason: Reason) -> None:
    account = await driver.account()
    finding = found(leak(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (state, reason, [])
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]


async def test_expired_token_costs_no_call_to_azure(driver: Driver) -> None:
    await driver.app().fast_path.ingest.receive(
        report(found(unusual_leaks.expired("contosodata", new_storage_key())))
    )
    assert driver.requests("management.azure.com") == []


OTHER_TENANT = "7f1b9c3d-0000-4000-8000-000000000001"


async def rechecked(driver: Driver, text: str) -> Revocation:
    """Return the record of a leak of an account that no list has, after the recheck."""
    finding, app = found(text), driver.app()
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    delay, attempt = driver.messages("contain", finding.fingerprint)[-1]
    assert (delay, attempt) == (pytest.approx(300, abs=PATIENCE), 0)  # less what has passed since the report
    driver.clock.advance(seconds=301)
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    return await driver.record(finding.fingerprint)


async def test_account_of_another_tenant_is_dismissed_after_a_recheck(driver: Driver) -> None:
    driver.cloud.model.elsewhere["notourdata"] = OTHER_TENANT
    record = await rechecked(driver, account_sas("notourdata", new_storage_key()))
    assert (record.state, record.reason) == (State.DISMISSED, Reason.NOT_OURS)


async def test_account_of_a_subscription_that_nobody_monitors_needs_a_person(driver: Driver) -> None:
    driver.cloud.model.elsewhere["forgottendata"] = TENANT_ID
    record = await rechecked(driver, account_sas("forgottendata", new_storage_key()))
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.NOT_COVERED)


async def test_account_whose_host_does_not_answer_needs_a_person(driver: Driver) -> None:
    record = await rechecked(driver, account_sas("invented", new_storage_key()))
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.NOT_COVERED)


async def test_leak_that_was_not_covered_is_revoked_once_it_is(driver: Driver) -> None:
    """Its subscription is monitored from then on, and the leak is reported again."""
    account = await driver.account()
    del driver.cloud.model.accounts[account.name]
    driver.cloud.model.elsewhere[account.name] = TENANT_ID
    text = account_sas(account.name, account.keys["key1"])
    assert (await rechecked(driver, text)).reason is Reason.NOT_COVERED
    driver.cloud.model.accounts[account.name] = account
    await driver.cloud.model.keys_changed()
    driver.clock.advance(hours=1)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert rotated(account) == ["key1"]


async def test_many_leaks_of_one_host_ask_it_once(driver: Driver) -> None:
    driver.cloud.model.elsewhere["theirdata"] = OTHER_TENANT
    containment = driver.app().fast_path.containment
    leaks = [Reported(found(account_sas("theirdata", new_storage_key()))) for _ in range(20)]
    records = await asyncio.gather(*map(containment.preview, leaks))
    assert {record.reason for record in records} == {Reason.NOT_OURS}
    assert len(driver.requests("https://theirdata.")) == 1


async def test_dry_run_says_whose_account_it_is(driver: Driver) -> None:
    driver.cloud.model.elsewhere["notourdata"] = OTHER_TENANT
    finding = found(account_sas("notourdata", new_storage_key()))
    record = await driver.app().fast_path.containment.preview(Reported(finding))
    assert record.reason is Reason.NOT_OURS


async def test_safety_net_is_not_the_recheck(driver: Driver) -> None:
    finding = found(account_sas("notourdata", new_storage_key(), expiry=later(77)))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    driver.clock.advance(seconds=46)
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


async def test_unsent_recheck_follows_from_the_safety_net(driver: Driver) -> None:
    finding = found(account_sas("notourdata", new_storage_key(), expiry=later(78)))
    driver.fault("visibilitytimeout=300", times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.clock.advance(seconds=46)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    delay, _ = driver.messages("contain", finding.fingerprint)[-1]
    assert 240 < delay <= 255


async def test_arm_is_asked_only_when_resource_graph_does_not_know_the_account(driver: Driver) -> None:
    await driver.app().fast_path.ingest.receive(report(found(account_sas("notourdata", new_storage_key()))))
    first, *lists = [r.url for r in driver.requests("management.azure.com")]  # a list has pages
    assert ("ResourceGraph" in first, bool(lists)) == (True, True)
    assert [url for url in lists if "/storageAccounts?" not in url] == []


async def test_account_that_appears_before_the_recheck_is_contained(driver: Driver) -> None:
    account = await driver.account()
    del driver.cloud.model.accounts[account.name]
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.fast_path.ingest.receive(report(finding))
    driver.cloud.model.accounts[account.name] = account
    await driver.cloud.model.keys_changed()
    driver.clock.advance(seconds=301)
    await app.fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_account_that_vanishes_under_the_lock_is_rechecked(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, status=404, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", finding.fingerprint)[-1] == (300.0, 0)


async def test_account_that_arm_does_not_find_while_resource_graph_lists_it_is_tried_again(driver: Driver) -> None:
    """ "Resource not found" passes, too ("Troubleshoot common Azure deployment errors")."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, status=404, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.clock.advance(seconds=301)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)
    assert "Azure Resource Graph lists it" in record.detail
    driver.cloud.faults.clear()
    driver.clock.advance(minutes=2)
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_own_storage_is_never_touched(driver: Driver) -> None:
    own = driver.cloud.model.accounts[STATE_ACCOUNT]
    finding = found(account_sas(own.name, own.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.OWN_STORAGE
    assert driver.requests(LIST_KEYS) == []


async def test_credential_of_another_service_has_a_record_that_says_it_is_not_handled(driver: Driver) -> None:
    """Those who reported it would believe that it was revoked."""
    await driver.app(raw_events="on").fast_path.ingest.receive(raw_report(other_services.COSMOS))
    fingerprint = other_services.COSMOS_KEY.fingerprint
    record = await driver.record(fingerprint)
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.OTHER_SERVICE)
    assert "Azure Cosmos DB" in record.detail
    assert driver.messages("follow-up", fingerprint) == [(0.0, 0)]
    assert driver.requests(LIST_KEYS) == []


# --- reports that cannot be read


def unread(event: Report) -> str:
    return findings.unreadable(event, now=datetime.now(UTC)).fingerprint


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"credential": {"kind": "nonsense"}}, Reason.MALFORMED),
        ("no object", Reason.MALFORMED),
        ({"secret": "nothing to see here"}, Reason.INVALID),
    ],
)
async def test_report_that_holds_no_finding_has_a_record_and_a_follow_up(
    driver: Driver, data: object, reason: Reason
) -> None:
    event = Report(f"unread-{reason}-{data!r:.9}", REPORTED, "/tests", data)
    await driver.app().fast_path.ingest.receive(event)
    assert (await driver.record(unread(event))).reason is reason
    assert driver.messages("follow-up", unread(event)) == [(0.0, 0)]


async def test_raw_token_is_refused_where_raw_events_are_off(driver: Driver) -> None:
    account = await driver.account()
    event = raw_report(account_sas(account.name, account.keys["key1"]))
    await driver.app(raw_events="off").fast_path.ingest.receive(event)
    assert ((await driver.record(unread(event))).reason, rotated(account)) == (Reason.MALFORMED, [])


async def test_follow_up_of_an_unread_report_survives_a_failing_queue(driver: Driver) -> None:
    event = Report("unread-queue", REPORTED, "/tests", "no object")
    driver.fault(FOLLOW_UP_QUEUE, times=3)
    with pytest.raises(TransientFailure):
        await driver.app().fast_path.ingest.receive(event)
    await driver.app().fast_path.ingest.receive(event)  # Event Grid tries again
    assert driver.messages("follow-up", unread(event)) == [(0.0, 0)]
