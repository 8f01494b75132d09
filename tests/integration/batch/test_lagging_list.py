"""A list of keys that lags."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.containment.account_reader import behind_our_rotation, behind_the_account
from shared.domain.account import AccountKey
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.persistence.account_rows import Rotation
from shared.persistence.queues import Message
from tests.support import samples
from tests.support.containment import rotated
from tests.support.driver import Driver, Lifetime, found, report
from tests.support.leaks import account_sas, later
from tests.support.waiting_leaks import REGENERATE


def key_of(name: str, *, made: datetime | None) -> AccountKey:
    """A key whose value is made of `name`."""
    return AccountKey(base64.b64encode(name.encode()).decode(), made)


@pytest.mark.parametrize(
    ("value", "made", "behind"),
    [
        ("old", timedelta(days=-400), "key1"),
        ("old", timedelta(seconds=-31), "key1"),
        ("new", timedelta(seconds=-1), None),
        ("another's", timedelta(seconds=5), None),
        ("old", None, None),
    ],
    ids=["as before", "just before", "ours", "somebody else's since", "of unknown age"],
)
def test_key_as_it_was_before_our_rotation_is_behind(value: str, made: timedelta | None, behind: str | None) -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    ours = Rotation(ActionKind.ACCOUNT_KEY, "key1", at, "f" * 64, key_of("new", made=None).sha256)
    keys = {"key1": key_of(value, made=at + made if made is not None else None), "key2": key_of("x", made=at)}
    assert behind_our_rotation(keys, [ours]) == behind


def test_only_our_latest_rotation_of_a_key_counts() -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    rotations = [
        Rotation(
            ActionKind.ACCOUNT_KEY, "key1", at + timedelta(hours=n), "f" * 64, key_of(f"new{n}", made=None).sha256
        )
        for n in (1, 2)
    ]
    keys = {"key1": key_of("new2", made=at + timedelta(hours=2))}
    assert behind_our_rotation(keys, reversed(rotations)) is None


async def test_second_leak_under_a_lagging_list_does_not_rotate_again(driver: Driver) -> None:
    account = await driver.account()
    first, second = (found(account_sas(account.name, account.keys["key1"], expiry=later(n))) for n in (2, 3))
    account.listed = dict(account.keys), dict(account.key_created)
    app = driver.app()
    await app.fast_path.ingest.receive(report(first))
    driver.cool_down()
    await app.fast_path.ingest.receive(report(second))
    assert (await driver.record(second.fingerprint)).state is State.RECEIVED
    account.listed = None
    driver.cool_down()
    await app.fast_path.containment.resume(Message(second.fingerprint))
    assert (await driver.record(second.fingerprint)).reason is Reason.COVERED
    assert len(account.rotations) == 1


@pytest.mark.parametrize(
    ("listed", "made", "behind"),
    [
        (timedelta(days=-400), timedelta(0), "key1"),
        (timedelta(seconds=-2), timedelta(0), "key1"),
        (timedelta(seconds=-0.9), timedelta(0), None),
        (timedelta(0), timedelta(days=-1), None),
        (None, timedelta(0), None),
        (timedelta(0), None, None),
    ],
    ids=["older", "a little older", "the same, rounded", "younger", "of unknown age", "account of unknown age"],
)
def test_key_that_is_listed_older_than_the_account_has_it_is_behind(
    listed: timedelta | None, made: timedelta | None, behind: str | None
) -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    keys = {"key1": key_of("old", made=None if listed is None else at + listed), "key2": key_of("x", made=at)}
    account = replace(samples.account(), keys_created={} if made is None else {"key1": at + made, "key2": at})
    assert behind_the_account(keys, account, now=at + timedelta(minutes=1)) == behind


def test_list_that_is_older_than_the_account_for_good_is_believed() -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    keys = {"key1": key_of("old", made=at - timedelta(days=400)), "key2": key_of("x", made=at)}
    account = replace(samples.account(), keys_created={"key1": at, "key2": at})
    assert behind_the_account(keys, account, now=at + timedelta(minutes=15)) is None


async def test_key_that_a_person_has_just_regenerated_is_not_regenerated_again(driver: Driver) -> None:
    """Their clients have the new key by now, and nobody leaked that."""
    account = await driver.account()
    leak = found(account_sas(account.name, account.keys["key1"]))
    account.listed = dict(account.keys), dict(account.key_created)
    await driver.cloud.model.regenerate(account, "key1")
    await driver.app().fast_path.ingest.receive(report(leak))
    account.listed = None
    assert ((await driver.record(leak.fingerprint)).state, rotated(account)) == (State.RECEIVED, ["key1"])
    driver.cool_down()
    await driver.app().fast_path.containment.resume(Message(leak.fingerprint))
    record = await driver.record(leak.fingerprint)
    assert (record.reason, rotated(account)) == (Reason.NO_KEY_MATCHES, ["key1"])


async def test_action_does_not_run_when_too_little_of_the_lock_is_left(driver: Driver) -> None:
    account = await driver.account()
    finding = found(account_sas(account.name, account.keys["key1"]))
    life = Lifetime(stops_at="/listKeys", carried_out=True)
    containing = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    await life.stopped.wait()
    driver.clock.advance(seconds=40)
    life.go.set()
    await containing
    assert ((await driver.record(finding.fingerprint)).state, rotated(account)) == (State.RECEIVED, [])
    assert driver.requests(REGENERATE) == []
