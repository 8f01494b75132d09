"""Verifying that a stored access policy no longer authorizes anything."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.rest import HttpRequest

from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.execution import Execution, Outcome, Verification
from shared.errors import TransientFailure
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Happening
from tests.support.samples import KEYS, SERVICES
from tests.support.stored_policies import KEY, LIVE, OTHERS, resource, revoked, written


async def verify(
    action: StoredPolicyAction, done: Execution, *, key: AccountKey = KEY, secondary: bool = False
) -> Verification:
    async def keys(_: AccountFacts) -> dict[str, AccountKey]:
        return {"key1": key}

    action = replace(action, list_keys=keys)
    return await action.verify(done, samples.account(secondary=secondary), samples.revocation(key_name="key1"))


@pytest.mark.parametrize("service", SERVICES)
async def test_revoked_policy_is_verified(action: StoredPolicyAction, service: Service) -> None:
    verification = await verify(action, await revoked(action, service), secondary=True)

    assert verification.outcome is Outcome.PROVEN
    assert "is a tombstone, whose end is in the past" in verification.evidence[0]
    assert (
        "was accepted before (its signature was found good) and refused 3 times on fresh connections"
        in verification.evidence[1]
    )
    assert "a token without the policy, signed by the same key, is accepted" in verification.evidence[1]


async def test_deleted_policy_is_verified_revoked(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await revoked(action)
    resource(plane).acl = list(OTHERS)

    verification = await verify(action, done)

    assert verification.outcome is Outcome.PROVEN
    assert "is gone" in verification.evidence[0]


async def test_policy_with_an_end_in_the_past_is_verified_revoked(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    done = await revoked(action)
    resource(plane).acl = [written("<Expiry>2026-01-01</Expiry>")]

    verification = await verify(action, done)

    assert verification.outcome is Outcome.PROVEN
    assert "is expired" in verification.evidence[0]


@pytest.mark.parametrize("there", [LIVE, written("<Permission>w</Permission>")])
async def test_policy_that_is_there_again_is_alive(action: StoredPolicyAction, plane: AclPlane, there: str) -> None:
    done = await revoked(action)
    resource(plane).acl = [there]

    assert (await verify(action, done)).outcome is Outcome.STILL_ALIVE


async def test_lagging_secondary_keeps_the_verification_pending(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await revoked(action)
    plane.copy["blob/models"] = [LIVE]

    verification = await verify(action, done, secondary=True)

    assert (verification.outcome, verification.accepted) == (Outcome.PENDING, True)
    assert "blob (secondary): a token of the policy is still accepted." in verification.evidence


async def test_key_that_is_no_longer_accepted_proves_nothing(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await revoked(action)
    plane.keys = {"key2": KEYS["key2"]}

    with pytest.raises(TransientFailure, match="the key is not accepted"):
        await verify(action, done)


async def test_refusal_that_its_control_shares_proves_nothing(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await revoked(action)
    refused = [Happening("GET", (403, "AuthenticationFailed")) for _ in range(4)]
    plane.meanwhile = [Happening("GET"), *refused]  # the list can be read

    verification = await verify(action, done)

    assert done.verification_tokens[0].accepted_before is True
    assert verification.outcome is Outcome.PENDING


async def test_verification_after_a_rotation_uses_the_present_key(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    done = await revoked(action)
    fresh = samples.key("rotated")
    plane.keys["key1"] = fresh

    verification = await verify(action, done, key=AccountKey(fresh, None))

    assert verification.outcome is Outcome.PROVEN
    assert "accepted before" not in verification.evidence[1]


async def test_policy_in_force_is_not_taken_for_revoked_because_of_a_rotated_key(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    """The token that was minted before the rotation would be refused, for its key's sake."""
    done = await revoked(action)
    fresh = samples.key("rotated")
    plane.keys["key1"] = fresh
    plane.copy["blob/models"] = [LIVE]

    verification = await verify(action, done, key=AccountKey(fresh, None), secondary=True)

    assert verification.accepted


@pytest.mark.parametrize(("after", "outcome"), [(1, Outcome.PENDING), (180, Outcome.ARM_ONLY)])
@pytest.mark.parametrize("service", [Service.BLOB, Service.FILE])
async def test_firewall_is_not_taken_for_a_revoked_policy(
    action: StoredPolicyAction, plane: AclPlane, service: Service, after: int, outcome: Outcome
) -> None:
    done = await revoked(action, service)
    plane.kept_out = "AuthorizationFailure"
    plane.now += timedelta(seconds=after)

    assert (await verify(action, done)).outcome is outcome


async def test_verification_shows_no_token(action: StoredPolicyAction, plane: AclPlane) -> None:
    verification = await verify(action, await revoked(action))

    assert "sig=" not in repr(verification)
    assert not any(signature in repr(verification) for signature in signatures(plane.requests))


def signatures(requests: list[HttpRequest]) -> list[str]:
    found = [parse_qs(urlsplit(request.url).query).get("sig", [""])[0] for request in requests]
    return [signature for signature in found if signature]
