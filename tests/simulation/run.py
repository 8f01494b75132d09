"""One run: a seed decides what happens and what goes wrong; afterwards it is judged."""

import asyncio
import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from azure.keyvault.secrets._shared import http_challenge_cache

from local.tenant.model import storage
from shared.domain.report import REPORTED
from tests.simulation import judgment, people
from tests.simulation.accounts import new_key
from tests.simulation.faults import LATEST_ACTION, Schedule
from tests.simulation.features import Feature
from tests.simulation.hosts import Tokens, load_app
from tests.simulation.judgment.case import Case
from tests.simulation.letters import DeadLetter
from tests.simulation.loop import EPOCH, JumpingLoop
from tests.simulation.network import REGENERATE
from tests.simulation.scenario import Scenario, plan
from tests.simulation.world import World, simulated_time

_ROUNDS = 14  # of the sweep, once faults have stopped
_SWEEP_EVERY = 1260.0  # seconds; a little more than what the sweep waits for
_ROUNDS_A_DAY = 4
_CALLS, _CALLS_A_LEAK, _CALLS_A_SECOND = 3000, 1200, 0.3  # a run that makes more goes round in circles
_RANDOM = re.compile(  # the SDKs' own, and those of services
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|popreceipt=[0-9a-f]+|sig=[^&]+|/[0-9a-f]{32}"
)
_TIMERS_EVERY, _AT_FIRST = 300.0, 900.0


@dataclass(frozen=True)
class Result:
    """What came of one run. `trace` is the same for the same seed."""

    seed: int
    violations: tuple[str, ...]
    injected: Counter[str]
    acts: Counter[str]
    kills: int
    rotations: int
    records: int
    calls: int
    checked: Counter[str]
    first_rotation: float | None  # seconds of the loop's clock
    first_mail: float | None
    mails: int
    trace: str
    story: tuple[str, ...] = field(default=(), repr=False)


@cache
def _shared() -> tuple[Tokens, dict[str, Callable[[Any], Any]]]:
    """What all runs of a process share: the tenant's tokens, and the app's functions."""
    return Tokens(), load_app()


def _first(moments: Iterable[datetime]) -> float | None:
    return min(((moment - EPOCH).total_seconds() for moment in moments), default=None)


def run(
    seed: int,
    *,
    latest_action: float = LATEST_ACTION,
    graph_down_until: float | None = None,
    with_orders: bool = True,
    features: frozenset[Feature] | None = None,
) -> Result:
    """Run one seed. `latest_action`: how much later ARM may carry out a lost call, in seconds.

    `with_orders`: whether the orders of the scenario are given. `graph_down_until` has Graph answer nothing until
    then, and the run has these `features`, whatever the seed says.
    """
    tokens, functions = _shared()
    http_challenge_cache.clear()  # the SDK's, of the process: else a seed depends on those before it
    logging.disable(logging.CRITICAL)
    scenario = plan(seed, features)
    if not with_orders:
        scenario = replace(scenario, orders=())
    if graph_down_until is not None:
        scenario = replace(scenario, graph_down_until=graph_down_until)
    faults = random.Random(f"{seed}/faults")
    schedule = Schedule.of(faults, until=scenario.faults_until, latest_action=latest_action)
    schedule.loses_first_action = any(one.after_loss for one in scenario.refusals)
    loop = JumpingLoop()
    loop.set_exception_handler(lambda _loop, _context: None)  # killed hosts leave tasks behind
    keys = random.Random(f"{seed}/new keys")
    real_key = storage.new_storage_key
    storage.new_storage_key = lambda: new_key(keys)
    try:
        asyncio.set_event_loop(loop)
        with simulated_time(loop):
            return loop.run_until_complete(_run(seed, scenario, schedule, tokens, functions))
    finally:
        storage.new_storage_key = real_key
        bury(loop)
        asyncio.set_event_loop(None)
        logging.disable(logging.NOTSET)


