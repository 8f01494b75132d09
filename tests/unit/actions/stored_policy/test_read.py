"""Reading a stored access policy: its state and impact, through the data plane or ARM."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import AzureError

from shared.actions.acl.policies import NO_POLICY, from_xml
from shared.actions.stored_policy import StoredPolicyAction, StoredPolicySpec
from shared.domain.account import PolicyReading, PolicyState, Via
from shared.domain.target import PolicyTarget
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Happening, Resource
from tests.support.samples import NOW, SERVICES
from tests.support.stored_policies import (
    BURIED,
    CUT,
    KEY,
    LIVE,
    NO_CONNECTION,
    OTHERS,
    RESET,
    reading,
    resource,
    target,
    written,
)


def test_impact_is_on_clients_of_that_policy_alone() -> None:
    [who, nobody_else] = StoredPolicySpec().impact(samples.account(), str(target()))

    assert who == (
        "Every client that uses a SAS of the stored access policy 'partners' of container models in account "
        "robustmodels, including SAS tokens that did not leak."
    )
    assert nobody_else.startswith("Nothing else")


@pytest.mark.parametrize("service", SERVICES)
async def test_live_policy_is_read_with_what_it_says(action: StoredPolicyAction, service: Service) -> None:
    assert await reading(action, service) == PolicyReading(
        target(service),
        PolicyState.LIVE,
        from_xml(f"<SignedIdentifiers>{LIVE}</SignedIdentifiers>".encode())[0].version,
        Via.DATA_PLANE,
        permissions="rwd",
        expires=datetime(2027, 11, 21, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (written(f"<Expiry>{NOW - timedelta(seconds=1)}</Expiry>"), PolicyState.EXPIRED),
        (written("<Permission>r</Permission>"), PolicyState.LIVE),
        (written(""), PolicyState.LIVE),
        (BURIED, PolicyState.TOMBSTONE),
        ("", PolicyState.GONE),
        (written("", policy="Partners"), PolicyState.GONE),
    ],
)
async def test_state_of_a_policy_is_read(
    action: StoredPolicyAction, plane: AclPlane, policy: str, state: PolicyState
) -> None:
    resource(plane).acl = [OTHERS[0], policy]

    assert (await reading(action)).state is state


@pytest.mark.parametrize("service", SERVICES)
async def test_policy_of_a_resource_that_is_not_there_is_gone(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    plane.resources.clear()

    read = await reading(action, service)

    assert (read.state, read.version) == (PolicyState.GONE, NO_POLICY)


async def test_policy_of_a_service_that_the_account_lacks_is_gone(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    account = replace(samples.account(), endpoints={})

    assert (await reading(action, account=account)).state is PolicyState.GONE
    assert plane.requests == []


@pytest.mark.parametrize("name", ["$root", "$web", "$logs"])
async def test_containers_that_azure_makes_are_read_like_others(
    action: StoredPolicyAction, plane: AclPlane, name: str
) -> None:
    plane.resources[f"blob/{name}"] = Resource([LIVE])
    of_azure = PolicyTarget(Service.BLOB, name, "partners")

    assert (await action.read(samples.account(), of_azure, key=KEY)).state is PolicyState.LIVE


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
@pytest.mark.parametrize("code", ["AuthorizationFailure", "KeyBasedAuthenticationNotPermitted"])
async def test_tables_and_shares_whose_data_plane_keeps_us_out_are_read_through_arm(
    action: StoredPolicyAction, plane: AclPlane, service: Service, code: str
) -> None:
    by_data_plane = await reading(action, service)
    plane.kept_out = code

    assert await reading(action, service) == replace(by_data_plane, via=Via.ARM)


@pytest.mark.parametrize("service", [Service.BLOB, Service.QUEUE])
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("AuthorizationFailure", "the account's network rules keep us out"),
        ("KeyBasedAuthenticationNotPermitted", "shared key access is switched off"),
    ],
)
async def test_containers_and_queues_whose_data_plane_keeps_us_out_are_unreachable(
    action: StoredPolicyAction, plane: AclPlane, service: Service, code: str, why: str
) -> None:
    plane.kept_out = code

    read = await reading(action, service)

    assert read.state is PolicyState.UNREACHABLE
    assert why in read.detail


@pytest.mark.parametrize(
    ("service", "state", "via"),
    [
        (Service.BLOB, PolicyState.UNREACHABLE, Via.DATA_PLANE),
        (Service.FILE, PolicyState.LIVE, Via.ARM),
    ],
)
async def test_data_plane_without_a_way_to_it_is_tried_twice(
    action: StoredPolicyAction, plane: AclPlane, service: Service, state: PolicyState, via: Via
) -> None:
    plane.meanwhile = [Happening("GET", NO_CONNECTION), Happening("GET", NO_CONNECTION)]

    read = await reading(action, service)

    assert (read.state, read.via) == (state, via)
    assert len(plane.of("GET", f".{service}.")) == 2


@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), NO_CONNECTION, RESET, CUT])
async def test_failure_that_passes_is_passed_over(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    plane.meanwhile = [Happening("GET", failure)]

    assert (await reading(action)).state is PolicyState.LIVE


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ((500, "InternalError"), TransientFailure),
        ((503, "ServerBusy"), TransientFailure),
        ((429, "TooManyRequests"), TransientFailure),
        ((409, "ContainerBeingDeleted"), TransientFailure),
        ((403, "AuthenticationFailed"), TransientFailure),
        (RESET, TransientFailure),
        (CUT, TransientFailure),
        ((400, "InvalidHeaderValue"), Blocked),
        ((403, "AccountIsDisabled"), Blocked),
        ((307, ""), Blocked),
    ],
)
async def test_what_can_t_be_read_is_no_state(
    action: StoredPolicyAction,
    plane: AclPlane,
    failure: tuple[int, str] | AzureError,
    error: type[SasquashError],
) -> None:
    plane.meanwhile = [Happening("GET", failure), Happening("GET", failure)]

    with pytest.raises(error):
        await reading(action)


async def test_answer_that_is_no_list_of_policies_is_no_state(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).acl = ["<SignedIdentifier/>"]

    with pytest.raises(TransientFailure, match="has no id"):
        await reading(action)


async def test_missing_right_on_arm_needs_a_person(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out, plane.arm_rights = "AuthorizationFailure", False

    with pytest.raises(Blocked, match="AuthorizationFailed"):
        await reading(action, Service.TABLE)
