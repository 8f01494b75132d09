"""A leak whose report names several accounts: the keys say whose it is.

TruffleHog pairs each secret of a file with each address in it.
"""

import asyncio
from dataclasses import replace

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from shared.api.revocations.requests import ReportRequest
from shared.domain.finding import Finding, Reported
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.queues import Message
from shared.sas import Credential, Kind, key_sha256
from shared.sources.entries import Text
from shared.sources.parsing import items_of, joined
from tests.support.containment import LIST_KEYS
from tests.support.decisions import ADA
from tests.support.driver import Crashed, Driver, Lifetime, ended, found, report
from tests.support.leaks import account_sas, blob_sas, connection_string


def at(credential: Credential | None, *accounts: str) -> list[Credential]:
    assert credential is not None
    return [replace(credential, host=f"{account}.blob.core.windows.net") for account in accounts]


def paired(signed: Finding, *accounts: str) -> Finding:
    """Return the finding of a leak whose report names these accounts, the likeliest first."""
    first, *others = at(signed.credential, *accounts)
    return replace(signed, fingerprint=first.fingerprint, credential=first).with_readings(others)


async def received(driver: Driver, finding: Finding) -> Revocation:
    await driver.app().fast_path.ingest.receive(report(finding))
    return await driver.record(finding.fingerprint)


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


@pytest.mark.parametrize("leak", [account_sas, blob_sas, connection_string])
async def test_leak_is_revoked_on_the_account_whose_key_signed_it(driver: Driver, leak: object) -> None:
    wrong, right, other = await driver.account(), await driver.account(), await driver.account()
    assert callable(leak)
    signed = found(leak(right.name, right.keys["key2"]))
    record = await received(driver, paired(signed, wrong.name, other.name, right.name))
    assert (record.state, record.account_name, rotated(right)) == (State.CONTAINED, right.name, ["key2"])
    assert (rotated(wrong), rotated(other)) == ([], [])
    assert record.finding.credential == signed.credential
    assert not [row for name in (wrong.name, right.name) for row in await driver.rows(name) if "waiting" in row]


async def test_leak_of_an_account_that_is_not_monitored_is_revoked_on_the_one_that_is(driver: Driver) -> None:
    right = await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    record = await received(driver, paired(signed, "nobodys0", right.name))
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])


async def test_key_that_leaked_without_an_account_is_revoked_where_a_candidate_has_it(driver: Driver) -> None:
    right = await driver.account()
    signed = found(connection_string(right.name, right.keys["key1"]))
    assert signed.credential is not None
    bare = replace(signed.credential, host=None)
    finding = replace(signed, fingerprint=bare.fingerprint, credential=bare)
    record = await received(driver, finding.with_readings(at(signed.credential, right.name)))
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])


async def test_verdict_waits_until_each_account_was_tried(driver: Driver) -> None:
    first, second = await driver.account(), await driver.account()
    elsewhere = await driver.account()
    signed = found(account_sas(elsewhere.name, elsewhere.keys["key1"]))
    driver.fault(f"{second.name}{LIST_KEYS}", Effect.STATUS, status=503, times=None)
    record = await received(driver, paired(signed, first.name, second.name))
    assert record.state is State.RECEIVED
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(record.fingerprint))
    record = await driver.record(record.fingerprint)
    assert (record.reason, record.account_name) == (Reason.NO_KEY_MATCHES, first.name)


async def test_account_that_can_not_be_read_does_not_hold_up_the_right_one(driver: Driver) -> None:
    first, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    driver.fault(f"{first.name}{LIST_KEYS}", Effect.STATUS, status=403, times=None)
    record = await received(driver, paired(signed, first.name, right.name))
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])


async def test_nearest_monitored_account_has_the_leak_that_no_key_signed(driver: Driver) -> None:
    first, second, elsewhere = await driver.account(), await driver.account(), await driver.account()
    signed = found(account_sas(elsewhere.name, elsewhere.keys["key1"]))
    record = await received(driver, paired(signed, "nobodys1", first.name, second.name))
    assert (record.reason, record.account_name) == (Reason.NO_KEY_MATCHES, first.name)
    history = " ".join(entry.what for entry in await driver.history(record.fingerprint))
    assert f"{first.name}, {second.name}" in history


