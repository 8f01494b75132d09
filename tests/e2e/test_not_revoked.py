"""What must not rotate anything, and yet ends in a record of its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.messaging import CloudEvent

from local.tenant.model import Account, new_storage_key
from shared.domain import finding
from shared.domain.finding import Report
from shared.domain.revocation import Reason, State
from tests.support.deployment import Road
from tests.support.leaks import account_sas, blob_sas


def altered(account: Account) -> str:
    return account_sas(account.name, account.keys["key1"]).replace("sp=rwl", "sp=rwdl")


def forged(account: Account) -> str:
    return account_sas(account.name, new_storage_key())


def signed_for_another_blob(account: Account) -> str:
    return blob_sas(account.name, account.keys["key1"]).replace("model.ckpt", "other.ckpt")


def expired(account: Account) -> str:
    return account_sas(account.name, account.keys["key1"], expiry=datetime.now(UTC) - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("leak", "state", "reason"),
    [
        (altered, State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        (forged, State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        (signed_for_another_blob, State.UNRESOLVED, Reason.NO_KEY_MATCHES),
        (expired, State.DISMISSED, Reason.EXPIRED),
    ],
)
async def test_ends_without_a_rotation(
    road: Road, leak: Callable[[Account], str], state: State, reason: Reason
) -> None:
    account = await road.account()

    [fingerprint] = await road.report(leak(account))
    record = await road.settled(fingerprint)

    assert (record.state, record.reason) == (state, reason)
    assert road.rotations(account) == []
    assert not road.requests(f"/{account.name}/regenerateKey")


async def test_an_unresolved_leak_is_filed_and_left_to_the_digest(road: Road) -> None:
    account = await road.account()

    [fingerprint] = await road.report(forged(account))
    await road.settled(fingerprint, until=lambda record: bool(record.notifications))

    assert road.mails(account) == []
    assert road.incident(fingerprint)["Status"] == "unresolved"


async def test_a_foreign_account_is_looked_for_and_nothing_of_it_is_touched(road: Road) -> None:
    [fingerprint] = await road.report(account_sas("nobodysaccount", new_storage_key()))

    record = await road.settled(fingerprint, until=lambda r: r.looked_for_account == 1)

    assert record.state is State.RECEIVED  # a second look follows
    assert not road.requests("//nobodysaccount.")
    assert not road.requests("storageAccounts/nobodysaccount")


async def test_an_event_that_is_not_a_finding_becomes_an_incident(road: Road) -> None:
    event = CloudEvent(source="/tests", type=finding.REPORTED, id="no-finding", data={"credential": {"kind": "?"}})
    stand_in = finding.unreadable(Report("no-finding", "", "/tests", None), now=datetime.now(UTC))

    await road.publish(event)
    record = await road.settled(stand_in.fingerprint, until=lambda r: r.filed is not None)

    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.MALFORMED)