def bury(loop: JumpingLoop) -> None:
    """Close a loop with what runs on it: hosts, and what killed hosts left behind."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    for _ in range(50):
        if all(task.done() for task in tasks):
            break
        loop.run_until_complete(asyncio.sleep(0))
        for task in tasks:
            task.cancel()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


async def _run(
    seed: int, scenario: Scenario, schedule: Schedule, tokens: Tokens, functions: dict[str, Callable[[Any], Any]]
) -> Result:
    world = World(seed, scenario, schedule, tokens=tokens, functions=functions)
    many = len(scenario.leaks) + len(scenario.letters) // 4
    world.most_calls = _CALLS + many * (_CALLS_A_LEAK + scenario.trouble_until * _CALLS_A_SECOND)
    happening = [
        *(asyncio.create_task(_report(world, data, at)) for leak in scenario.leaks for at, data in leak.reports),
        *(asyncio.create_task(_report(world, order.finding.to_data(), order.at)) for order in scenario.orders),
        *(asyncio.create_task(_leave(world, letter)) for letter in scenario.letters),
        *(asyncio.create_task(people.lock_down(world, lockdown)) for lockdown in scenario.lockdowns),
        *(asyncio.create_task(people.act(world, act)) for act in scenario.acts),
        *(
            asyncio.create_task(people.lock(world, account.name, 0.0, account.locked_until))
            for account in scenario.accounts
            if account.locked_until
        ),
    ]
    timers = asyncio.create_task(_keep_time(world))
    await asyncio.sleep(scenario.decided_at)
    await people.decide(world, scenario)
    await asyncio.sleep(max(scenario.trouble_until - world.loop.time(), 0.0))
    await asyncio.gather(*happening)
    timers.cancel()
    await _settle(world, scenario)
    case = await Case.of(world)
    found = judgment.violations(case)
    found += [f"a function failed: {failure}" for failure in world.failures if "Standstill" in failure]
    lines = [f"{c.at:9.3f} {c.app} {_RANDOM.sub('…', c.line)} {c.fate}" for c in world.network.calls]
    return Result(
        seed=seed,
        violations=tuple(found),
        injected=schedule.injected,
        acts=world.acts,
        kills=schedule.kills,
        rotations=sum(len(account.rotations) for account in world.cloud.accounts.values()),
        records=len(case.records),
        calls=len(world.network.calls),
        checked=judgment.checked(case),
        first_rotation=_first(at for a in world.cloud.accounts.values() for _, at in a.rotations),
        first_mail=_first(mail.sent_at for mail in world.cloud.mails),
        mails=len(world.cloud.mails),
        trace=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
        story=(*_planned(scenario), *lines, *world.failures, *case.story),
    )


def _planned(scenario: Scenario) -> Iterable[str]:
    """Yield what the scenario is, for a reader of the story."""
    yield f"features: {', '.join(sorted(scenario.features)) or 'none'}; {scenario.settings}; {scenario.decision}"
    yield from (f"leak {leak.finding.fingerprint[:12]}: {leak.name} at {leak.times}" for leak in scenario.leaks)
    yield from map(str, (*scenario.refusals, *scenario.acts, *scenario.lockdowns, *scenario.poison))
    yield from (f"row {row.table}/{row.partition}/{row.row}: {row.form}" for row in scenario.rows)


async def _report(world: World, data: dict[str, Any], at: float) -> None:
    await asyncio.sleep(at)
    digest = hashlib.sha256(str(data).encode()).hexdigest()
    world.publish(
        {
            "specversion": "1.0",
            "id": f"{digest[:20]}-{at:.3f}",
            "source": "/scanners/simulated",
            "type": REPORTED,
            "data": data,
        }
    )


async def _leave(world: World, letter: DeadLetter) -> None:
    await asyncio.sleep(letter.at)
    await world.dead_letter(letter.name, letter.content)


async def _keep_time(world: World) -> None:
    """Run the timer functions, as the timers of any one host would; less often once little happens any more."""
    while True:
        await asyncio.sleep(_TIMERS_EVERY if world.loop.time() < _AT_FIRST else _SWEEP_EVERY)
        await _tick(world)


async def _tick(world: World) -> None:
    names = ["sweep", "collect_dead_letters", "send_digest"]
    if world.loop.utc_now() >= world.next_daily:
        names.append("look_again")
        world.next_daily += timedelta(days=1)
    for name in names:
        host = await world.any_host()
        running = asyncio.create_task(host.run(name, None))
        ending = asyncio.create_task(host.life.over.wait())
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()


async def _settle(world: World, scenario: Scenario) -> None:
    """Let everything come to its end: no fault any more, and the timers go on."""
    await _come_to_rest(world, _ROUNDS)
    for _ in range(scenario.days if not world.is_storming else 0):
        await asyncio.sleep(max((world.next_daily - world.loop.utc_now()).total_seconds(), 0.0))
        await _come_to_rest(world, _ROUNDS_A_DAY)
    await world.until_at_rest()


async def _come_to_rest(world: World, rounds: int) -> None:
    for _ in range(rounds):
        await world.until_at_rest()
        await _tick(world)
        if world.is_storming or (world.at_rest and not world.has_work_left):
            break
        await asyncio.sleep(_SWEEP_EVERY)


def rotated_twice(result: Result) -> bool:
    """Whether the run shows a key that was rotated twice."""
    return any("was rotated" in violation and "times" in violation for violation in result.violations)


def regenerations_sent(result: Result) -> int:
    """How often regenerateKey was sent."""
    return sum(REGENERATE in line for line in result.story)