async def test_right_account_that_a_later_report_names_is_tried(driver: Driver) -> None:
    wrong, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    first = await received(driver, paired(signed, wrong.name))
    assert first.reason is Reason.NO_KEY_MATCHES
    driver.cool_down()
    record = await received(driver, paired(replace(signed, source="another"), wrong.name, right.name))
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])


async def test_other_leak_of_a_wrong_account_says_nothing_of_it(driver: Driver) -> None:
    """It waits at that account, too, where no key of it matches."""
    wrong, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    finding = paired(signed, wrong.name, right.name)
    driver.fault(LIST_KEYS, Effect.STATUS, status=503, times=None)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(report(found(account_sas(wrong.name, wrong.keys["key1"]))))
    assert (await driver.record(finding.fingerprint)).state is State.RECEIVED
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(finding.fingerprint))
    assert ((await driver.record(finding.fingerprint)).state, rotated(right)) == (State.CONTAINED, ["key1"])


async def test_dry_run_says_which_account_it_is(driver: Driver) -> None:
    wrong, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    preview = await driver.app().fast_path.containment.preview(Reported(paired(signed, wrong.name, right.name)))
    assert (preview.account_name, preview.key_name, rotated(right)) == (right.name, "key1", [])


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_leaves_it_revoked_once(driver: Driver, carried_out: bool) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        wrong, right = await driver.account(), await driver.account()
        finding = paired(found(account_sas(right.name, right.keys["key1"])), wrong.name, right.name)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await driver.app(life).fast_path.ingest.receive(report(finding))
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(report(finding))  # it was not acknowledged
        interrupted = life.ended
        record = await ended(driver, finding.fingerprint)
        assert (record.state, rotated(right), rotated(wrong)) == (State.CONTAINED, ["key1"], []), f"call {number}"
    assert number > 12


async def test_connection_strings_that_are_paired_with_each_account_are_rotated_once_each(driver: Driver) -> None:
    accounts = [await driver.account() for _ in range(8)]
    pairs = [connection_string(account.name, other.keys["key1"]) for other in accounts for account in accounts]
    items = items_of([Text(pair) for pair in pairs], source="trufflehog", now=driver.clock())
    _, findings = joined(items)
    for finding in findings:
        await driver.app().fast_path.ingest.receive(report(finding))
    records = [await ended(driver, finding.fingerprint) for finding in findings]
    assert [record.account_name for record in records] == [account.name for account in accounts]
    assert [rotated(account) for account in accounts] == [["key1"]] * 8


async def test_keys_of_an_account_that_many_leaks_name_are_listed_once_for_all_of_them(driver: Driver) -> None:
    common = [await driver.account() for _ in range(3)]
    names = [account.name for account in common]
    own = [(await driver.account(), await driver.account()) for _ in range(6)]
    leaks = [paired(found(account_sas(right.name, right.keys["key1"])), wrong.name, *names) for wrong, right in own]
    for name in names:
        driver.fault(f"{name}{LIST_KEYS}", Effect.NONE, delay_ms=300, times=None)
    ingest = driver.app().fast_path.ingest
    await asyncio.gather(*(ingest.receive(report(leak)) for leak in leaks))
    assert [len(driver.requests(f"{name}{LIST_KEYS}")) for name in names] == [1, 1, 1]


async def test_account_that_had_the_key_when_it_was_listed_last_is_tried_alone(driver: Driver) -> None:
    wrong, other, right = [await driver.account() for _ in range(3)]
    signed = found(connection_string(right.name, right.keys["key2"]))
    await driver.app().fast_path.key_index.note(
        right.name, {"key2": key_sha256(right.keys["key2"])}, at=driver.clock()
    )
    record = await received(driver, paired(signed, wrong.name, other.name, right.name))
    assert (record.state, record.account_name, rotated(right)) == (State.CONTAINED, right.name, ["key2"])
    assert [driver.requests(f"{account.name}{LIST_KEYS}") for account in (wrong, other)] == [[], []]


