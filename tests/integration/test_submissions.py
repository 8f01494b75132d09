"""Reported texts and dry runs: the records that they create or preview."""

import pytest

from local.tenant.model import new_storage_key
from shared.api.revocations.requests import ReportRequest
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import (
    NoSuchRecord,
    TransientFailure,
)
from tests.support import unusual_leaks
from tests.support.decisions import ADA, BATCH, BOB, LIST_KEYS, asked, bare, rotated
from tests.support.driver import Driver, found, report
from tests.support.leaks import account_sas, small_sas

# Report


async def test_reported_leak_is_contained_when_the_caller_has_the_answer(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    [record] = await driver.app().http.revocations.report(
        asked(text, url="https://wiki/x", source="chat"), caller=ADA
    )
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])
    finding = record.finding
    assert (finding.reported_by, finding.reason, finding.url, finding.source) == (
        ADA,
        "Seen in a chat.",
        "https://wiki/x",
        "chat",
    )
    first = (await driver.history(record.fingerprint))[0]
    assert (first.who, first.what) == (str(ADA), "Reported by chat. Reason: Seen in a chat.")


async def test_every_leak_in_a_text_has_a_record(driver: Driver) -> None:
    account = await driver.account()
    texts = [unusual_leaks.forged(account.name, "") for _ in range(3)]
    records = await driver.app().http.revocations.report(asked("\n".join(texts)), caller=ADA)
    assert [record.fingerprint for record in records] == [found(text).fingerprint for text in texts]


async def test_text_without_a_credential_creates_no_record(driver: Driver) -> None:
    assert await driver.app().http.revocations.report(asked("Nothing to see."), caller=ADA) == ()


async def test_repeated_report_is_in_the_history_with_its_caller(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key1"])
    await driver.app().fast_path.ingest.receive(report(found(text)))
    [record] = await driver.app().http.revocations.report(asked(text), caller=ADA)
    last = (await driver.history(record.fingerprint))[-1]
    assert (last.who, last.what) == (str(ADA), f"Reported again by {ADA}. Reason: Seen in a chat.")
    assert (rotated(account), record.finding.reported_by) == (["key1"], None)


async def test_secret_in_a_reason_is_redacted(driver: Driver) -> None:
    account = await driver.account()
    text = small_sas(account.name, account.keys["key1"])
    service = driver.app().http.revocations
    signature = text.partition("sig=")[2]
    [record] = await service.report(ReportRequest(text, f"It says {text}", source=f"x sig={signature}"), caller=ADA)
    await service.reject(record.fingerprint, reason=f"Never mind {text}", caller=BOB)
    kept = repr((await driver.record(record.fingerprint), await driver.history(record.fingerprint)))
    assert signature not in kept
    assert "REDACTED" in kept


async def test_report_that_is_not_durable_raises_a_transient_failure(driver: Driver) -> None:
    account = await driver.account()
    texts = [unusual_leaks.forged(account.name, "") for _ in range(3)]
    driver.fault(BATCH, times=None)
    with pytest.raises(TransientFailure):
        await driver.app().http.revocations.report(asked("\n".join(texts)), caller=ADA)
    driver.cloud.faults.clear()
    records = await driver.app().http.revocations.report(asked("\n".join(texts)), caller=ADA)
    assert len(records) == 3


async def test_unattributed_token_is_contained_in_the_named_account(driver: Driver) -> None:
    other, account = await driver.account(), await driver.account()
    text = bare(account.name, account.keys["key2"])
    [record] = await driver.app().http.revocations.report(
        asked(text, accounts=(other.name, account.name)), caller=ADA
    )
    assert (record.state, rotated(account), rotated(other)) == (State.CONTAINED, ["key2"], [])
    history = [entry.what for entry in await driver.history(record.fingerprint)]
    assert f"Attributed by the accounts that the report names: key2 of {account.name} signed it." in history


async def test_unattributed_key_is_contained_in_the_named_account(driver: Driver) -> None:
    account = await driver.account()
    text = f"AccountKey={account.keys['key1']}"
    [record] = await driver.app().http.revocations.report(asked(text, accounts=(account.name,)), caller=ADA)
    assert (record.state, rotated(account)) == (State.CONTAINED, ["key1"])


async def test_token_without_a_matching_account_stays_unattributed_with_a_note(driver: Driver) -> None:
    account = await driver.account()
    text = bare(account.name, new_storage_key())
    [record] = await driver.app().http.revocations.report(
        asked(text, accounts=(account.name, "nobodysaccount")), caller=ADA
    )
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.LOOSE)
    assert (
        f"signed it ({account.name}). nobodysaccount is not an account in a monitored subscription" in record.detail
    )


async def test_unattributed_token_without_named_accounts_lists_no_keys(driver: Driver) -> None:
    account = await driver.account()
    [record] = await driver.app().http.revocations.report(asked(bare(account.name, account.keys["key1"])), caller=ADA)
    assert (record.reason, driver.requests(LIST_KEYS)) == (Reason.LOOSE, [])


# Dry run


async def test_dry_run_returns_the_plan_and_writes_nothing(driver: Driver) -> None:
    account = await driver.account()
    text = account_sas(account.name, account.keys["key2"])
    service = driver.app().http.revocations
    [record] = await service.dry_run(asked(text), caller=ADA)
    assert record.plan is not None
    assert (record.plan.action, record.plan.target) == (ActionKind.ACCOUNT_KEY, "key2")
    assert [r for r in driver.requests("sasquashstate") if r.method != "GET"] == []
    assert (rotated(account), driver.sent, await driver.rows(account.name)) == ([], [], {})
    with pytest.raises(NoSuchRecord):
        await service.read(record.fingerprint)


async def test_dry_run_finds_the_account_of_an_unattributed_token(driver: Driver) -> None:
    account = await driver.account()
    text = bare(account.name, account.keys["key2"])
    service = driver.app().http.revocations
    [attributed] = await service.dry_run(asked(text, accounts=(account.name,)), caller=ADA)
    [unattributed] = await service.dry_run(asked(text, accounts=("nobodysaccount",)), caller=ADA)
    assert attributed.key_name == "key2"
    assert (unattributed.reason, "nobodysaccount is not an account" in unattributed.detail) == (Reason.LOOSE, True)
