"""Decisions over HTTP: approve, reject, retry, name the account. The record names the person."""

import pytest

from local.tenant.model import Account
from shared.domain.states import State
from tests.support.api_calls import (
    APPROVER,
    APPROVER_NAME,
    REPORTER_NAME,
    RESPONDER,
    act,
    approve,
    call,
    read,
    report,
)
from tests.support.deployment import OWNER, Deployment
from tests.support.leaks import account_sas, small_sas
from tests.support.policy_resources import REFUSED, Container

WORKS = (None, None)


def small(account: Account) -> str:
    """A token that only reads one blob for two hours: the default rules require approval."""
    return small_sas(account.name, account.keys["key2"])


@pytest.mark.parametrize("path", ["", "/approve", "/reject", "/retry", "/undo-lockdown"])
async def test_get_makes_no_decision(deployment: Deployment, path: str) -> None:
    """Mail scanners follow links, and a link must not revoke."""
    account = await deployment.account()
    reported = await report(deployment, small(account))
    await deployment.settled(
        reported["id"], until=lambda r: r.filed is not None and bool(r.notifications) and bool(r.announced)
    )
    before = await deployment.record(reported["id"])

    answer = await call(deployment, APPROVER, "GET", f"/revocations/{reported['id']}{path}")

    assert answer.status_code == (404 if path else 200)
    assert await deployment.record(reported["id"]) == before


async def test_approved_leak_is_revoked_and_verified_and_names_the_approver(
    deployment: Deployment,
) -> None:
    account = await deployment.account()

    reported = await report(deployment, small(account))
    await deployment.settled(reported["id"], until=lambda r: bool(r.notifications))
    waiting = deployment.rotations(account)
    approved = await approve(deployment, reported)
    await deployment.settled(reported["id"], until=lambda r: r.filed is not None and r.filed.state is State.CLOSED)

    record = await read(deployment, reported)
    assert (reported["state"], waiting) == ("awaiting_approval", [])
    assert (approved.status_code, deployment.rotations(account)) == (200, ["key2"])
    assert (record["state"], record["verification"]["outcome"]) == ("closed", "proven")
    assert (record["reported_by"]["name"], record["approval"]["by"]["name"]) == (REPORTER_NAME, APPROVER_NAME)
    people = {(entry["who"].partition(" ")[0], entry["what"]) for entry in record["history"]}
    assert people >= {
        (REPORTER_NAME, "Reported by responder. Reason: Found in a wiki"),
        (APPROVER_NAME, "Approved. Reason: The owner agrees"),
    }
    ask, tell = deployment.mails(account)
    assert ask.to == tell.to == (OWNER,)
    assert reported["plan"]["digest"] in ask.body
    assert f"{APPROVER_NAME} approved it" in tell.body
    assert APPROVER_NAME in deployment.incident(reported["id"])["Summary"]


async def test_rejected_plan_is_not_executed_after_a_repeated_report(
    deployment: Deployment,
) -> None:
    account = await deployment.account()
    leaked = small(account)

    reported = await report(deployment, leaked)
    rejected = (await act(deployment, reported, "reject")).json()
    again = await report(deployment, leaked)
    late = await approve(deployment, reported)

    assert (reported["state"], rejected["state"], rejected["reason"]) == (
        "awaiting_approval",
        "dismissed",
        "rejected",
    )
    assert (again["id"], again["state"], late.status_code) == (reported["id"], "dismissed", 409)
    assert deployment.rotations(account) == []


async def test_approved_plan_is_not_executed_on_a_key_that_a_person_has_rotated(deployment: Deployment) -> None:
    account = await deployment.account()

    reported = await report(deployment, small(account))
    await deployment.cloud.model.regenerate(account, "key2")  # another change, made by hand
    approved = await approve(deployment, reported)

    by = approved.json()["execution"]["confirmed_by"]
    assert (approved.status_code, approved.json()["reason"], by) == (200, None, "others")
    assert deployment.rotations(account) == ["key2"]


async def test_retry_revokes_after_a_lock_is_removed(deployment: Deployment) -> None:
    account = await deployment.account()
    account.locks.append("ReadOnly")

    failed = await report(deployment, account_sas(account.name, account.keys["key1"]))
    account.locks.clear()
    retried = await act(deployment, failed, "retry", who=RESPONDER)

    assert (failed["state"], failed["reason"]) == ("failed", "blocked")
    assert (retried.status_code, deployment.rotations(account)) == (200, ["key1"])
    await deployment.settled(failed["id"], until=lambda r: r.state is State.CLOSED)


async def test_unattributed_token_is_tried_on_named_accounts_only(
    deployment: Deployment,
) -> None:
    theirs, ours, other = [await deployment.account() for _ in range(3)]
    place = Container(deployment, ours, "models")
    await place.make()
    leaked = account_sas(ours.name, ours.keys["key2"]).partition("?")[2]

    lost = await report(deployment, f"the token is ?{leaked}", accounts=[theirs.name])
    found = await report(deployment, f"the token is ?{leaked}", accounts=[theirs.name, ours.name])

    assert (lost["state"], lost["reason"]) == ("unresolved", "loose")
    assert f"{theirs.name}" in lost["detail"]
    assert found["account"] == ours.name
    assert [deployment.rotations(account) for account in (theirs, ours, other)] == [[], ["key2"], []]
    assert not deployment.requests(f"/{other.name}/listKeys")
    assert await place.answer(place.url(policy=None, key="key1")) == WORKS
    assert await place.answer(f"https://{ours.name}.blob.core.windows.net/models?{leaked}") == REFUSED
