"""What people do in a run: decide on plans, order lockdowns, and change accounts by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from local.tenant.model import AccessPolicy, SignedIdentifier
from shared.api.revocations.requests import OrderRequest
from shared.domain.caller import Caller
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.errors import SasquashError
from tests.simulation.acts import HandRotation, Lock, PutBack
from tests.simulation.leaks import unleaked
from tests.simulation.orders import SAS_PERIOD, Approver, PlannedLockdown
from tests.simulation.policies import ends_in
from tests.simulation.scenario import Decision, Scenario
from tests.simulation.world import ByHand, World

_ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
_BOB = Caller("bob@contoso.com", "00000000-0000-4000-8000-00000000000b", is_person=True)
_CALLERS = {
    Approver.ADA: _ADA,
    Approver.BOB: _BOB,
    Approver.APP: Caller("a pipeline", "00000000-0000-4000-8000-00000000000f"),
}
_APPROVED_AFTER = 100.0  # seconds from an order on
_TRIES, _PAUSE = 6, 400.0  # of a person who gets an error
_CHECKS_EVERY = 20.0
_GIVES_UP_AFTER = 4 * 3600.0


async def decide(world: World, scenario: Scenario) -> None:
    """Have people decide on what waits, as far as the scenario has them do it."""
    for order in scenario.orders:
        for approver in order.approvers:
            await on_a_host(world, partial(_approve, fingerprint=order.finding.fingerprint, by=approver))
    if scenario.decision is Decision.NOTHING:
        return
    for leak in scenario.leaks:
        decision = partial(_decide_on, fingerprint=leak.finding.fingerprint, decision=scenario.decision)
        await on_a_host(world, decision)


async def on_a_host[T](world: World, act: Callable[[Any], Awaitable[T]]) -> T | None:
    """Have somebody act through the app of a host; None where that ends before it answers."""
    host = await world.any_host()
    acting = asyncio.ensure_future(act(host.app))
    ending = asyncio.create_task(host.life.over.wait())
    await asyncio.wait({acting, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    return acting.result() if acting.done() else None


async def lock_down(world: World, planned: PlannedLockdown) -> None:
    """Order a lockdown, have it approved, and undo it, as planned. Who gets an error tries again later."""
    await asyncio.sleep(planned.at)
    fingerprint = await on_a_host(world, partial(_ordered, planned=planned))
    if fingerprint is None:
        return
    world.acts["lockdown ordered"] += 1
    await asyncio.sleep(_APPROVED_AFTER)
    for approver in planned.approvers:
        await on_a_host(world, partial(_approve, fingerprint=fingerprint, by=approver))
    if planned.undone_after is None:
        return
    await asyncio.sleep(planned.undone_after)
    for _ in range(_TRIES):
        if await on_a_host(world, partial(_undone, fingerprint=fingerprint)):
            world.acts["lockdown undone"] += 1
            return
        await asyncio.sleep(_PAUSE)


async def act(world: World, planned: HandRotation | PutBack | Lock) -> None:
    """Change an account without Sasquash."""
    match planned:
        case HandRotation():
            await _rotate(world, planned)
        case PutBack():
            await _put_back(world, planned)
        case Lock():
            await lock(world, planned.account, planned.start, planned.end)


async def lock(world: World, account: str, start: float, end: float) -> None:
    """Put a ReadOnly lock on an account, and remove it."""
    await asyncio.sleep(start)
    locks = world.cloud.accounts[account].locks
    locks.append("ReadOnly")
    world.acts["account locked"] += 1
    await asyncio.sleep(end - start)
    locks.remove("ReadOnly")


async def _rotate(world: World, planned: HandRotation) -> None:
    await asyncio.sleep(planned.at)
    account = world.cloud.accounts[planned.account]
    if planned.lag:
        account.listed = (dict(account.keys), dict(account.key_created))
    await world.cloud.regenerate(account, planned.key_name)
    moment = account.key_created[planned.key_name]
    world.by_hand.append(ByHand(account.name, planned.key_name, moment, world.loop.time()))
    world.acts["key rotated"] += 1
    await asyncio.sleep(planned.lag)
    account.listed = None


async def _put_back(world: World, planned: PutBack) -> None:
    account, policy = world.cloud.accounts[planned.account], planned.policy
    until = world.loop.time() + _GIVES_UP_AFTER
    while not ends_in(account, policy.key, policy.id, now=world.loop.utc_now()):
        if world.loop.time() > until:
            return
        await asyncio.sleep(_CHECKS_EVERY)
    await asyncio.sleep(planned.after)
    back = SignedIdentifier(policy.id, AccessPolicy(None, planned.end, policy.start.permission))
    held = account.policies.get(policy.key, ())
    others = (unleaked(),) if planned.template else tuple(one for one in held if one.id != policy.id)
    world.storage.policies.write(account, policy.key, (*others, back))
    world.put_back[account.name, policy.key, policy.id] += 1
    world.acts["policy put back"] += 1


async def _ordered(app: Any, *, planned: PlannedLockdown) -> str | None:
    action = ActionKind.SAS_EXPIRATION_BLOCK if planned.kind == SAS_PERIOD else ActionKind.LOCKDOWN
    request = OrderRequest(planned.account, action, planned.kind, "It leaks.")
    try:
        record = await app.http.revocations.order(request, caller=_ADA)
    except SasquashError:
        return None  # the person gets an error
    return str(record.fingerprint)


async def _undone(app: Any, *, fingerprint: str) -> bool:
    try:
        await app.http.revocations.undo_lockdown(fingerprint, reason="It is over.", caller=_BOB)
    except SasquashError:
        return False
    return True


async def _approve(app: Any, *, fingerprint: str, by: Approver) -> None:
    try:
        record = await app.fast_path.store.revocations.read(fingerprint)
        if record is not None and record.state is State.AWAITING_APPROVAL and record.plan is not None:
            await app.http.revocations.approve(
                fingerprint, digest=record.plan.digest, reason="Seen.", caller=_CALLERS[by]
            )
    except SasquashError:
        return  # the caller gets an error


async def _decide_on(app: Any, *, fingerprint: str, decision: Decision) -> None:
    try:
        record = await app.fast_path.store.revocations.read(fingerprint)
        if record is not None and record.duplicate_of:
            record = await app.fast_path.store.revocations.read(record.duplicate_of)
        if record is None or record.state is not State.AWAITING_APPROVAL or record.plan is None:
            return
        fingerprint = record.fingerprint
        service, digest = app.http.revocations, record.plan.digest
        acts = []
        if decision is not Decision.REJECT:
            acts.append(service.approve(fingerprint, digest=digest, reason="Ours.", caller=_ADA))
        if decision is not Decision.APPROVE:
            acts.append(service.reject(fingerprint, reason="A test.", caller=_BOB))
        await asyncio.gather(*acts, return_exceptions=True)
        if decision is Decision.APPROVE and not record.proven:  # it takes another person
            await service.approve(fingerprint, digest=digest, reason="Ours, too.", caller=_BOB)
    except SasquashError:
        return  # the person gets an error: the plan still waits
