"""Revoking a stored access policy when requests or answers fail."""

import pytest
from azure.core.exceptions import AzureError

from shared.actions.acl import lists
from shared.actions.acl.data_plane import DataPlaneAcl
from shared.actions.stored_policy import StoredPolicyAction
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.sas import Service
from tests.support.acl_service import AclPlane, Happening
from tests.support.samples import KEYS, SERVICES
from tests.support.stored_policies import CUT, ID, NO_CONNECTION, RESET, execute, reading, silent


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), RESET, CUT], ids=str)
async def test_lost_answer_is_settled_by_reading(
    action: StoredPolicyAction, plane: AclPlane, service: Service, failure: tuple[int, str] | AzureError
) -> None:
    plane.meanwhile = [Happening("PUT", failure, after=True)]

    executed = await execute(action, service)

    assert (executed.confirmed_by, executed.correlation_id) == ("listing", ID)
    assert len(plane.of("PUT")) == 1


@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), RESET, CUT], ids=str)
async def test_write_that_failed_is_tried_again_later(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(TransientFailure) as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect, "reading shows that it did not"
    assert len(plane.of("PUT")) == 1


@pytest.mark.parametrize("failure", [(429, "TooManyRequests"), NO_CONNECTION], ids=str)
async def test_write_that_never_was_says_so(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(TransientFailure) as failed:
        await execute(action, read=read)

    assert failed.value.had_no_effect


async def test_lost_answer_that_can_t_be_settled_may_have_happened(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.meanwhile = [
        Happening("PUT", CUT, after=True),
        *(Happening("GET") for _ in range(1)),
        *(Happening("GET", NO_CONNECTION) for _ in range(2)),
    ]

    with pytest.raises(TransientFailure) as failed:
        await execute(action, read=read)

    assert not failed.value.had_no_effect


@pytest.mark.parametrize("failure", [(400, "InvalidXmlDocument"), (403, "AccountIsDisabled"), (307, "")], ids=str)
async def test_refusal_needs_a_person(action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str]) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(Blocked, match=str(failure[0])):
        await execute(action, read=read)

    assert len(plane.of("PUT")) == 1


async def test_silence_has_an_end(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = await reading(action)
    monkeypatch.setattr(lists, "_CHANGE_TIMEOUT", 0.05)
    monkeypatch.setattr(DataPlaneAcl, "write", silent)

    with pytest.raises(TransientFailure, match="was not done within") as failed:
        await execute(action, read=read)

    assert not failed.value.had_no_effect


@pytest.mark.parametrize("failure", [(400, "Code"), (500, "Code"), CUT], ids=str)
async def test_no_failure_repeats_a_key(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(SasquashError) as failed:
        await execute(action, read=read)

    shown = f"{failed.value} {failed.value!r} {failed.value.__cause__!r}"
    assert not any(secret in shown for secret in (*KEYS.values(), "SharedKey ", "sig="))
