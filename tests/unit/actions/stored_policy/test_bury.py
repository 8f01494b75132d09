"""Leaving a tombstone for a stored access policy that is gone."""

import pytest

from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.account import PolicyState
from shared.errors import TransientFailure
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Happening
from tests.support.samples import SERVICES
from tests.support.stored_policies import BURIED, KEY, LIVE, OTHERS, acl, reading, resource, target, written


async def bury(action: StoredPolicyAction, service: Service = Service.BLOB) -> str:
    return await action.bury(target(service), samples.account(), await reading(action, service), key=KEY)


@pytest.mark.parametrize(
    ("service", "kept_out"),
    [
        *((service, "") for service in SERVICES),
        (Service.TABLE, "AuthorizationFailure"),
        (Service.FILE, "AuthorizationFailure"),
    ],
)
async def test_policy_that_is_gone_is_left_a_tombstone(
    action: StoredPolicyAction, plane: AclPlane, service: Service, kept_out: str
) -> None:
    resource(plane, service).acl, plane.kept_out = list(OTHERS), kept_out

    said = await bury(action, service)

    assert said.startswith("A tombstone was left for the stored access policy 'partners'")
    assert (await reading(action, service)).state is PolicyState.TOMBSTONE
    assert len(acl(plane, service)) == 3


async def test_no_tombstone_beside_five_policies(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).acl = [written("", policy=str(number)) for number in range(5)]

    assert "there are 5 other policies" in await bury(action)
    assert plane.of("PUT") == []


async def test_where_there_is_no_container_there_is_no_tombstone(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.resources.clear()

    assert "its resource does not exist either" in await bury(action)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (BURIED, "There is a tombstone"),
        (written("<Expiry>2026-01-01</Expiry>"), "No tombstone is needed"),
    ],
)
async def test_what_refuses_every_token_needs_no_burial(
    action: StoredPolicyAction, plane: AclPlane, there: str, said: str
) -> None:
    resource(plane).acl = [there]

    assert (await bury(action)).startswith(said)
    assert plane.of("PUT") == []


async def test_policy_that_is_live_again_is_not_buried(action: StoredPolicyAction, plane: AclPlane) -> None:
    with pytest.raises(TransientFailure, match="exists again and is in force") as failed:
        await bury(action)

    assert failed.value.had_no_effect
    assert acl(plane)[1] == LIVE


async def test_policy_made_anew_while_it_is_buried_is_left_alone(action: StoredPolicyAction, plane: AclPlane) -> None:
    def others() -> None:
        resource(plane).acl.append(LIVE)
        resource(plane).changed = plane.now

    resource(plane).acl = list(OTHERS)
    plane.meanwhile = [Happening("PUT", do=others)]

    with pytest.raises(TransientFailure, match="exists again and is in force"):
        await bury(action)
