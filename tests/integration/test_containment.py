"""Containment in process: the leaked key is revoked, in every mode, or the record says what blocked it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.states import Reason, State
from tests.support import unusual_leaks
from tests.support.containment import (
    LIST_KEYS,
    REGENERATE,
    VERIFICATION,
    rotated,
)
from tests.support.driver import Driver, found, raw_report, report
from tests.support.leaks import LEAKS, Leak, account_sas, blob_sas, raw_key, small_sas

# --- what is revoked


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
async def test_leak_rotates_the_one_key_that_signed_it(driver: Driver, leak: Leak) -> None:
    account = await driver.account()
    finding = found(leak(account.name, account.keys["key2"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (rotated(account), record.state, record.key_name) == (["key2"], State.CONTAINED, "key2")


async def test_key1_is_distinguished_from_key2(driver: Driver) -> None:
    account = await driver.account()
    await driver.app().fast_path.ingest.receive(report(found(blob_sas(account.name, account.keys["key1"]))))
    assert rotated(account) == ["key1"]


async def test_raw_report_is_contained(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().fast_path.ingest.receive(raw_report(text))
    assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED


async def test_contained_record_is_enqueued_and_leaves_nothing_waiting(driver: Driver) -> None:
    account = await driver.account()
    finding = found(raw_key(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert driver.messages("contain", finding.fingerprint) == [(45.0, 0)]
    assert driver.messages("follow-up", finding.fingerprint) == [(0.0, 0)]
    rows = await driver.rows(account.name)
    assert ([key.split("~")[0] for key in rows], "Intent" in rows["lock"]) == (["lock", "rotation"], False)


async def test_one_round_of_reads_is_between_the_lock_and_the_action(driver: Driver) -> None:
    account = await driver.account()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    requests = driver.requests()
    lock = next(r.sequence for r in requests if r.method == "POST" and r.url.endswith("/accounts"))
    action = next(r.sequence for r in requests if REGENERATE in r.url)
    between = [r for r in requests if lock < r.sequence < action and VERIFICATION not in r.url]
    reads = (LIST_KEYS, f"/{account.name}?", "/accounts()?", "/revocations(")
    noting = "RowKey='lock'"
    assert [sum(match in r.url for r in between) for match in reads] == [1, 1, 1, 1]
    assert [r.url for r in between if not any(match in r.url for match in (*reads, noting))] == []


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
    await driver.app(**settings).fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is state
    assert len(account.rotations) == (state is State.CONTAINED)


async def test_mode_tag_is_read_from_arm_at_the_time_of_the_revocation(driver: Driver) -> None:
    account = await driver.account()
    app = driver.app(tag_modes="observe")
    await app.fast_path.ingest.receive(
        report(found(unusual_leaks.forged(account.name, "")))
    )  # the account is known now
    driver.cool_down()
    account.tags = {"sasquash-mode": "observe"}
    finding = found(account_sas(account.name, account.keys["key1"]))
    await app.fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.OBSERVED


async def test_low_privilege_token_requires_approval(driver: Driver) -> None:
    account = await driver.account()
    finding = found(small_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, rotated(account)) == (State.AWAITING_APPROVAL, [])
    assert record.deadline is not None
    assert record.deadline - record.changes[-1].at == timedelta(hours=4)


@pytest.mark.parametrize(("hours", "state"), [(23, State.AWAITING_APPROVAL), (25, State.CONTAINED)])
async def test_second_key_within_a_day_asks(driver: Driver, hours: int, state: State) -> None:
    account = await driver.account()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    driver.clock.advance(hours=hours)
    finding = found(account_sas(account.name, account.keys["key2"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is state


async def test_more_rotations_a_day_than_allowed_ask(driver: Driver) -> None:
    account = await driver.account()
    states = []
    for _ in range(3):
        finding = found(account_sas(account.name, account.keys["key1"]))
        await driver.app(rotations_a_day="2").fast_path.ingest.receive(report(finding))
        driver.cool_down()
        states.append((await driver.record(finding.fingerprint)).state)
    assert states == [State.CONTAINED, State.CONTAINED, State.AWAITING_APPROVAL]


# --- blocked


async def test_read_only_lock_is_a_failure_that_names_it(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
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
    await driver.app().fast_path.ingest.receive(report(finding))
    record = await driver.record(finding.fingerprint)
    assert (record.state, record.reason, rotated(account)) == (State.FAILED, Reason.BLOCKED, [])
    assert "Intent" not in (await driver.rows(account.name))["lock"]


async def test_failed_record_is_tried_again_when_it_is_reported_again(driver: Driver) -> None:
    account = await driver.account()
    account.locks.append("ReadOnly")
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    account.locks.clear()
    driver.clock.advance(minutes=2)
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).state is State.CONTAINED
