"""How long a credential is accepted after a lever was pulled: it is asked on new connections, all the while."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError

from shared.cloud.data_plane import Answer

type Ask = Callable[[], Awaitable[Answer]]
type Now = Callable[[], float]


class StillAlive(Exception):
    """It was accepted until patience was over. The message says for how long."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a credential died. Times are seconds from when the lever was pulled.

    `pulled` is when Azure had answered the lever; `accepted_until` when the credential was accepted last, 0 if it was
    not any more. `said` is the status and the code of the refusal.
    """

    executed: float
    accepted_until: float
    said: str
    asked: int

    def __str__(self) -> str:
        return (
            f"dead after {self.accepted_until:.1f} s (the lever took {self.executed:.1f} s; {self.asked} requests, "
            f"then {self.said})"
        )


async def until_dead(
    ask: Ask,
    execution: Callable[[], Awaitable[object]],
    *,
    steady: float = 60.0,
    patience: float = 900.0,
    pause: float = 0.5,
    now: Now,
) -> Death:
    """Pull, and ask until all answers of the last `steady` seconds were refusals. Raises StillAlive after `patience`.

    It must be accepted before, within `patience`, for a new policy takes its time; else ValueError says so.
    """
    last = await until_accepted(ask, patience=patience, pause=pause, now=now)
    start = now()
    executor = asyncio.ensure_future(execution())
    executed, accepted_at, asked = None, 0.0, 0
    try:
        while executed is None or now() - start - max(accepted_at, executed) < steady:
            if executed is None and executor.done():
                executor.result()
                executed = now() - start
            try:
                last = await ask()
            except AzureError:
                continue  # no answer shows neither
            asked += 1
            if accepted(last):
                accepted_at = now() - start
            if now() - start > patience:
                raise StillAlive(f"It was accepted {accepted_at:.0f} s after the lever had been pulled.")
            await asyncio.sleep(pause)
    finally:
        executor.cancel()
    return Death(executed, accepted_at, _said(last), asked)


async def until_accepted(ask: Ask, *, patience: float, pause: float, now: Now) -> Answer:
    """Ask until it is accepted; return the answer. Raises ValueError after `patience` seconds."""
    start = now()
    while not accepted(answer := await ask()):
        if now() - start > patience:
            raise ValueError(f"It was not accepted within {patience:.0f} s: {_said(answer)}.")
        await asyncio.sleep(pause)
    return answer


def accepted(answer: Answer) -> bool:
    """Whether Azure let the credential in: a 404 is an answer to who may ask."""
    return answer.status < 300 or answer.status == 404


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.code or 'without a code'}"
