"""How long a credential lives on: the last answer that let it in counts, and a few refusals are no revoked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from azure.core.exceptions import ServiceRequestError

from conformance import revoked
from conformance.revoked import StillAlive, until_dead
from shared.cloud.data_plane import Answer

LIVE, DEAD, GONE = Answer(200, "", {}, b""), Answer(403, "AuthenticationFailed", {}, b""), Answer(404, "", {}, b"")


class Time:
    """Passes when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(revoked.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await _turn()


async def _turn() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    await future


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def answering(*answers: Answer | Exception, then: Answer = DEAD) -> Callable[[], Awaitable[Answer]]:
    left: Iterator[Answer | Exception] = iter(answers)

    async def ask() -> Answer:
        answer = next(left, then)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def executed() -> None:
    """A lever that answers at once."""


async def test_it_is_revoked_if_it_was_accepted_last(time: Time) -> None:
    died = await until_dead(
        answering(LIVE, LIVE, DEAD, GONE, DEAD), executed, steady=10, patience=60, pause=1, now=lambda: time.now
    )

    assert (died.accepted_until, died.said) == (2.0, "403 AuthenticationFailed")


async def test_token_refused_at_once_is_revoked_at_once(time: Time) -> None:
    died = await until_dead(answering(LIVE), executed, steady=10, patience=60, pause=1, now=lambda: time.now)

    assert died.accepted_until == 0.0
    assert time.now >= 10


async def test_no_answer_shows_neither(time: Time) -> None:
    lost = ServiceRequestError("no connection")

    died = await until_dead(
        answering(LIVE, lost, LIVE), executed, steady=5, patience=60, pause=1, now=lambda: time.now
    )

    assert died.said == "403 AuthenticationFailed"


async def test_remaining_access_is_reported(time: Time) -> None:
    with pytest.raises(StillAlive, match="accepted 61 s after"):
        await until_dead(answering(then=LIVE), executed, steady=10, patience=60, pause=1, now=lambda: time.now)


async def test_what_was_never_let_in_shows_nothing(time: Time) -> None:
    with pytest.raises(ValueError, match="was not accepted within 60 s: 403 AuthenticationFailed"):
        await until_dead(answering(), executed, steady=10, patience=60, pause=1, now=lambda: time.now)


async def test_failing_action_is_reported(time: Time) -> None:
    async def broken() -> None:
        raise ValueError("no right")

    with pytest.raises(ValueError, match="no right"):
        await until_dead(answering(then=LIVE), broken, steady=10, patience=60, pause=1, now=lambda: time.now)
