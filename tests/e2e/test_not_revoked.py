"""Findings that must not rotate a key, and still have a record."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.messaging import CloudEvent

from local.tenant.model import Account, new_storage_key
from shared.domain import report as findings
from shared.domain.report import Report
from shared.domain.states import Reason, State
from tests.support.deployment import Deployment
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
    deployment: Deployment, leak: Callable[[Account], str], state: State, reason: Reason
) -> None:
    account = await deployment.account()

    [fingerprint] = await deployment.report(leak(account))
    record = await deployment.settled(fingerprint)

    assert (record.state, record.reason) == (state, reason)
    assert deployment.rotations(account) == []
    assert not deployment.requests(f"/{account.name}/regenerateKey")


async def test_unresolved_leak_shares_an_incident_and_is_in_the_summary_mail(deployment: Deployment) -> None:
    account = await deployment.account()

    [fingerprint] = await deployment.report(forged(account))
    record = await deployment.settled(fingerprint, until=lambda record: bool(record.notifications))

    assert deployment.mails(account) == []
    assert deployment.shared_incident(record)["Status"] == "unresolved"


async def test_foreign_account_is_searched_and_not_touched(deployment: Deployment) -> None:
    [fingerprint] = await deployment.report(account_sas("nobodysaccount", new_storage_key()))

    record = await deployment.settled(fingerprint, until=lambda r: r.account_lookups == 1)

    assert record.state is State.RECEIVED  # a second search follows
    assert not deployment.requests("//nobodysaccount.")
    assert not deployment.requests("storageAccounts/nobodysaccount")


async def test_malformed_event_becomes_an_incident(deployment: Deployment) -> None:
    event = CloudEvent(source="/tests", type=findings.REPORTED, id="no-finding", data={"credential": {"kind": "?"}})
    stand_in = findings.unreadable(Report("no-finding", "", "/tests", None), now=datetime.now(UTC))

    await deployment.publish(event)
    record = await deployment.settled(stand_in.fingerprint, until=lambda r: r.filed is not None)

    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.MALFORMED)
