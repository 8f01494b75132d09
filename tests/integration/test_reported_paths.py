"""A leak that was reported with a wrong path is revoked, when and however the right one is reported."""

import asyncio
import re
from dataclasses import replace

import pytest

from local.tenant.model import Account, new_storage_key
from shared.domain.finding import Finding
from shared.domain.known_paths import MOST, MOST_TRIED
from shared.domain.revocation import Reason, Revocation, State
from shared.domain.target import ActionKind
from shared.errors import TransientFailure
from shared.persistence.queues import Message
from tests.support import shares, unusual_leaks, user_delegation
from tests.support.containment import BATCH, LIST_KEYS, REGENERATE, rotated
from tests.support.decisions import ADA, asked
from tests.support.driver import Crashed, Driver, Lifetime, ended, found, raw_report, report
from tests.support.leaks import account_sas, blob_sas

URL = re.compile(r"https://[^/]*/")
REVOKE = "/revokeUserDelegationKeys"


def at(path: str, text: str) -> str:
    """The URL of a leak, with another path."""
    address, _, query = text.partition("?")
    return f"{address.split('/models')[0]}/{path}?{query}"


def blob(account: Account) -> str:
    return blob_sas(account.name, account.keys["key1"])


def wrong(account: Account, text: str, number: int = 0) -> Finding:
    """A stranger's report of the leak, with a path that it was not signed for."""
    return found(at(f"wrongplace{number}/a.ckpt", text), source="stranger", url=f"https://example.com/{number}")


def outcome(account: Account, state: State) -> tuple[State, list[str]]:
    return state, rotated(account)


REVOKED = (State.CONTAINED, ["key1"])

# --- one report after the other


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


# --- at the same time


async def test_two_instances_at_once_with_two_paths_revoke_once(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    apps = [driver.app(), driver.app()]
    reports = [wrong(account, text, 1), found(text), wrong(account, text, 2), wrong(account, text, 3)]
    await asyncio.gather(*(apps[n % 2].fast_path.ingest.receive(report(one)) for n, one in enumerate(reports)))
    record = await ended(driver, found(text).fingerprint)
    assert outcome(account, record.state) == REVOKED
    assert len(driver.requests(REGENERATE)) == 1


async def test_verdict_of_an_instance_that_did_not_know_the_path_does_not_stand(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=3)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    driver.cool_down()
    life = Lifetime(stops_at=BATCH)  # its verdict
    deciding = asyncio.create_task(driver.app(life).fast_path.containment.resume(Message(found(text).fingerprint)))
    await life.stopped.wait()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    life.go.set()
    await deciding
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    assert (0.0, 0) in driver.messages("contain", found(text).fingerprint)
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


async def test_batch_of_another_leak_does_not_decide_by_a_part_of_the_paths(driver: Driver) -> None:
    """The row in which a leak waits may have the paths of the latest report alone."""
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=6)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    app = driver.app()
    await app.fast_path.ingest.receive(report(wrong(account, text)))
    driver.cloud.faults.clear()
    await app.fast_path.store.accounts.add_waiting(wrong(account, text))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    assert (await driver.record(found(text).fingerprint)).state is State.RECEIVED
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


# --- a flood


