"""Revoking a stored access policy through ARM, where the data plane is closed."""

import pytest
from azure.core.exceptions import AzureError
from azure.mgmt.storage.aio.operations import TableOperations

from shared.actions.acl import arm
from shared.actions.acl.policies import from_xml
from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.account import PolicyState
from shared.errors import TransientFailure
from shared.sas import Service
from tests.support.acl_service import AclPlane, Happening
from tests.support.stored_policies import ID, RESET, execute, reading, resource, silent


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
async def test_policy_is_ended_through_arm_where_the_data_plane_keeps_us_out(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    plane.kept_out = "AuthorizationFailure"

    executed = await execute(action, service)

    assert (await reading(action, service)).state is PolicyState.TOMBSTONE
    assert executed.notes == ("It was changed through ARM, since the data plane can't be reached.",)
    [request] = plane.of("PATCH")
    assert request.headers["x-ms-correlation-request-id"] == ID


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
async def test_other_policies_survive_the_way_through_arm(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    before = from_xml(resource(plane, service).document)
    plane.kept_out = "AuthorizationFailure"

    await execute(action, service)

    after = from_xml(resource(plane, service).document)
    assert [policy.version for policy in after[::2]] == [policy.version for policy in before[::2]]


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
@pytest.mark.parametrize("failure", [(503, "ServerBusy"), RESET], ids=str)
async def test_answer_of_arm_s_that_is_lost_is_settled_by_reading(
    action: StoredPolicyAction, plane: AclPlane, service: Service, failure: tuple[int, str] | AzureError
) -> None:
    plane.kept_out = "AuthorizationFailure"
    plane.meanwhile = [Happening("PATCH", failure, after=True)]

    executed = await execute(action, service)

    assert executed.confirmed_by == "listing"
    assert len(plane.of("PATCH")) == 1


async def test_arm_is_asked_to_change_once(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out = "AuthorizationFailure"
    read = await reading(action, Service.FILE)
    plane.meanwhile = [Happening("PATCH", (500, "InternalError"))]

    with pytest.raises(TransientFailure):
        await execute(action, Service.FILE, read=read)

    assert len(plane.of("PATCH")) == 1


async def test_silence_of_arm_s_has_an_end(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.kept_out = "AuthorizationFailure"
    read = await reading(action, Service.TABLE)
    monkeypatch.setattr(arm, "_UPDATE_TIMEOUT", 0.05)
    monkeypatch.setattr(TableOperations, "update", silent)

    with pytest.raises(TransientFailure, match="got no answer within"):
        await execute(action, Service.TABLE, read=read)


async def test_answer_of_arm_s_of_another_shape_is_no_state(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out, plane.arm_says = "AuthorizationFailure", {"properties": {"signedIdentifiers": [{}]}}

    with pytest.raises(TransientFailure, match="not of the documented shape"):
        await reading(action, Service.TABLE)
