"""Whether tokens from before the revocation are refused."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from local.tenant.model import Account
from shared.actions.delegation_key import DelegationKeyAction
from shared.domain.execution import Outcome
from shared.sas import extract_leaks
from tests.support import samples
from tests.support.delegation_keys import HOST, JOB, NAME, Clock, executed, execution
from tests.support.delegation_plane import DelegationPlane
from tests.support.samples import ACCOUNT

SECONDARY = f"{ACCOUNT}-secondary.blob.core.windows.net"


async def test_token_refused_while_a_new_key_is_accepted_is_revoked(action: DelegationKeyAction) -> None:
    verification = await action.verify(await executed(action), samples.account(), samples.revocation())

    assert verification.outcome is Outcome.PROVEN
    assert not verification.accepted
    assert verification.evidence == (
        "ARM: the revocation of all user delegation keys of robustmodels was answered with success.",
        "blob: a user delegation SAS of our own from before the revocation was accepted before (its signature was "
        "found good) and refused 3 times on fresh connections (403 AuthenticationFailed); one by a user delegation "
        "key from after it is accepted.",
    )


async def test_new_key_s_time_does_not_begin_before_the_revocation(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    done = await executed(action)
    await action.verify(done, samples.account(), samples.revocation())

    old, new = plane.issued
    assert datetime.fromisoformat(new.start) == done.at.replace(microsecond=0)
    assert (new.start, new.expiry) != (old.start, old.expiry)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(0), Outcome.PENDING),
        (timedelta(minutes=10), Outcome.PENDING),
        (timedelta(minutes=28), Outcome.STILL_ALIVE),
    ],
)
async def test_cached_key_is_waited_for_and_then_said_to_be_alive(
    action: DelegationKeyAction, account: Account, clock: Clock, after: timedelta, outcome: Outcome
) -> None:
    done = await executed(action)
    account.delegation_keys_revoked_at = None
    clock.ahead = after

    verification = await action.verify(done, samples.account(), samples.revocation())

    assert verification.outcome is outcome
    assert verification.accepted
    assert "is still accepted" in verification.evidence[1]


async def test_without_a_verification_token_only_arm_answers(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    verification = await action.verify(await execution(action), samples.account(), samples.revocation())

    assert verification.outcome is Outcome.ARM_ONLY
    assert len(verification.evidence) == 1
    assert "Storage Blob Delegator" in verification.evidence[0]
    assert plane.requests == []


@pytest.mark.parametrize(
    ("accepted_before", "after", "outcome"),
    [
        (True, timedelta(0), Outcome.PROVEN),
        (None, timedelta(0), Outcome.PENDING),
        (False, timedelta(minutes=1), Outcome.PENDING),
        (None, timedelta(minutes=3), Outcome.ARM_ONLY),
    ],
)
async def test_without_a_control_only_a_token_accepted_before_counts_as_revoked(
    *,
    action: DelegationKeyAction,
    plane: DelegationPlane,
    clock: Clock,
    accepted_before: bool | None,
    after: timedelta,
    outcome: Outcome,
) -> None:
    done = await executed(action)
    [token] = done.verification_tokens
    plane.says["key"] = (403, "AuthorizationPermissionMismatch")
    clock.ahead = after

    verification = await action.verify(
        replace(done, verification_tokens=(replace(token, accepted_before=accepted_before),)),
        samples.account(),
        samples.revocation(),
    )

    assert verification.outcome is outcome
    assert (
        "There is nothing to compare with: Getting a user delegation key of robustmodels failed"
        in verification.evidence[0]
    )
    assert "sig=" not in repr(verification)


@pytest.mark.parametrize(("after", "outcome"), [(0, Outcome.PENDING), (3, Outcome.ARM_ONLY)])
async def test_firewall_does_not_pass_for_a_revocation(
    action: DelegationKeyAction, plane: DelegationPlane, clock: Clock, after: int, outcome: Outcome
) -> None:
    done = await executed(action)
    plane.says[HOST] = (403, "AuthorizationFailure")
    clock.ahead = timedelta(minutes=after)

    assert (await action.verify(done, samples.account(), samples.revocation())).outcome is outcome


async def test_read_only_copy_has_to_refuse_too(action: DelegationKeyAction, plane: DelegationPlane) -> None:
    done = await executed(action)
    plane.says[SECONDARY] = (404, "ContainerNotFound")

    verification = await action.verify(done, samples.account(secondary=True), samples.revocation())

    assert verification.outcome is Outcome.PENDING
    assert verification.evidence[2].startswith("blob (secondary): ")


async def test_token_that_is_over_proves_nothing_and_is_not_asked(
    action: DelegationKeyAction, plane: DelegationPlane, clock: Clock
) -> None:
    done = await executed(action)
    asked = len(plane.requests)
    clock.ahead = timedelta(minutes=31)

    verification = await action.verify(done, samples.account(), samples.revocation())

    assert verification.outcome is Outcome.ARM_ONLY
    assert len(plane.requests) == asked


async def test_leaked_token_lives_until_the_keys_are_revoked(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    [ours] = await action.mint(JOB)
    [leak] = extract_leaks(f"{ours.url}?{ours.query}")
    assert leak.token is not None

    before = await action.check(leak.credential, leak.token, samples.account())
    await execution(action)
    after = await action.check(leak.credential, leak.token, samples.account())

    assert (before.alive, after.alive) == (True, False)
    sent = [urlsplit(request.removeprefix("GET ")) for request in plane.requests if request.startswith("GET ")]
    assert [url.path for url in sent] == [f"/{NAME}"] * 2
    assert parse_qs(sent[0].query) == parse_qs(leak.token) | {"comp": ["metadata"]}
