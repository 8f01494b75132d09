"""What Azure's answer to a leaked token means, and that the token is in no log."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from shared.domain.account import SasPolicy
from tests.support import samples
from tests.support.liveness import (
    Plane,
    ask,
    blob,
)


@pytest.mark.parametrize(
    ("status", "code", "alive"),
    [
        (200, "", True),
        (404, "BlobNotFound", True),
        (404, "ContainerNotFound", True),
        (403, "AuthorizationPermissionMismatch", True),
        (403, "AuthorizationSourceIPMismatch", True),
        (403, "AuthorizationProtocolMismatch", True),
        (403, "AuthenticationFailed", False),
        (403, "AuthorizationFailure", None),
        (403, "AccountIsDisabled", None),
        (400, "InvalidQueryParameterValue", None),
        (409, "PublicAccessNotPermitted", None),
        (307, "", None),
        (500, "InternalError", None),
        (503, "ServerBusy", None),
    ],
)
async def test_answer_says_whether_the_token_lives(plane: Plane, status: int, code: str, alive: bool | None) -> None:
    plane.says = (status, code)

    answer = await ask(plane, blob())

    assert answer.alive is alive
    assert f"{status} {code}".strip() in answer.said
    assert len(plane.requests) == 1


@pytest.mark.parametrize("error", [ServiceRequestError("no route"), ServiceResponseError("reset")])
async def test_no_answer_says_nothing_and_the_token_is_not_sent_again(plane: Plane, error: AzureError) -> None:
    plane.says = error

    answer = await ask(plane, blob())

    assert answer.alive is None
    assert type(error).__name__ in answer.said
    assert len(plane.requests) == 1
    assert plane.closed == 1


async def test_what_azure_refuses_is_not_called_harmless(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")

    assert "reported with another path than the one that it was signed for" in (await ask(plane, blob())).said


async def test_refusal_names_the_path_at_which_it_was_tried(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")
    answer = await ask(plane, blob())

    assert "at /models/resnet.ckpt (" in answer.said
    assert answer.path == "models/resnet.ckpt"


async def test_path_in_a_refusal_is_no_link_and_no_command_and_short(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")
    said = (await ask(plane, blob(f"`rm` \u202e http://evil.example/{'x' * 900}"))).said

    assert not any(text in said for text in ("`", "\u202e", "http://", "x" * 101))


@pytest.mark.parametrize(
    ("policy", "alive"),
    [
        (SasPolicy(timedelta(hours=1), blocks=True), None),
        (SasPolicy(timedelta(hours=1), blocks=False), False),
        (SasPolicy(timedelta(hours=1), blocks=False, blocks_unbound=True), None),
    ],
)
async def test_token_that_the_sas_expiration_policy_refuses_is_not_called_invalid(
    plane: Plane, policy: SasPolicy, alive: bool | None
) -> None:
    """The token has no start, and the response, as one of the table service, no reason."""
    plane.says = (403, "AuthenticationFailed")

    answer = await ask(plane, blob(), account=replace(samples.account(), sas_policy=policy))

    assert answer.alive is alive
    assert ("SAS expiration policy" in answer.said) is (alive is None)


def leaky(plane: Plane) -> None:
    plane.says = ServiceResponseError(f"cut off: {blob()}")


def accepting(plane: Plane) -> None:
    plane.says = (404, "BlobNotFound")


@pytest.mark.parametrize("behave", [leaky, accepting])
async def test_leaked_token_is_in_no_log_and_no_answer(
    plane: Plane, caplog: pytest.LogCaptureFixture, behave: Callable[[Plane], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    behave(plane)

    answer = await ask(plane, blob())

    [signature] = parse_qs(urlsplit(plane.requests[0].url).query)["sig"]
    for text in (repr(answer), caplog.text):
        assert "sig=" not in text
        assert signature not in text