async def test_flood_of_wrong_paths_does_not_outgrow_the_record_nor_keep_the_right_one_out(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    for first in range(0, 200, 65):
        numbers = range(first, first + 65)
        many = [reading for n in numbers for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
        await ended(driver, found(text).fingerprint)
    record = await driver.record(found(text).fingerprint)
    assert len(record.paths.known) <= MOST_TRIED
    assert record.paths.dropped == 4 * 65 - len(record.paths.known)
    assert len({(n.state, n.reason) for n in record.notifications}) == len(record.notifications)
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert outcome(account, (await ended(driver, found(text).fingerprint)).state) == REVOKED


async def test_path_that_does_not_fit_into_the_record_is_tried_once_it_does(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=None)
    for first in range(0, 2 * MOST, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert len(record.paths.known) == MOST
    left_out = [sent.message for sent in driver.sent if sent.message.paths]
    assert left_out[-1].paths == (found(text).credential.path,)  # type: ignore[union-attr]
    driver.cloud.faults.clear()
    await ended(driver, record.fingerprint)
    driver.cool_down()
    await driver.app().fast_path.containment.resume(left_out[-1])
    assert outcome(account, (await ended(driver, record.fingerprint)).state) == REVOKED


async def test_path_that_gives_way_to_a_responder_s_before_it_was_tried_is_tried_later(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    driver.fault(LIST_KEYS, times=None)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text, 999)))
    await driver.app().fast_path.ingest.receive(report(found(text)))
    for first in (0, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
    driver.sent.clear()
    mistaken = f"{at('mistaken/a', text)}\n{at('mistaken/b', text)}"
    await driver.app().http.revocations.report(asked(mistaken), caller=ADA)
    [given_way] = [sent.message for sent in driver.sent if sent.message.paths]
    assert given_way.paths == (found(text).credential.path,)  # type: ignore[union-attr]
    driver.cloud.faults.clear()
    await ended(driver, given_way.fingerprint)
    driver.cool_down()
    await driver.app().fast_path.containment.resume(given_way)
    assert outcome(account, (await ended(driver, given_way.fingerprint)).state) == REVOKED


async def test_history_of_a_flood_is_short(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    for first in range(0, 260, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
        await ended(driver, found(text).fingerprint)
    before = len(await driver.history(found(text).fingerprint))
    await driver.app().fast_path.ingest.receive(report(wrong(account, text, 999)))
    await ended(driver, found(text).fingerprint)
    after = await driver.history(found(text).fingerprint)
    assert [entry.state for entry in after[before:]] == [State.UNRESOLVED]


async def test_text_with_the_longest_paths_is_durable_and_each_is_tried(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    urls = [at(f"{number}/".ljust(4000, "x"), text) for number in range(40)]
    [record] = await driver.app().http.revocations.report(asked("\n".join([*urls, text])), caller=ADA)
    left_out = [sent.message for sent in driver.sent if sent.message.paths]
    assert sum(len(message.paths) for message in left_out) + len(record.paths.known) == 41
    for message in left_out:
        driver.cool_down()
        await driver.app().fast_path.containment.resume(message)
    assert outcome(account, (await ended(driver, record.fingerprint)).state) == REVOKED


async def test_flood_of_readings_does_not_hold_up_the_leak_that_the_lock_is_held_for(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.containment.account_reader._MOST_READINGS", 100)
    account = await driver.account()
    accounts = driver.app().fast_path.store.accounts
    for _ in range(4):
        text = blob_sas(account.name, new_storage_key())
        many = [reading for n in range(65) for reading in wrong(account, text, n).readings]
        await accounts.add_waiting(found(text).with_readings(many))
    finding = found(blob(account))
    ref = await driver.app().fast_path.accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    record = Revocation.of(finding, now=driver.clock())
    snapshot = await driver.app().fast_path.sessions.read(ref, record)
    assert [len(one.readings) for one in snapshot.waiting] == [1, 66]
    await driver.app().fast_path.ingest.receive(report(finding))
    assert outcome(account, (await driver.record(finding.fingerprint)).state) == REVOKED


async def test_path_of_a_responder_is_kept_through_a_flood(driver: Driver) -> None:
    account = await driver.account()
    text = blob(account)
    key, account.keys["key1"] = account.keys["key1"], account.keys["key2"]
    await driver.app().http.revocations.report(asked(text), caller=ADA)
    driver.cool_down()
    for first in range(0, 200, 65):
        many = [reading for n in range(first, first + 65) for reading in wrong(account, text, n).readings]
        await driver.app().fast_path.ingest.receive(report(wrong(account, text, first).with_readings(many)))
        driver.cool_down()
    await ended(driver, found(text).fingerprint)
    account.keys["key1"] = key
    service = driver.app().http.revocations
    record = await service.retry(found(text).fingerprint, reason="The key is back.", caller=ADA)
    assert outcome(account, record.state) == REVOKED


async def test_report_whose_path_could_not_be_noted_is_not_acknowledged(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await driver.account()
    text = blob(account)
    await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
    with monkeypatch.context() as patched:
        patched.setattr("shared.persistence.revocations._CHANGE_ATTEMPTS", 0)
        with pytest.raises(TransientFailure, match="Report it again"):
            await driver.app().fast_path.ingest.receive(report(found(text)))
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(text)))
    assert outcome(account, (await driver.record(found(text).fingerprint)).state) == REVOKED


# --- crashed at any remote call


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_the_report_with_the_right_path_leaves_it_revoked_once(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        text = blob(account)
        await driver.app().fast_path.ingest.receive(report(wrong(account, text)))
        driver.cool_down()
        life, one = Lifetime(ends_at=number, carried_out=carried_out), report(found(text))
        try:
            await driver.app(life).fast_path.ingest.receive(one)
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(one)  # it was not acknowledged
        interrupted = life.ended
        record = await ended(driver, found(text).fingerprint)
        assert outcome(account, record.state) == REVOKED, f"at call {number}: {record.detail}"
        assert record.finding.credential == found(text).credential, f"at call {number}"
    assert number > 12


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_the_report_with_the_wrong_path_loses_nothing(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        account = await driver.account()
        text = blob(account)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        with_crash = asyncio.gather(
            driver.app(life).fast_path.ingest.receive(report(wrong(account, text))), return_exceptions=True
        )
        try:
            await with_crash
        except Crashed:
            driver.clock.advance(minutes=1)
        interrupted = life.ended
        await driver.app().fast_path.ingest.receive(report(found(text)))
        record = await ended(driver, found(text).fingerprint)
        assert outcome(account, record.state) == REVOKED, f"at call {number}: {record.detail}"
    assert number > 12


# --- user delegation SAS


def tried_at(driver: Driver) -> list[str]:
    return [URL.sub("", r.url).partition("?")[0] for r in driver.requests("skoid=1f21f8fc")]


async def test_token_is_tried_at_the_path_of_the_report_that_brings_it(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app().fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.liveness and record.liveness.alive) == (State.AWAITING_APPROVAL, False)
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(raw_report(text))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.finding.credential) == (State.CONTAINED, found(text).credential)
    assert tried_at(driver) == ["wrong/a", "models/m.ckpt"]


async def test_wrong_path_does_not_make_a_token_count_as_refused_that_azure_accepted(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(text))
    driver.clock.advance(minutes=5)
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.liveness and record.liveness.alive, tried_at(driver)) == (True, ["models/m.ckpt"])


async def test_token_that_was_reported_without_its_secret_is_asked_about_when_a_responder_brings_it(
    driver: Driver,
) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert "report the whole URL" in record.decided_by
    driver.cool_down()
    [record] = await driver.app().http.revocations.report(asked(text), caller=ADA)
    assert (record.state, len(driver.requests(REVOKE))) == (State.CONTAINED, 1)


async def test_refused_token_asks_people_once_however_often_it_is_reported_elsewhere(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    for number in range(4):
        await driver.app().fast_path.ingest.receive(raw_report(at(f"wrong/{number}", text)))
        driver.cool_down()
    record = await driver.record(found(text).fingerprint)
    assert [change.state for change in record.changes].count(State.AWAITING_APPROVAL) == 1


async def test_retry_without_the_token_says_that_a_report_must_bring_it(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    driver.clock.advance(minutes=5)
    service = driver.app().http.revocations
    record = await service.retry(found(text).fingerprint, reason="Again.", caller=ADA)
    assert (record.state, "report the whole URL" in record.detail) == (State.AWAITING_APPROVAL, True)
