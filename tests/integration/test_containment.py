"""The fast path, driven in process: every verdict, every mode, every fault that a call can have."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.network.faults import Effect
from local.tenant.model import STATE_ACCOUNT, SUBSCRIPTION_ID, Account, new_storage_key
from shared.actions import account_key
from shared.app import App
from shared.cloud.arm_throttle import Kind as ArmCall
from shared.containment import ingest
from shared.domain import finding as findings
from shared.domain.finding import REPORTED, Finding, Report
from shared.domain.revocation import Reason, Revocation, State
from shared.errors import SasquashError, TransientFailure
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks
from tests.support.driver import Crashed, Driver, Life, found, raw_report, report
from tests.support.leaks import LEAKS, Leak, account_sas, blob_sas, later, raw_key, small_sas

VERIFICATION = "sasquashproof"
REGENERATE = "/regenerateKey"
LIST_KEYS = "/listKeys"
RESOURCE_GRAPH = "Microsoft.ResourceGraph"
BATCH = ".table.core.windows.net/$batch"
CONTAIN_QUEUE = "/contain/messages"
FOLLOW_UP_QUEUE = "/follow-up/messages"


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


def fingerprint_of(event: Report) -> str:
    [only] = findings.read(event, raw_allowed=True, now=datetime.now(UTC))
    return only.finding.fingerprint


async def ended(driver: Driver, fingerprint: str, *, tries: int = 12) -> Revocation:
    """The record, once the queue's messages have brought it to a verdict: each try is minutes after the last."""
    for _ in range(tries):
        record = await driver.record(fingerprint)
        if record.state is not State.RECEIVED:
            return record
        driver.clock.advance(minutes=4)
        await driver.app().containment.resume(Message(fingerprint))
    raise AssertionError(f"still received: {[entry.what for entry in await driver.history(fingerprint)]}")


# --- what is revoked


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
async def test_leak_rotates_the_one_key_that_signed_it(driver: Driver, leak: Leak) -> None:
    account = await driver.account()
    finding = found(leak(account.name, account.keys["key2"]))
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (rotated(account), record.state, record.key_name) == (["key2"], State.CONTAINED, "key2")


async def test_key1_is_distinguished_from_key2(driver: Driver) -> None:
    account = await driver.account()
    await driver.app().ingest.receive(report(found(blob_sas(account.name, account.keys["key1"]))))
    assert rotated(account) == ["key1"]


