import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from shared.cloud import http as module
from shared.cloud.http import Rest
from shared.errors import Blocked, NotFound, Throttled, TransientFailure
from tests.support.asgi import Transport

ANSWER = JSONResponse({"id": 7})


class Service:
    """Gives these answers in turn, the last one again and again."""

    def __init__(self, *answers: Response | Exception | Callable[[], Any]) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(Request(scope, receive))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, Response):
            await answer()
            return
        await answer(scope, receive, send)


def call(service: Service, method: str = "GET", **options: Any) -> Any:
    rest = Rest("https://api.example/", Transport(service))
    return rest.call(method, "/things/7", doing="Reading a thing", right="the right to read", **options)


async def test_an_answer_is_its_json() -> None:
    service = Service(ANSWER)

    assert await call(service, query={"api-version": "1"}, headers={"X-A": "b"}) == {"id": 7}
    [request] = service.requests
    assert str(request.url) == "https://api.example/things/7?api-version=1"
    assert (request.headers["x-a"], request.headers["user-agent"][:8]) == ("b", "sasquash")


async def test_an_empty_answer_is_none() -> None:
    assert await call(Service(Response(status_code=204)), "PATCH", body={}) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Blocked),
        (403, Blocked),
        (404, NotFound),
        (422, Blocked),
        (500, TransientFailure),
        (503, TransientFailure),
    ],
)
async def test_a_refusal_is_one_of_our_errors_and_repeats_nothing_of_the_answer(
    status: int, error: type[Exception]
) -> None:
    answer = JSONResponse({"message": "ghs_secret"}, status)

    with pytest.raises(error, match=f"^Reading a thing failed: {status}") as raised:
        await call(Service(answer))
    assert "ghs_secret" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_what_it_takes_is_named_where_a_right_is_lacking() -> None:
    with pytest.raises(Blocked, match="lacks the right to read"):
        await call(Service(Response(status_code=403)))


async def test_too_many_calls_say_when_to_come_again() -> None:
    with pytest.raises(Throttled) as raised:
        await call(Service(Response(status_code=429, headers={"Retry-After": "0"})))
    assert raised.value.retry_after == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"x-ratelimit-remaining": "0"}, None), ({"retry-after": "60"}, 60.0)]
)
async def test_a_refusal_for_too_many_calls_is_no_lack_of_a_right(
    headers: dict[str, str], seconds: float | None
) -> None:
    with pytest.raises(Throttled) as raised:
        await call(Service(Response(status_code=403, headers=headers)))
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_call_is_sent_once(method: str) -> None:
    service = Service(Response(status_code=503, headers={"Retry-After": "60"}), ANSWER)
    with pytest.raises(TransientFailure) as raised:
        await call(service, method)
    assert (len(service.requests), raised.value.retry_after) == (1, 60.0)


async def test_a_redirect_is_not_followed() -> None:
    service = Service(RedirectResponse("https://evil.example/"))

    with pytest.raises(Blocked):
        await call(service)
    assert len(service.requests) == 1


async def test_no_connection_is_a_transient_failure() -> None:
    with pytest.raises(TransientFailure):
        await call(Service(ServiceRequestError("No network.")))


async def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIME", 0.01)

    with pytest.raises(TransientFailure, match="no answer within"):
        await call(Service(asyncio.Event().wait))


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[" * 100_000])
async def test_an_answer_that_is_no_json_passes(body: bytes) -> None:
    with pytest.raises(TransientFailure, match="not JSON"):
        await call(Service(Response(body)))


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(Blocked, match="is over"):
        await call(Service(Response(b"x" * (4 * 1024 * 1024 + 1))))