async def test_account_that_no_longer_has_the_key_does_not_keep_the_others_from_being_tried(driver: Driver) -> None:
    before, right = await driver.account(), await driver.account()
    signed = found(connection_string(right.name, right.keys["key1"]))
    await driver.app().fast_path.key_index.note(
        before.name, {"key1": key_sha256(right.keys["key1"])}, at=driver.clock()
    )
    record = await received(driver, paired(signed, before.name, right.name))
    assert (record.state, record.account_name, rotated(right)) == (State.CONTAINED, right.name, ["key1"])
    assert rotated(before) == []


async def test_secret_that_is_reported_for_another_address_has_one_record(driver: Driver) -> None:
    wrong, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    first = await received(driver, paired(signed, wrong.name))
    assert first.reason is Reason.NO_KEY_MATCHES
    driver.cool_down()
    second = await received(driver, replace(signed, source="another"))
    first = await driver.record(first.fingerprint)
    assert (second.reason, second.duplicate_of) == (Reason.DUPLICATE, first.fingerprint)
    assert (first.state, first.account_name, rotated(right)) == (State.CONTAINED, right.name, ["key1"])
    assert [sighting.source for sighting in first.sightings] == ["another"]


async def test_report_of_a_revoked_secret_for_another_address_does_nothing(driver: Driver) -> None:
    wrong, right = await driver.account(), await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    first = await received(driver, signed)
    driver.cool_down()
    second = await received(driver, paired(replace(signed, source="another"), wrong.name))
    assert (first.state, second.duplicate_of, rotated(right)) == (State.CONTAINED, first.fingerprint, ["key1"])
    assert (await driver.record(first.fingerprint)).state is State.CONTAINED


async def test_secret_whose_first_record_is_gone_has_the_record_of_its_next_report(driver: Driver) -> None:
    right = await driver.account()
    signed = found(account_sas(right.name, right.keys["key1"]))
    app = driver.app().fast_path
    await app.secret_index.record_of(paired(signed, "nobodys2"))  # an instance crashed before it had its record
    record = await received(driver, signed)
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])
    assert await app.secret_index.record_of(paired(signed, "nobodys3")) == signed.fingerprint


async def test_token_of_another_kind_with_the_same_signature_has_its_own_record(driver: Driver) -> None:
    """A stranger could report it first, and what is right would be no reading of it."""
    right = await driver.account()
    signed = found(blob_sas(right.name, right.keys["key1"]))
    assert signed.credential is not None
    kept = tuple(sorted([*signed.credential.parameters, ("si", "policy")]))
    forged = replace(signed.credential, kind=Kind.POLICY_SAS, parameters=kept)
    await received(driver, replace(signed, fingerprint=forged.fingerprint, credential=forged))
    driver.cool_down()
    record = await received(driver, signed)
    assert (record.state, rotated(right)) == (State.CONTAINED, ["key1"])


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_of_a_report_for_another_address_leaves_it_revoked_once(
    driver: Driver, carried_out: bool
) -> None:
    number, interrupted = 0, True
    while interrupted:
        number += 1
        wrong, right = await driver.account(), await driver.account()
        signed = found(account_sas(right.name, right.keys["key1"]))
        first = await received(driver, paired(signed, wrong.name))
        driver.cool_down()
        life = Lifetime(ends_at=number, carried_out=carried_out)
        again = replace(signed, source="another")
        try:
            await driver.app(life).fast_path.ingest.receive(report(again))
        except Crashed:
            driver.clock.advance(minutes=1)
            await driver.app().fast_path.ingest.receive(report(again))  # it was not acknowledged
        interrupted = life.ended
        await ended(driver, signed.fingerprint)
        record = await ended(driver, first.fingerprint)
        assert (record.state, rotated(right), rotated(wrong)) == (State.CONTAINED, ["key1"], []), f"call {number}"
    assert number > 12


async def test_responder_who_reports_another_address_gets_the_record_that_decides(driver: Driver) -> None:
    wrong, right = await driver.account(), await driver.account()
    text = account_sas(right.name, right.keys["key1"])
    first = await received(driver, paired(found(text), wrong.name))
    driver.cool_down()
    [answer] = await driver.app().http.revocations.report(ReportRequest(text, "Seen in a chat."), caller=ADA)
    assert (answer.fingerprint, answer.state) == (first.fingerprint, State.CONTAINED)
