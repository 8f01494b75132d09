"""Verification tokens of a stored access policy: how they are minted, and tried before the revocation."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import pytest

from shared.actions.acl.policies import NO_POLICY
from shared.actions.stored_policy import StoredPolicyAction
from shared.actions.verification import Verifier
from shared.domain.account import PolicyReading, PolicyState, Via
from shared.domain.execution import VerificationToken
from shared.sas import Service
from tests.support.acl_service import AclPlane
from tests.support.samples import ACCOUNT, NOW, SERVICES
from tests.support.stored_policies import BURIED, ID, acl, execute, job_for, reading, resource, target, written


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("policy", "own"),
    [
        ("<Expiry>2027-11-21T10:00:00Z</Expiry><Permission>r</Permission>", set()),
        ("<Expiry>2027-11-21T10:00:00Z</Expiry>", {"sp"}),
        ("<Permission>r</Permission>", {"se"}),
        ("", {"se", "sp"}),
    ],
)
async def test_verification_token_states_what_its_policy_does_not_and_is_accepted(
    action: StoredPolicyAction, plane: AclPlane, service: Service, policy: str, own: set[str]
) -> None:
    resource(plane, service).acl = [written(policy)]
    [token] = await action.mint(job_for(await reading(action, service)))

    assert {"st", "se", "sp"} & parse_qs(token.query).keys() == own
    assert (await accepted_before(plane, token)) is True


async def accepted_before(plane: AclPlane, token: VerificationToken) -> bool | None:
    verifier = Verifier(plane.connect, clock=lambda: plane.now, new_id=lambda: ID)
    return (await verifier.try_before(token)).accepted_before


@pytest.mark.parametrize("service", SERVICES)
async def test_token_of_a_policy_that_may_not_read_is_accepted_all_the_same(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    resource(plane, service).acl = [written("<Permission>a</Permission>")]
    [token] = await action.mint(job_for(await reading(action, service)))

    assert (await accepted_before(plane, token)) is True


@pytest.mark.parametrize(
    ("service", "path"),
    [
        (Service.BLOB, "models/sasquashproof1111111122224333"),
        (Service.FILE, "share/sasquashproof1111111122224333"),
        (Service.QUEUE, "jobs?comp=metadata"),
        (
            Service.TABLE,
            "People(PartitionKey='sasquashproof1111111122224333',RowKey='sasquashproof1111111122224333')",
        ),
    ],
)
async def test_verification_token_reads_no_customer_data(
    action: StoredPolicyAction, service: Service, path: str
) -> None:
    [token] = await action.mint(job_for(await reading(action, service)))

    assert token.url == f"https://{ACCOUNT}.{service}.core.windows.net/{path}"


@pytest.mark.parametrize(
    ("policy", "expires"),
    [
        ("", NOW + timedelta(minutes=30)),
        ("<Expiry>2027-11-21T10:00:00Z</Expiry>", NOW + timedelta(minutes=30)),
        ("<Expiry>2026-11-21T10:05:00Z</Expiry>", NOW + timedelta(minutes=5)),
    ],
)
async def test_verification_token_is_valid_for_half_an_hour_at_most(
    action: StoredPolicyAction, plane: AclPlane, policy: str, expires: datetime
) -> None:
    resource(plane).acl = [written(policy)]
    [token] = await action.mint(job_for(await reading(action)))

    assert token.expires == expires


@pytest.mark.parametrize("state", [state for state in PolicyState if state is not PolicyState.LIVE])
async def test_no_token_for_a_policy_that_is_not_in_force(action: StoredPolicyAction, state: PolicyState) -> None:
    read = PolicyReading(target(), state, NO_POLICY, Via.DATA_PLANE)

    assert await action.mint(job_for(read)) == ()


async def test_token_answered_before_the_execution_was_accepted_before(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    tokens = await action.mint(job_for(read))

    executed = await execute(action, read=read, tokens=tokens)

    assert executed.verification_tokens == (replace(tokens[0], accepted_before=True),)


async def test_token_that_can_t_be_tried_spares_no_policy(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Verifier, token: VerificationToken) -> VerificationToken:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(Verifier, "try_before", broken)
    read = await reading(action)
    tokens = await action.mint(job_for(read))

    assert (await execute(action, read=read, tokens=tokens)).verification_tokens == tokens
    assert acl(plane)[1] == BURIED
