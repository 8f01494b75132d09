"""Revoking a stored access policy while others write to the same list."""

from datetime import timedelta

import pytest

from shared.actions.stored_policy import StoredPolicyAction
from shared.errors import TransientFailure
from shared.sas import Service
from tests.support.acl_service import AclPlane, Happening
from tests.support.samples import NOW, SERVICES
from tests.support.stored_policies import BURIED, LIVE, OTHERS, acl, execute, reading, resource, written

NEW = written("<Permission>w</Permission>", policy="new")


@pytest.mark.parametrize("service", SERVICES)
async def test_what_others_wrote_since_the_plan_survives(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    read = await reading(action, service)
    acl(plane, service).insert(0, NEW)

    await execute(action, service, read=read)

    assert acl(plane, service) == [NEW, OTHERS[0], BURIED, OTHERS[1]]


async def test_what_others_wrote_to_a_container_between_reading_and_writing_survives(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    def others() -> None:
        resource(plane).acl.insert(0, NEW)
        resource(plane).changed = plane.now

    plane.meanwhile = [Happening("PUT", do=others)]

    executed = await execute(action)

    assert acl(plane) == [NEW, OTHERS[0], BURIED, OTHERS[1]]
    assert executed.confirmed_by == "answer"


async def test_change_that_hides_in_the_second_of_the_last_one_is_not_lost(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    """Last-Modified has whole seconds: a second change within one looks like the first."""
    resource(plane).changed = plane.now
    read = await reading(action)
    plane.meanwhile = [Happening("GET"), Happening("GET", do=lambda: resource(plane).acl.insert(0, NEW))]

    await execute(action, read=read)

    assert acl(plane) == [NEW, OTHERS[0], BURIED, OTHERS[1]]
    assert plane.now == NOW + timedelta(seconds=1)


@pytest.mark.parametrize("service", [Service.QUEUE, Service.TABLE, Service.FILE])
async def test_list_that_replaced_ours_is_kept_and_ours_written_on_top(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    def others() -> None:
        if acl(plane, service)[1] == BURIED:
            resource(plane, service).acl = [NEW, LIVE]

    read = await reading(action, service)
    plane.meanwhile = [Happening("GET"), Happening("GET", do=others)]

    await execute(action, service, read=read)

    assert acl(plane, service) == [NEW, BURIED]
    assert len(plane.of("PUT")) == 2


async def test_last_change_is_waited_out_once_whatever_azure_says_of_the_time(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    resource(plane).changed = plane.now + timedelta(seconds=10)  # a clock that is behind that of another server

    await execute(action)

    assert acl(plane)[1] == BURIED
    assert plane.now == NOW + timedelta(seconds=1)


async def test_container_without_a_time_of_its_last_change_is_written_all_the_same(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    plane.says_when = False

    await execute(action)

    assert acl(plane)[1] == BURIED


async def test_others_who_never_stop_are_not_waited_for_for_ever(action: StoredPolicyAction, plane: AclPlane) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", (412, "ConditionNotMet")) for _ in range(50)]

    with pytest.raises(TransientFailure, match="somebody else keeps changing") as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect
    assert len(plane.of("PUT")) == 5
