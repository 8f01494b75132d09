"""How long a credential is accepted: the last accepted request counts, and single refusals do not."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from azure.core.exceptions import ServiceRequestError

from conformance import revoked
from conformance.revoked import StillAccepted, until_refused
from shared.cloud.data_plane import Answer

ACCEPTED, REFUSED, NOT_FOUND = (
    Answer(200, "", {}, b""),
    Answer(403, "AuthenticationFailed", {}, b""),
    Answer(404, "", {}, b""),
)


class Time:
    """A clock that advances with each sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(revoked.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await _yield()


async def _yield() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    await future


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def answering(*answers: Answer | Exception, then: Answer = REFUSED) -> Callable[[], Awaitable[Answer]]:
    left: Iterator[Answer | Exception] = iter(answers)

    async def ask() -> Answer:
        answer = next(left, then)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def action() -> None:
    """An action that completes at once."""


async def test_credential_is_refused_from_its_last_accepted_request(time: Time) -> None:
    refusal = await until_refused(
        answering(ACCEPTED, ACCEPTED, REFUSED, NOT_FOUND, REFUSED),
        action,
        steady=10,
        patience=60,
        pause=1,
        now=lambda: time.now,
    )

    assert (refusal.accepted_until, refusal.response) == (2.0, "403 AuthenticationFailed")


async def test_credential_refused_at_once_has_no_accepted_time(time: Time) -> None:
    refusal = await until_refused(answering(ACCEPTED), action, steady=10, patience=60, pause=1, now=lambda: time.now)

    assert refusal.accepted_until == 0.0
    assert time.now >= 10


async def test_missing_response_counts_as_neither(time: Time) -> None:
    lost = ServiceRequestError("no connection")

    refusal = await until_refused(
        answering(ACCEPTED, lost, ACCEPTED), action, steady=5, patience=60, pause=1, now=lambda: time.now
    )

    assert refusal.response == "403 AuthenticationFailed"


async def test_credential_that_stays_accepted_is_reported(time: Time) -> None:
    with pytest.raises(StillAccepted, match="accepted 61 s after"):
        await until_refused(answering(then=ACCEPTED), action, steady=10, patience=60, pause=1, now=lambda: time.now)


async def test_credential_that_was_never_accepted_is_an_error(time: Time) -> None:
    with pytest.raises(ValueError, match="was not accepted within 60 s: 403 AuthenticationFailed"):
        await until_refused(answering(), action, steady=10, patience=60, pause=1, now=lambda: time.now)


async def test_action_that_fails_is_an_error(time: Time) -> None:
    async def broken() -> None:
        raise ValueError("no right")

    with pytest.raises(ValueError, match="no right"):
        await until_refused(answering(then=ACCEPTED), broken, steady=10, patience=60, pause=1, now=lambda: time.now)