async def test_raw_report_is_contained(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().ingest.receive(raw_report(text))
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED


async def test_contained_record_is_enqueued_and_leaves_nothing_waiting(driver: Driver) -> None:
    account = await driver.account()
    finding = found(raw_key(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    assert driver.messages("contain", finding.fingerprint) == [(45.0, 0)]
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]
    rows = await driver.rows(account.name)
    assert ([key.split("~")[0] for key in rows], "Intent" in rows["lock"]) == (["lock", "rotation"], False)


async def test_one_round_of_reads_is_between_the_lock_and_the_action(driver: Driver) -> None:
    account = await driver.account()
    await driver.app().ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    requests = driver.requests()
    lock = next(r.sequence for r in requests if r.method == "POST" and r.url.endswith("/accounts"))
    action = next(r.sequence for r in requests if REGENERATE in r.url)
    between = [r for r in requests if lock < r.sequence < action and VERIFICATION not in r.url]
    reads = (LIST_KEYS, f"/{account.name}?", "/accounts()?", "/revocations(")
    noting = "RowKey='lock'"
    assert [sum(match in r.url for r in between) for match in reads] == [1, 1, 1, 1]
    assert [r.url for r in between if not any(match in r.url for match in (*reads, noting))] == []


# --- duplicates


async def test_second_report_rotates_nothing_and_is_noted(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().ingest.receive(report(found(text)))
    again = found(text, source="another scanner", url="https://gist.github.com/1")
    await driver.app().ingest.receive(report(again))
    record = await driver.record(again.fingerprint)
    assert (rotated(account), [s.source for s in record.sightings]) == (["key1"], ["another scanner"])


async def test_same_report_twice_is_noted_once(driver: Driver) -> None:
    account = await driver.account()
    one = report(found(account_sas(account.name, account.keys["key1"])))
    app = driver.app()
    await app.ingest.receive(one)
    await app.ingest.receive(one)
    assert (await driver.record(fingerprint_of(one))).sightings == ()


async def test_another_place_is_noted_while_the_first_report_is_at_work(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    driver.fault(LIST_KEYS, status=503, times=3)
    await driver.app().ingest.receive(report(found(text)))
    again = found(text, url="https://gist.github.com/1")
    await driver.app().ingest.receive(report(again))
    assert [s.url for s in (await ended(driver, again.fingerprint)).sightings] == ["https://gist.github.com/1"]


async def test_twenty_concurrent_reports_in_two_processes_rotate_once(driver: Driver) -> None:
    account = await driver.account()
    one = found(account_sas(account.name, account.keys["key1"]))
    apps = [driver.app(), driver.app()]
    await asyncio.gather(*(apps[n % 2].ingest.receive(report(one)) for n in range(20)))
    assert (await ended(driver, one.fingerprint)).state is State.CONTAINED
    assert (rotated(account), len(driver.requests(REGENERATE))) == (["key1"], 1)


async def test_many_leaks_of_one_key_at_once_rotate_it_once(driver: Driver) -> None:
    account = await driver.account()
    findings = [found(account_sas(account.name, account.keys["key1"], expiry=later(n + 2))) for n in range(12)]
    apps = [driver.app(), driver.app()]
    await asyncio.gather(*(apps[n % 2].ingest.receive(report(f)) for n, f in enumerate(findings)))
    records = [await ended(driver, f.fingerprint) for f in findings]
    assert rotated(account) == ["key1"]
    assert sum(record.execution is not None for record in records) == 1
    assert {r.reason for r in records} <= {None, Reason.COVERED, Reason.NO_KEY_MATCHES}


async def test_leak_that_was_attributed_before_the_rotation_is_covered(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(waits))
    driver.rest()
    await driver.app().ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    record = await driver.record(waits.fingerprint)
    assert (record.reason, record.key_name, rotated(account)) == (Reason.COVERED, "key1", ["key1"])


async def test_leak_that_comes_after_the_rotation_is_not_called_covered(driver: Driver) -> None:
    account = await driver.account()
    late = found(blob_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.rest()
    await driver.app().ingest.receive(report(late))
    record = await driver.record(late.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.UNRESOLVED, Reason.NO_KEY_MATCHES, ["key1"])


async def test_two_leaks_of_two_keys_rotate_one_key_and_ask_about_the_other(driver: Driver) -> None:
    account = await driver.account()
    text = f"{account_sas(account.name, account.keys['key1'])}\n{account_sas(account.name, account.keys['key2'])}\n"
    await driver.app().ingest.receive(raw_report(text))
    ended_in = {
        (await ended(driver, reported.finding.fingerprint)).state
        for reported in findings.in_text(text, source="s", url=None, detected_at=datetime.now(UTC))
    }
    assert (ended_in, len(account.rotations)) == ({State.CONTAINED, State.AWAITING_APPROVAL}, 1)


async def test_covered_leak_that_is_reported_again_stays_covered(driver: Driver) -> None:
    account = await driver.account()
    waits = found(blob_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(waits))
    driver.rest()
    await driver.app().ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.clock.advance(hours=1)
    await driver.app().ingest.receive(report(waits))
    assert (await driver.record(waits.fingerprint)).reason is Reason.COVERED


async def test_keys_are_listed_once_in_ten_seconds_however_many_findings_wait(driver: Driver) -> None:
    account = await driver.account()
    findings = [found(unusual_leaks.forged(account.name, str(n))) for n in range(6)]
    apps = [driver.app(), driver.app()]
    for n, finding in enumerate(findings):
        await apps[n % 2].ingest.receive(report(finding))
    assert len(driver.requests(LIST_KEYS)) == 1
    driver.rest()
    await apps[0].containment.resume(Message(findings[-1].fingerprint))
    states = {(await driver.record(finding.fingerprint)).state for finding in findings}
    assert (len(driver.requests(LIST_KEYS)), states) == (2, {State.UNRESOLVED})


# --- what is reopened


async def test_observed_leak_is_revoked_when_it_is_reported_again_in_mode_auto(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    await driver.app().ingest.receive(report(finding))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_concurrent_reopening_never_undoes_a_revocation(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    apps = [driver.app() for _ in range(4)]
    await asyncio.gather(*(w.ingest.receive(report(finding)) for w in apps for _ in range(3)))
    record = await ended(driver, finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_report_that_read_the_record_before_the_revocation_does_not_undo_it(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").ingest.receive(report(finding))
    driver.clock.advance(minutes=5)
    slow = Life(stops_at="GET https://sasquashstate.table.core.windows.net/revocations(", carried_out=True)
    late = asyncio.create_task(driver.app(slow).ingest.receive(report(finding)))
    await slow.stopped.wait()
    await driver.app().ingest.receive(report(finding))
    slow.go.set()
    await late
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_reopened_record_has_a_day_of_its_own_to_be_contained(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(mode="observe").ingest.receive(report(finding))
    driver.clock.advance(days=3)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


async def test_leak_of_an_unmonitored_account_is_resolved_again(driver: Driver) -> None:
    key = new_storage_key()
    finding = found(account_sas("laterours", key))
    await driver.app().ingest.receive(report(finding))
    assert (await ended(driver, finding.fingerprint)).reason is Reason.NOT_OURS
    account = await driver.account(name="laterours")
    account.keys["key1"] = key
    await driver.cloud.model.keys_changed()
    driver.clock.advance(hours=1)
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


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
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (state, reason, [])
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]


async def test_expired_token_costs_no_call_to_azure(driver: Driver) -> None:
    await driver.app().ingest.receive(report(found(unusual_leaks.expired("contosodata", new_storage_key()))))
    assert driver.requests("management.azure.com") == []


async def test_unmonitored_account_is_dismissed_only_after_a_recheck(driver: Driver) -> None:
    finding = found(account_sas("notourdata", new_storage_key()))
    app = driver.app()
    await app.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", finding.fingerprint)[-1] == (300.0, 0)
    driver.clock.advance(seconds=301)
    await app.containment.resume(Message(finding.fingerprint))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason) == (State.DISMISSED, Reason.NOT_OURS)


async def test_safety_net_is_not_the_recheck(driver: Driver) -> None:
    finding = found(account_sas("notourdata", new_storage_key(), expiry=later(77)))
    app = driver.app()
    await app.ingest.receive(report(finding))
    driver.clock.advance(seconds=46)
    await app.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


async def test_unsent_recheck_follows_from_the_safety_net(driver: Driver) -> None:
    finding = found(account_sas("notourdata", new_storage_key(), expiry=later(78)))
    driver.fault("visibilitytimeout=300", times=None)
    await driver.app().ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.clock.advance(seconds=46)
    await driver.app().containment.resume(Message(finding.fingerprint))
    delay, _ = driver.messages("contain", finding.fingerprint)[-1]
    assert 240 < delay <= 255


async def test_arm_is_asked_only_when_resource_graph_does_not_know_the_account(driver: Driver) -> None:
    await driver.app().ingest.receive(report(found(account_sas("notourdata", new_storage_key()))))
    first, *lists = [r.url for r in driver.requests("management.azure.com")]  # a list has pages
    assert ("ResourceGraph" in first, bool(lists)) == (True, True)
    assert [url for url in lists if "/storageAccounts?" not in url] == []


async def test_account_that_appears_before_the_recheck_is_contained(driver: Driver) -> None:
    account = await driver.account()
    del driver.cloud.model.accounts[account.name]
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.ingest.receive(report(finding))
    driver.cloud.model.accounts[account.name] = account
    await driver.cloud.model.keys_changed()
    driver.clock.advance(seconds=301)
    await app.containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


async def test_account_that_vanishes_under_the_lock_is_rechecked(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, status=404, times=None)
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    assert driver.messages("contain", finding.fingerprint)[-1] == (300.0, 0)


async def test_own_storage_is_never_touched(driver: Driver) -> None:
    own = driver.cloud.model.accounts[STATE_ACCOUNT]
    finding = found(account_sas(own.name, own.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.OWN_STORAGE
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
    await driver.app().ingest.receive(event)
    assert (await driver.record(unread(event))).reason is reason
    assert driver.messages("follow-up", unread(event)) == [(0.0, 0)]


async def test_raw_token_is_refused_where_raw_events_are_off(driver: Driver) -> None:
    account = await driver.account()
    event = raw_report(account_sas(account.name, account.keys["key1"]))
    await driver.app(raw_events="off").ingest.receive(event)
    assert ((await driver.record(unread(event))).reason, rotated(account)) == (Reason.MALFORMED, [])


async def test_follow_up_of_an_unread_report_survives_a_failing_queue(driver: Driver) -> None:
    event = Report("unread-queue", REPORTED, "/tests", "no object")
    driver.fault(FOLLOW_UP_QUEUE, times=3)
    with pytest.raises(TransientFailure):
        await driver.app().ingest.receive(event)
    await driver.app().ingest.receive(event)  # Event Grid tries again
    assert driver.messages("follow-up", unread(event)) == [(0.0, 0)]


# --- modes


@pytest.mark.parametrize(
    ("settings", "tags", "state"),
    [
        ({"mode": "observe"}, {}, State.OBSERVED),
        ({"mode": "approve"}, {}, State.AWAITING_APPROVAL),
        ({"tag_modes": "observe,approve"}, {"sasquash-mode": "observe"}, State.OBSERVED),
        ({"tag_modes": "observe"}, {"sasquash-mode": "approve"}, State.CONTAINED),
        ({"mode": "observe", "tag_modes": "observe,approve"}, {"sasquash-mode": "auto"}, State.OBSERVED),
        ({"mode": "observe", "tag_modes": "auto"}, {"Sasquash-Mode": " AUTO "}, State.CONTAINED),
    ],
)
async def test_mode_decides(driver: Driver, settings: dict[str, str], tags: dict[str, str], state: State) -> None:
    account = await driver.account(tags=tags)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app(**settings).ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is state
    assert len(account.rotations) == (state is State.CONTAINED)


async def test_mode_tag_is_read_from_arm_at_the_time_of_the_revocation(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app(tag_modes="observe")
    await app.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))  # the account is known now
    driver.rest()
    account.tags = {"sasquash-mode": "observe"}
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.OBSERVED


async def test_low_privilege_token_requires_approval(driver: Driver) -> None:
    account = await driver.account()
    finding = found(small_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    assert record.deadline is not None
    assert record.deadline - record.changes[-1].at == timedelta(hours=4)


@pytest.mark.parametrize(("hours", "state"), [(23, State.AWAITING_APPROVAL), (25, State.CONTAINED)])
async def test_second_key_within_a_day_asks(driver: Driver, hours: int, state: State) -> None:
    account = await driver.account()
    await driver.app().ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.clock.advance(hours=hours)
    finding = found(account_sas(account.name, account.keys["key2"]))
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is state


async def test_more_rotations_a_day_than_allowed_ask(driver: Driver) -> None:
    account = await driver.account()
    states = []
    for _ in range(3):
        finding = found(account_sas(account.name, account.keys["key1"]))
        await driver.app(rotations_a_day="2").ingest.receive(report(finding))
        driver.rest()
        states.append((await driver.record(finding.fingerprint)).state)
    assert states == [State.CONTAINED, State.CONTAINED, State.AWAITING_APPROVAL]


# --- blocked


async def test_read_only_lock_is_a_failure_that_names_it(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.FAILED, Reason.BLOCKED, [])
    assert "lock" in record.detail


@pytest.mark.parametrize("action", ["listkeys", "regeneratekey"])
async def test_missing_right_is_a_failure(driver: Driver, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await driver.account()
    identities = driver.cloud.model.identities
    less = identities["responder"].rights - {f"Microsoft.Storage/storageAccounts/{action}/action"}
    monkeypatch.setitem(identities, "responder", replace(identities["responder"], rights=less))
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.FAILED, Reason.BLOCKED, [])
    assert "Intent" not in (await driver.rows(account.name))["lock"]


async def test_failed_record_is_tried_again_when_it_is_reported_again(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    account.locks.clear()
    driver.clock.advance(minutes=2)
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


# --- faults of the action


async def test_throttled_action_runs_when_arm_permits(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    assert (rotated(account), "Intent" in (await driver.rows(account.name))["lock"]) == ([], False)
    assert (await ended(driver, finding.fingerprint)).state is State.CONTAINED
    assert (rotated(account), len(driver.requests(REGENERATE))) == (["key1"], 2)


async def waiting_for_arm(driver: Driver, account: Account, *, seconds: float = 3600) -> tuple[App, Finding]:
    """A leak of key1 whose action ARM refused, and the app whose ARM takes no change for so long."""
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.ingest.receive(report(finding))
    driver.rest()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=seconds)
    return app, finding


async def test_what_waits_for_arm_lists_no_keys_meanwhile(driver: Driver) -> None:
    account = await driver.account()
    app, finding = await waiting_for_arm(driver, account, seconds=120)
    before = len(driver.requests())
    for message in (Message(finding.fingerprint), Message(finding.fingerprint, attempt=9)):
        await app.containment.resume(message)
    assert [r.method for r in driver.requests()[before:]] == ["GET", "POST"] * 2  # the record, and the queue
    assert driver.messages("contain", finding.fingerprint)[-1] == (240.0, 10)
    driver.clock.advance(minutes=4)
    await app.containment.resume(Message(finding.fingerprint, attempt=10))
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_what_failed_otherwise_since_is_not_held_back_for_arm(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, status=429)
    finding = found(account_sas(account.name, account.keys["key1"]))
    app = driver.app()
    await app.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).waits_for_arm
    driver.clock.advance(minutes=1)
    driver.fault(LIST_KEYS, times=3)
    await app.containment.resume(Message(finding.fingerprint, attempt=1))
    assert not (await driver.record(finding.fingerprint)).waits_for_arm


@pytest.mark.parametrize("what", ["a policy", "a person", "nothing"])
async def test_leak_that_waits_for_arm_holds_up_no_other_of_its_account(driver: Driver, what: str) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners")
    app, waits = await waiting_for_arm(driver, account)
    leak, state = {
        "a policy": (shares.leak(account, key="key2"), State.CONTAINED),
        "a person": (small_sas(account.name, account.keys["key2"]), State.AWAITING_APPROVAL),
        "nothing": (unusual_leaks.forged(account.name, ""), State.UNRESOLVED),
    }[what]
    await app.ingest.receive(report(found(leak)))
    assert (await driver.record(found(leak).fingerprint)).state is state
    record = await driver.record(waits.fingerprint)
    assert (record.state, record.waits_for_arm, rotated(account)) == (State.RECEIVED, True, [])


async def test_leak_under_the_key_that_waits_for_arm_waits_for_it_too(driver: Driver) -> None:
    account = await driver.account()
    app, _ = await waiting_for_arm(driver, account)
    second = found(account_sas(account.name, account.keys["key1"], expiry=later(3)))
    await app.ingest.receive(report(second))
    assert (await driver.record(second.fingerprint)).waits_for_arm


async def test_leak_that_was_not_decided_on_asks_a_person_though_arm_wants_to_be_left_alone(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(LIST_KEYS, times=3)
    app = driver.app(mode="approve")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.ingest.receive(report(finding))
    driver.rest()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=3600)
    await app.containment.resume(Message(finding.fingerprint, attempt=1))
    assert (await driver.record(finding.fingerprint)).state is State.AWAITING_APPROVAL


async def test_stored_policy_is_ended_though_arm_wants_to_be_left_alone(driver: Driver) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners")
    finding = found(shares.leak(account))
    driver.fault(LIST_KEYS, times=3)
    app = driver.app()
    await app.ingest.receive(report(finding))
    driver.rest()
    app.clients.pace.throttled(SUBSCRIPTION_ID, ArmCall.WRITE, seconds=3600)
    await app.containment.resume(Message(finding.fingerprint, attempt=1))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


@pytest.mark.parametrize(
    ("effect", "after"),
    [
        (Effect.STATUS, False),
        (Effect.STATUS, True),
        (Effect.RESET, False),
        (Effect.RESET, True),
        (Effect.HANG, False),
        (Effect.HANG, True),
    ],
)
async def test_action_with_a_lost_response_runs_once(
    driver: Driver, effect: Effect, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_key, "_REGENERATE_TIMEOUT", 0.4)
    account = await driver.account()
    driver.fault(REGENERATE, effect, after=after)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    record = await ended(driver, finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert record.execution is not None
    assert record.execution.confirmed_by == ("listing" if after else "answer")


async def test_lost_answer_is_settled_at_once_when_the_keys_can_be_listed(driver: Driver) -> None:
    account = await driver.account()
    driver.fault(REGENERATE, Effect.RESET, after=True)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.CONTAINED
    assert record.execution is not None
    assert record.execution.verification_tokens


async def test_action_that_exceeds_the_inline_budget_is_recovered(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "INLINE_BUDGET", 0.6)
    account = await driver.account()
    driver.fault(REGENERATE, Effect.HANG, after=True)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    assert "lock" in await driver.rows(account.name)
    record = await ended(driver, finding.fingerprint)
    assert (record.state, record.key_name, rotated(account)) == (State.CONTAINED, "key1", ["key1"])


# --- faults of everything else: what passes is tried again, and never twice


@pytest.mark.parametrize(
    "match",
    [
        RESOURCE_GRAPH,
        LIST_KEYS,
        "storageAccounts/driven",
        "/accounts()?$filter",
        "POST https://sasquashstate.table.core.windows.net/accounts",
    ],
)
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_failing_call_only_delays_the_revocation(driver: Driver, match: str, effect: Effect) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(match.strip(), effect, times=3)
    await driver.app().ingest.receive(report(finding))
    driver.cloud.faults.clear()
    assert ((await ended(driver, finding.fingerprint)).state, rotated(account)) == (State.CONTAINED, ["key1"])


@pytest.mark.parametrize("match", [BATCH, "RowKey='waiting~", CONTAIN_QUEUE])
async def test_report_is_not_acknowledged_until_it_is_durable(driver: Driver, match: str) -> None:
    account = await driver.account()
    one = report(found(account_sas(account.name, account.keys["key1"])))
    driver.fault(match, times=3)
    with pytest.raises(SasquashError):
        await driver.app().ingest.receive(one)
    assert rotated(account) == []
    await driver.app().ingest.receive(one)  # Event Grid tries again
    assert (await ended(driver, fingerprint_of(one))).state is State.CONTAINED


async def test_failure_after_the_finding_is_durable_is_not_event_grid_s(driver: Driver) -> None:
    """Its retries would delay other findings: the safety net is in the queue already."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault("visibilitytimeout=5", times=None)  # the message that would go on earlier
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_unrecorded_execution_is_recorded_later(driver: Driver, effect: Effect, after: bool) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Life(stops_at="RowKey='rotation~")  # written right before the record
    receiving = asyncio.create_task(driver.app(life).ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.fault(BATCH, effect, times=3, after=after)
    life.go.set()
    await receiving
    driver.cloud.faults.clear()
    record = await ended(driver, finding.fingerprint)
    driver.clock.advance(minutes=4)
    await driver.app().containment.resume(Message(finding.fingerprint))
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    assert driver.messages("follow-up", finding.fingerprint)


async def test_revocation_is_reported_though_the_record_ended_meanwhile(driver: Driver) -> None:
    """Another instance was refused by Azure and ended the record, while this one's action was on its way."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Life(stops_at=REGENERATE)
    receiving = asyncio.create_task(driver.app(life).ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.fault(RESOURCE_GRAPH, status=403)
    await driver.app().containment.resume(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.FAILED
    life.go.set()
    await receiving
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_saved_record_with_a_lost_response_is_enqueued(driver: Driver) -> None:
    account = await driver.account()
    finding = found(unusual_leaks.forged(account.name, ""))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(finding))
    driver.rest()
    driver.fault(BATCH, status=503, after=True)  # the client tries again, and gets the answer that the record changed
    await driver.app().containment.resume(Message(finding.fingerprint))
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]


async def test_table_that_is_down_puts_the_message_back(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(finding))
    driver.fault("/revocations(", times=3)
    await driver.app().containment.resume(Message(finding.fingerprint, attempt=3))
    assert driver.messages("contain", finding.fingerprint)[-1] == (8.0, 4)


async def test_backs_off_and_gives_up_after_a_day(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=None)
    await driver.app().ingest.receive(report(finding))
    assert driver.messages("contain", finding.fingerprint)[-1] == (1.0, 1)
    driver.rest()
    await driver.app().containment.resume(Message(finding.fingerprint, attempt=20))
    assert driver.messages("contain", finding.fingerprint)[-1] == (900.0, 21)
    driver.clock.advance(hours=25)
    await driver.app().containment.resume(Message(finding.fingerprint, attempt=90))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason) == (State.FAILED, Reason.BLOCKED)


async def test_message_of_a_decided_record_enqueues_it_unless_the_follow_up_started(driver: Driver) -> None:
    account = await driver.account()
    finding = found(unusual_leaks.forged(account.name, ""))
    app = driver.app()
    await app.ingest.receive(report(finding))
    await app.containment.resume(Message(finding.fingerprint))
    assert len(driver.messages("follow-up", finding.fingerprint)) == 2
    await app.follow_up.run(Message(finding.fingerprint))
    await app.containment.resume(Message(finding.fingerprint))
    assert len(driver.messages("follow-up", finding.fingerprint)) == 2


async def test_record_says_what_it_waits_for(driver: Driver) -> None:
    """A responder at three in the morning must not have to read logs."""
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    driver.fault(LIST_KEYS, times=3)
    await driver.app().ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert record.state is State.RECEIVED
    assert record.detail.startswith("It is being tried again. Listing the keys of")


async def test_report_that_many_send_at_once_is_acknowledged_though_it_could_not_be_noted(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().ingest.receive(report(finding))
    monkeypatch.setattr("shared.persistence.revocations._CHANGE_ATTEMPTS", 0)
    await driver.app().ingest.receive(report(replace(finding, source="another")))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED


# --- crashed at any remote call


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_one_rotation_and_its_record(driver: Driver, carried_out: bool) -> None:
    number = 0
    while True:
        number += 1
        account = await driver.account()
        one = report(found(account_sas(account.name, account.keys["key1"])))
        life = Life(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().ingest.receive(one)  # it was not acknowledged
        if not life.ended:
            break
        record = await ended(driver, fingerprint_of(one))
        assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"]), f"crashed at call {number}"
        assert record.execution is not None
        driver.clock.advance(minutes=4)
        await driver.app().containment.resume(Message(record.fingerprint))
        assert driver.messages("follow-up", record.fingerprint), f"crashed at call {number}"
    assert number > 12
