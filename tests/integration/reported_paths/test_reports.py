"""A leak that was reported with a wrong path is revoked, when and however the right one is reported."""

import re
from dataclasses import replace

import pytest

from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.support import shares, unusual_leaks
from tests.support.containment import LIST_KEYS
from tests.support.decisions import ADA, asked
from tests.support.driver import Driver, ended, found, raw_report, report
from tests.support.leaks import account_sas
from tests.support.reported_paths import REVOKED, at, blob, outcome, wrong


async def test_leak_that_was_reported_with_a_wrong_path_is_revoked_at_once_when_the_right_one_comes(
    driver: Driver,
) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    assert (await driver.record(found(text).fingerprint)).reason is Reason.NO_KEY_MATCHES
    driver.cool_down()  # no more: another listing of the account's keys is allowed then
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert record.finding.credential == found(text).credential


async def test_right_path_is_no_repeat_of_the_wrong_one_to_the_instance_that_has_just_seen_that(
    driver: Driver,
) -> None:
    account = await driver.account()
    text, app = blob(account), driver.app()
    first = replace(wrong(account, text), source="scanner", url="https://github.com/contoso/x")
    await app.fast_path.ingest.receive(report(first))
    await app.fast_path.ingest.receive(report(found(text)))
    assert outcome(account, (await ended(driver, first.fingerprint)).state) == REVOKED


async def test_policy_of_the_container_that_was_signed_is_revoked_and_not_that_of_the_reported_one(
    driver: Driver,
) -> None:
    account = await driver.account()
    await shares.under_policies(driver, account, "partners", "suppliers")
    text = shares.leak(account)
    elsewhere = re.sub(r"(\.net)/[^?]*\?", r"\1/wrongshare?", text)
    await driver.app().fast_path.ingest.receive(report(found(elsewhere, source="stranger")))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.plan and record.plan.action) == (State.CONTAINED, ActionKind.STORED_POLICY)
    assert (shares.policies(account)["partners"] or "").startswith("2000-01-01")


async def test_path_of_a_verified_leak_is_final(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app(mode="observe").fast_path.ingest.receive(report(found(text)))
    driver.cool_down()
    await driver.app(mode="observe").fast_path.ingest.receive(report(wrong(account, text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.finding.credential) == (State.OBSERVED, found(text).credential)
    assert [s.source for s in record.sightings] == ["stranger"]


async def test_account_sas_is_the_same_on_any_path(driver: Driver) -> None:
    account = await driver.account()
    text = unusual_leaks.forged(account.name, "")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(at("other", text.replace("/?", "/models?")))))
    assert len(driver.requests(LIST_KEYS)) == 1


async def test_account_that_only_the_right_path_names_is_found(driver: Driver) -> None:
    """The host is an address, as of a private endpoint, and the path begins with the account's name."""
    account = await driver.account()
    text = blob(account).replace(f"//{account.name}.blob.core.windows.net/", f"//10.0.0.4/{account.name}/")
    first = found(text.replace(f"/{account.name}/", "/notours/"), source="stranger")
    await driver.app().fast_path.ingest.receive(report(first))
    assert (await ended(driver, first.fingerprint)).reason is Reason.NOT_COVERED
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await ended(driver, found(text).fingerprint)
    assert outcome(account, record.state) == REVOKED


async def test_whole_url_over_the_api_after_a_lost_path_revokes(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    service = driver.app().http.revocations
    [first] = await service.report(asked(at("", text)), caller=ADA)
    assert first.reason is Reason.PATH_LOST
    driver.cool_down()
    [second] = await service.report(asked(text), caller=ADA)
    assert (second.fingerprint, outcome(account, second.state)) == (first.fingerprint, REVOKED)


async def test_retry_tries_all_paths(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    key, account.keys["key1"] = account.keys["key1"], account.keys["key2"]
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    account.keys["key1"] = key
    service = driver.app().http.revocations
    record = await service.retry(found(text).fingerprint, reason="The key is back.", caller=ADA)
    assert outcome(account, record.state) == REVOKED


# --- one report with several paths


async def test_all_readings_of_one_event_are_tried(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    finding = wrong(account, text)
    both = finding.with_readings([*finding.readings, *found(text).readings])
    await driver.app().fast_path.ingest.receive(report(both))
    record = await driver.record(finding.fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert record.finding.credential == found(text).credential


async def test_all_readings_of_a_raw_text_are_tried(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app().fast_path.ingest.receive(raw_report(f"{at('wrong/a', text)}\n{text}\n"))
    assert outcome(account, (await driver.record(found(text).fingerprint)).state) == REVOKED


async def test_token_that_stands_beside_several_links_is_tried_at_each(driver: Driver) -> None:
    account = await driver.account()
    url = blob(account)
    address, _, query = url.partition("?")
    text = f"See {address} and {address.replace('/models/', '/docs/')}; the token is {query}"
    await driver.app().fast_path.ingest.receive(raw_report(text))
    record = await driver.record(found(url).fingerprint)
    assert outcome(account, record.state) == REVOKED


async def test_dry_run_tries_all_readings(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    [preview] = await driver.app().http.revocations.dry_run(asked(f"{at('wrong/a', text)}\n{text}\n"), caller=ADA)
    assert (preview.state, preview.key_name) == (State.OBSERVED, "key1")
    assert preview.finding.credential == found(text).credential


async def test_dry_run_tries_the_paths_of_a_known_leak_too(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app(mode="observe").fast_path.ingest.receive(report(found(text)))
    [preview] = await driver.app().http.revocations.dry_run(asked(at("wrong/a", text)), caller=ADA)
    assert (preview.key_name, preview.finding.credential) == ("key1", found(text).credential)


@pytest.mark.parametrize("right_first", [True, False])
async def test_leak_is_revoked_in_the_batch_of_another_one_with_any_of_its_paths(
    driver: Driver, *, right_first: bool
) -> None:
    account = await driver.account()
    text = blob(account)
    reports = [wrong(account, text), found(text)]
    driver.fault(LIST_KEYS, times=6)
    for one in reversed(reports) if right_first else reports:
        await driver.app().fast_path.ingest.receive(report(one))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(account.name, account.keys["key1"]))))
    record = await driver.record(found(text).fingerprint)
    assert (record.reason, record.key_name) == (Reason.COVERED, "key1")
