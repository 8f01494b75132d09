"""How many of our own calls lie between the trigger and the SDK's call that regenerates a leaked key.

A reader of the revocation has to keep all of them in mind. Counted as it runs: the real function app against
the simulator's services, the stack taken when the request is sent.
"""

import asyncio
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import CodeType

import pytest

from bench.storm import Shape, _finding, _scenario
from local.memory.exchange import Answer, Request, Service
from shared.domain.report import REPORTED
from tests.simulation.faults import Fate, Schedule
from tests.simulation.hosts import Tokens, load_app
from tests.simulation.loop import JumpingLoop
from tests.simulation.network import REGENERATE
from tests.simulation.run import bury
from tests.simulation.world import World, simulated_time

ROOT = Path(__file__).parents[2]
OURS = (str(ROOT / "shared"), str(ROOT / "function_app.py"))
SDK = "/azure/mgmt/"

Frames = list[tuple[str, str]]  # file and function, outermost first


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Our frames, from the trigger to the SDK's call."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_frames).result()


def test_trigger_is_at_most_eleven_frames_from_the_sdk_call(frames: Frames) -> None:
    assert frames[0][1] == "on_finding"
    assert len(frames) <= 11, frames


def test_way_from_the_trigger_to_the_sdk_call_leads_through_at_most_five_files(frames: Frames) -> None:
    assert len({file for file, _ in frames}) <= 5, frames


def _frames() -> Frames:
    """Have one leak revoked. The process is of no other use afterwards."""
    tokens, functions = Tokens(), load_app()
    loop = JumpingLoop()
    asyncio.set_event_loop(loop)
    try:
        with simulated_time(loop):
            return loop.run_until_complete(_revoking(tokens, functions))
    finally:
        bury(loop)
        asyncio.set_event_loop(None)


async def _revoking(tokens: Tokens, functions: dict) -> Frames:  # type: ignore[type-arg]
    import random

    rng, shape = random.Random(1), Shape(reports=1, tokens=1, accounts=1)
    scenario = _scenario(shape, rng)
    schedule = Schedule(rng, until=0.0, rate=0.0, kinds=(Fate.RESET,), lag=False)
    world = World(1, scenario, schedule, tokens=tokens, functions=functions)
    seen: list[Frames] = []
    services = {host: _watched(service, seen) for host, service in world.network.services.items()}
    world.network = replace(world.network, services=services, accounts={})
    world.start_host()
    finding = _finding(scenario.accounts[0], 0)
    data = finding.to_data()
    world.publish({"specversion": "1.0", "id": "leak", "source": "/scanners/depth", "type": REPORTED, "data": data})
    await world.until_at_rest()
    [only] = seen
    return only


def _watched(service: Service, seen: list[Frames]) -> Service:
    async def answer(request: Request) -> Answer:
        if REGENERATE in request.line:
            seen.append(_up_to_the_sdk(list(_outermost_first())))
        return await service(request)

    return answer


def _up_to_the_sdk(codes: list[CodeType]) -> Frames:
    first = next(number for number, code in enumerate(codes) if SDK in code.co_filename)
    ours = [code for code in codes[:first] if code.co_filename.startswith(OURS)]
    return [(str(Path(code.co_filename).relative_to(ROOT)), code.co_name) for code in ours]


def _outermost_first() -> Iterator[CodeType]:
    """The code of each call that waits for this one, in this task and in those that wait for it."""
    task = asyncio.current_task()
    assert task is not None
    chain = []
    frame = sys._getframe(1)
    while frame is not None and "asyncio" not in Path(frame.f_code.co_filename).parts:
        chain.append(frame.f_code)
        frame = frame.f_back
    while (waiting := _waiting_for(task)) is not None:
        chain = [*chain, *reversed(list(_suspended(waiting)))]
        task = waiting
    return iter(reversed(chain))


def _suspended(task: asyncio.Task) -> Iterator[CodeType]:  # type: ignore[type-arg]
    """The code of a task that waits, outermost first."""
    coroutine = task.get_coro()
    while hasattr(coroutine, "cr_await"):
        yield coroutine.cr_code
        coroutine = coroutine.cr_await


def _waiting_for(task: asyncio.Task) -> asyncio.Task | None:  # type: ignore[type-arg]
    for other in asyncio.all_tasks():
        awaited = other._fut_waiter  # type: ignore[attr-defined]
        if awaited is task or task in getattr(awaited, "_children", ()):
            return other
    return None
