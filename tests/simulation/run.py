"""One run: a seed decides what happens and what goes wrong; afterwards it is judged."""

import asyncio
import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from typing import Any

from local.tenant.model import STATE_ACCOUNT, storage
from shared.domain.caller import Caller
from shared.domain.finding import REPORTED, Finding
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import SasquashError
from tests.simulation import judgment
from tests.simulation.faults import LATEST_ACTION, Schedule
from tests.simulation.loop import EPOCH, JumpingLoop
from tests.simulation.network import REGENERATE
from tests.simulation.scenario import Approver, Decision, Scenario, new_key, plan
from tests.simulation.world import Tokens, World, load_app, simulated_time

_PEOPLE = (
    Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True),
    Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True),
)
_APPROVERS = {
    Approver.ADA: _PEOPLE[0],
    Approver.BOB: _PEOPLE[1],
    Approver.APP: Caller("a pipeline", "00000000-0000-4000-8000-00000000000f"),
}
_ROUNDS = 14  # of the sweep, once faults have stopped
_SWEEP_EVERY = 1260.0  # seconds; a little more than what the sweep waits for
_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|popreceipt=[0-9a-f]+|sig=[^&]+")  # the SDKs' own
_TIMERS_EVERY = 300.0


@dataclass(frozen=True)
class Result:
    """What came of one run. `trace` is the same for the same seed."""

    seed: int
    violations: tuple[str, ...]
    injected: Counter[str]
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
) -> Result:
    """Run one seed. `latest_action`: how much later ARM may carry out a lost call, in seconds.

    `with_orders`: whether the orders of the scenario are given. `graph_down_until` has Graph answer nothing until
    then, whatever the seed says.
    """
    tokens, functions = _shared()
    logging.disable(logging.CRITICAL)
    rng = random.Random(seed)
    scenario = plan(rng, new_key_of=random.Random(f"{seed}/keys"), orders_of=random.Random(f"{seed}/orders"))
    if not with_orders:
        scenario = replace(scenario, orders=())
    if graph_down_until is not None:
        scenario = replace(scenario, graph_down_until=graph_down_until)
    schedule = Schedule.of(rng, until=scenario.faults_until, latest_action=latest_action)
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
    happening = [
        *(
            asyncio.create_task(_report(world, finding, at))
            for leak in scenario.leaks
            for at, finding in leak.reports
        ),
        *(asyncio.create_task(_report(world, order.finding, order.at)) for order in scenario.orders),
        *(asyncio.create_task(_lock(world, account.name, account.locked_until)) for account in scenario.accounts),
    ]
    timers = asyncio.create_task(_keep_time(world))
    await asyncio.sleep(scenario.decided_at)
    await _decide(world, scenario)
    trouble_until = max(scenario.faults_until, scenario.graph_down_until)
    await asyncio.sleep(max(trouble_until - world.loop.time(), 0.0))
    await asyncio.gather(*happening)
    timers.cancel()
    await _settle(world, scenario)
    records = await _records(world)
    found = judgment.violations(world.cloud, scenario, records, excused_mails=world.network.excused_mails)
    found += judgment.written(world.cloud, _stored(world), _secrets(scenario))
    found += [f"a function failed: {failure}" for failure in world.failures if "still" in failure]
    lines = [f"{c.at:9.3f} {c.app} {_RANDOM.sub('…', c.line)} {c.fate}" for c in world.network.calls]
    return Result(
        seed=seed,
        violations=tuple(found),
        injected=schedule.injected,
        kills=schedule.kills,
        rotations=sum(len(account.rotations) for account in world.cloud.accounts.values()),
        records=len(records),
        calls=len(world.network.calls),
        checked=judgment.checked(world.cloud, scenario, records),
        first_rotation=_first(at for a in world.cloud.accounts.values() for _, at in a.rotations),
        first_mail=_first(mail.sent_at for mail in world.cloud.mails),
        mails=len(world.cloud.mails),
        trace=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
        story=(*lines, *world.failures),
    )


async def _report(world: World, finding: Finding, at: float) -> None:
    await asyncio.sleep(at)
    world.publish(
        {
            "specversion": "1.0",
            "id": f"{finding.fingerprint[:20]}-{at:.3f}",
            "source": "/scanners/simulated",
            "type": REPORTED,
            "data": finding.to_data(),
        }
    )


