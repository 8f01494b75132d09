"""Revoking a stored access policy: what is written, what stays, and what stops it."""

import pytest

from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.execution import Execution
from shared.domain.target import ActionKind
from shared.errors import Blocked, TransientFailure
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Happening
from tests.support.samples import NOW, SERVICES
from tests.support.stored_policies import BURIED, ID, OTHERS, TAGGED, acl, execute, reading, resource, written


@pytest.mark.parametrize("service", SERVICES)
async def test_tombstone_is_left_and_all_else_is_as_it_was(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    await execute(action, service)

    assert acl(plane, service) == [OTHERS[0], BURIED, OTHERS[1]]


@pytest.mark.parametrize("service", SERVICES)
async def test_policy_is_deleted_where_the_tag_asks_for_it(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    executed = await execute(action, service, account=samples.account(tags=TAGGED))

    assert acl(plane, service) == OTHERS
    assert executed.new_sha256 == ""
    assert executed.notes[0].startswith("The policy was deleted, as the account's tag sasquash-policy-removal asks")


async def test_execution_records_what_was_done(action: StoredPolicyAction, plane: AclPlane) -> None:
    read = await reading(action)
    executed = await execute(action, read=read)

    assert executed == Execution(
        action=ActionKind.STORED_POLICY,
        target="blob/models/partners",
        at=NOW,
        old_sha256=read.version,
        new_sha256=(await reading(action)).version,
        confirmed_by="answer",
        correlation_id=ID,
    )


async def test_request_id_of_the_record_is_sent_to_storage(action: StoredPolicyAction, plane: AclPlane) -> None:
    await execute(action)

    assert [request.headers["x-ms-client-request-id"] for request in plane.of("PUT")] == [ID]


@pytest.mark.parametrize("level", ["blob", "container", None])
async def test_container_stays_as_public_as_it_was(
    action: StoredPolicyAction, plane: AclPlane, level: str | None
) -> None:
    resource(plane).public_access = level

    await execute(action)

    assert resource(plane).public_access == level


async def test_level_that_the_account_forbids_spares_no_policy(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).public_access, plane.public_access_allowed = "blob", False

    executed = await execute(action)

    assert acl(plane)[1] == BURIED
    assert executed.notes[0].startswith('Its public-access level "blob" could not be kept')


@pytest.mark.parametrize("service", [Service.BLOB, Service.FILE])
async def test_lease_is_broken(action: StoredPolicyAction, plane: AclPlane, service: Service) -> None:
    resource(plane, service).leased = True

    executed = await execute(action, service)

    assert acl(plane, service)[1] == BURIED
    assert executed.notes == ("The lease on it was broken, since it kept the policies from being changed.",)


async def test_lease_that_somebody_takes_again_and_again_is_not_broken_for_ever(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", do=lambda: setattr(resource(plane), "leased", True)) for _ in range(50)]

    with pytest.raises(TransientFailure, match="somebody else keeps changing"):
        await execute(action, read=read)


async def test_lease_that_ended_by_itself_needs_no_breaking(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.meanwhile = [
        Happening("PUT", (412, "LeaseIdMissing")),
        Happening("PUT", (409, "LeaseNotPresentWithLeaseOperation")),
    ]

    assert (await execute(action)).notes == ()
    assert acl(plane)[1] == BURIED


async def test_lease_that_can_t_be_broken_needs_a_person(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.meanwhile = [Happening("PUT", (412, "LeaseIdMissing")), Happening("PUT", (400, "InvalidHeaderValue"))]

    with pytest.raises(Blocked, match="Breaking the lease"):
        await execute(action)


async def test_lease_and_a_forbidden_level_together_spare_no_policy(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    resource(plane).public_access, plane.public_access_allowed = "blob", False
    resource(plane).leased = True

    assert len((await execute(action)).notes) == 2
    assert acl(plane)[1] == BURIED


@pytest.mark.parametrize("service", SERVICES)
async def test_second_execution_finds_the_tombstone_and_writes_nothing(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    read = await reading(action, service)
    await execute(action, service, read=read)
    plane.requests.clear()

    again = await execute(action, service, read=read)

    assert plane.of("PUT") == []
    assert (again.confirmed_by, again.correlation_id) == ("listing", None)
    assert again.notes == ("The policy had been revoked before: nothing was changed.",)


async def test_second_execution_finds_the_policy_deleted(action: StoredPolicyAction, plane: AclPlane) -> None:
    account = samples.account(tags=TAGGED)
    read = await reading(action)
    await execute(action, read=read, account=account)
    plane.requests.clear()

    assert (await execute(action, read=read, account=account)).new_sha256 == ""
    assert plane.of("PUT") == []


@pytest.mark.parametrize("now", [written("<Permission>r</Permission>"), written("<Expiry>2026-01-01</Expiry>"), ""])
async def test_policy_that_changed_since_the_plan_is_left_alone(
    action: StoredPolicyAction, plane: AclPlane, now: str
) -> None:
    read = await reading(action)
    resource(plane).acl = [now]

    with pytest.raises(TransientFailure, match="changed since the plan was made") as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect
    assert plane.of("PUT") == []


async def test_container_that_is_gone_since_the_plan_is_weighed_anew(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.resources.clear()

    with pytest.raises(TransientFailure, match="gone since the plan was made") as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect


async def test_data_plane_that_closed_since_the_plan_is_read_anew(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.kept_out = "AuthorizationFailure"

    with pytest.raises(TransientFailure) as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect
