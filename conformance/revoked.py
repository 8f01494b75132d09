"""Measures how long a credential is accepted after its revocation, with requests on new connections."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError

from shared.cloud.data_plane import Answer

type Ask = Callable[[], Awaitable[Answer]]
type Now = Callable[[], float]


class StillAccepted(Exception):
    """The credential was accepted until the timeout. The message says for how long."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """When a credential was refused. Times are seconds from the start of the containment action.

    `completed`: when Azure had responded to the action. `accepted_until`: when the credential was last accepted, 0 if
    never. `response`: status and code of the refusal. `requests`: how many were answered.
    """

    completed: float
    accepted_until: float
    response: str
    requests: int

    def __str__(self) -> str:
        return (
            f"refused after {self.accepted_until:.1f} s (the action took {self.completed:.1f} s; "
            f"{self.requests} requests, then {self.response})"
        )


async def until_refused(
    ask: Ask,
    action: Callable[[], Awaitable[object]],
    *,
    steady: float = 60.0,
    patience: float = 900.0,
    pause: float = 0.5,
    now: Now,
) -> Refusal:
    """Run the action; ask until all responses of `steady` seconds are refusals. Raises StillAccepted.

    Raises ValueError if the credential is not accepted within `patience` before the action: a new policy takes a
    while.
    """
    last = await until_accepted(ask, patience=patience, pause=pause, now=now)
    start = now()
    running = asyncio.ensure_future(action())
    completed, accepted_at, requests = None, 0.0, 0
    try:
        while completed is None or now() - start - max(accepted_at, completed) < steady:
            if completed is None and running.done():
                running.result()
                completed = now() - start
            try:
                last = await ask()
            except AzureError:
                continue  # no response: neither accepted nor refused
            requests += 1
            if accepted(last):
                accepted_at = now() - start
            if now() - start > patience:
                raise StillAccepted(f"It was accepted {accepted_at:.0f} s after the start of the action.")
            await asyncio.sleep(pause)
    finally:
        running.cancel()
    return Refusal(completed, accepted_at, _describe(last), requests)


async def until_accepted(ask: Ask, *, patience: float, pause: float, now: Now) -> Answer:
    """Ask until the credential is accepted; return the response. Raises ValueError after `patience` seconds."""
    start = now()
    while not accepted(answer := await ask()):
        if now() - start > patience:
            raise ValueError(f"It was not accepted within {patience:.0f} s: {_describe(answer)}.")
        await asyncio.sleep(pause)
    return answer


def accepted(answer: Answer) -> bool:
    """Return whether Azure accepted the credential. A 404 is sent only to authorized requests."""
    return answer.status < 300 or answer.status == 404


def _describe(answer: Answer) -> str:
    return f"{answer.status} {answer.code or 'without a code'}"