async def _lock(world: World, name: str, until: float) -> None:
    if until:
        world.cloud.accounts[name].locks.append("ReadOnly")
        await asyncio.sleep(until)
        world.cloud.accounts[name].locks.clear()


async def _keep_time(world: World) -> None:
    """Run the timer functions, as the timers of any one host would."""
    while True:
        await asyncio.sleep(_TIMERS_EVERY)
        await _tick(world)


async def _tick(world: World) -> None:
    for name in ("sweep", "collect_dead_letters", "send_digest"):
        host = await world.any_host()
        running = asyncio.create_task(host.run(name, None))
        ending = asyncio.create_task(host.life.over.wait())
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()


async def _decide(world: World, scenario: Scenario) -> None:
    """Have people decide on what waits, as far as the scenario has them do it."""
    for order in scenario.orders:
        for approver in order.approvers:
            await _on_a_host(world, partial(_approve_order, fingerprint=order.finding.fingerprint, by=approver))
    if scenario.decision is Decision.NOTHING:
        return
    for leak in scenario.leaks:
        decide = partial(_decide_on, fingerprint=leak.finding.fingerprint, decision=scenario.decision)
        await _on_a_host(world, decide)


async def _on_a_host(world: World, act: Callable[[Any], Awaitable[None]]) -> None:
    """Have somebody act through the app of a host, as long as that lives."""
    host = await world.any_host()
    acting = asyncio.ensure_future(act(host.app))
    ending = asyncio.create_task(host.life.over.wait())
    await asyncio.wait({acting, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()


async def _approve_order(app: Any, *, fingerprint: str, by: Approver) -> None:
    try:
        record = await app.fast_path.store.revocations.read(fingerprint)
        if record is not None and record.state is State.AWAITING_APPROVAL and record.plan is not None:
            await app.http.revocations.approve(
                fingerprint, digest=record.plan.digest, reason="Seen.", caller=_APPROVERS[by]
            )
    except SasquashError:
        return  # the caller gets an error


async def _decide_on(app: Any, *, fingerprint: str, decision: Decision) -> None:
    try:
        record = await app.fast_path.store.revocations.read(fingerprint)
        if record is None or record.state is not State.AWAITING_APPROVAL or record.plan is None:
            return
        acts = []
        if decision is not Decision.REJECT:
            acts.append(
                app.http.revocations.approve(
                    fingerprint, digest=record.plan.digest, reason="Ours.", caller=_PEOPLE[0]
                )
            )
        if decision is not Decision.APPROVE:
            acts.append(app.http.revocations.reject(fingerprint, reason="A test.", caller=_PEOPLE[1]))
        await asyncio.gather(*acts, return_exceptions=True)
    except SasquashError:
        return  # the person gets an error: the plan still waits


async def _settle(world: World, scenario: Scenario) -> None:
    """Let everything come to its end: no fault any more, and the timers go on."""
    for _ in range(_ROUNDS):
        await world.until_at_rest()
        await _tick(world)
        still = world.storage.tables(STATE_ACCOUNT).tables["states"].get("open")
        if world.at_rest and not still and world.loop.time() > scenario.graph_down_until:
            break
        await asyncio.sleep(_SWEEP_EVERY)
    await world.until_at_rest()


async def _records(world: World) -> dict[str, Revocation]:
    host = await world.any_host()
    rows = world.storage.tables(STATE_ACCOUNT).tables["revocations"]
    fingerprints = [key for held in rows.values() for key in held if "~" not in key]
    found = [await host.app.fast_path.store.revocations.read(fingerprint) for fingerprint in fingerprints]
    return {record.fingerprint: record for record in found if record is not None}


def _stored(world: World) -> list[str]:
    tables = world.storage.tables(STATE_ACCOUNT).tables
    texts = [str(entity.properties) for rows in tables.values() for held in rows.values() for entity in held.values()]
    for queue in world.storage.queues(STATE_ACCOUNT).queues.values():
        texts += [message.text for message in queue]
    return texts


def _secrets(scenario: Scenario) -> list[str]:
    return [secret for leak in scenario.leaks for secret in judgment.signatures(leak)] + [
        key for account in scenario.accounts for key in account.keys.values()
    ]


def rotated_twice(result: Result) -> bool:
    """Whether the run shows a key that was rotated twice."""
    return any("was rotated" in violation and "times" in violation for violation in result.violations)


def regenerations_sent(result: Result) -> int:
    """How often regenerateKey was sent."""
    return sum(REGENERATE in line for line in result.story)
