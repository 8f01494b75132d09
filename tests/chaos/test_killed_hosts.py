"""Whole processes that are killed with SIGKILL, and what must be true when others have gone on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from azure.core.messaging import CloudEvent

from local.network.faults import Effect, Fault
from local.tenant.model import Account
from shared.domain.report import REPORTED, in_text
from shared.domain.revocation import Revocation
from shared.domain.states import State
from tests.chaos.invariants import Leak, violations
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import account_sas
from tests.support.patience import PATIENCE

REGENERATE = "/regenerateKey"
LOAD = 20.0  # seconds of killing
SEEDS = (1, 2)


async def until(check: Callable[[], Awaitable[str]], *, seconds: float = PATIENCE) -> None:
    """Return when `check` has nothing to say; fail with what it says last."""
    said = "nothing was checked"
    try:
        async with asyncio.timeout(seconds):
            while said:
                said = await check()
                await asyncio.sleep(0.25)  # other processes decide when
    except TimeoutError:
        raise AssertionError(said) from None


async def struck(fault: Fault) -> None:
    """Return when a request has met `fault`."""
    async with asyncio.timeout(PATIENCE):
        while not fault.hits:  # noqa: ASYNC110 -- another process decides when
            await asyncio.sleep(0.01)


async def closed(deployment: Deployment, fingerprint: str) -> Revocation:
    """The record, once it is closed."""

    async def check() -> str:
        record = await deployment.record(fingerprint)
        return "" if record is not None and is_closed(record) else f"{record and record.state}"

    await until(check)
    record = await deployment.record(fingerprint)
    assert record is not None
    return record


async def kill_all_and_start_again(deployment: Deployment) -> None:
    await asyncio.gather(*(deployment.cloud.crash_host(number) for number in (0, 1)))
    await asyncio.gather(*(deployment.cloud.start_host(number) for number in (0, 1)))


def mails(deployment: Deployment, account: Account) -> list[str]:
    return [mail.subject for mail in deployment.mails(account)]


# --- new processes


async def test_new_process_revokes_its_first_leak_without_resolving_the_account(deployment: Deployment) -> None:
    def inventories() -> int:
        return len([r for r in deployment.cloud.model.requests if "Microsoft.ResourceGraph" in r.url])

    account = await deployment.account()
    before = inventories()
    await kill_all_and_start_again(deployment)

    async def warmed_up() -> str:
        return "" if inventories() >= before + 2 else f"{inventories() - before} of two have taken an inventory"

    await until(warmed_up)
    asked = inventories()
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await closed(deployment, fingerprint)
    assert (deployment.rotations(account), inventories()) == (["key1"], asked)


# --- killed at moments that matter


@pytest.mark.parametrize(
    ("match", "after"),
    [(REGENERATE, False), (REGENERATE, True), ("/sendMail", False), ("/sendMail", True), ("/items", True)],
    ids=["before the action", "after the action", "before the mail", "after the mail", "after the incident"],
)
async def test_leak_is_closed_by_others_after_its_host_gets_sigkill(
    deployment: Deployment, match: str, *, after: bool
) -> None:
    account = await deployment.account()
    fault = Fault(match=match, effect=Effect.HANG, after=after)
    deployment.cloud.faults.add(fault)
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await struck(fault)
    if after:  # it is carried out before it hangs
        await asyncio.sleep(0.5)
    await kill_all_and_start_again(deployment)
    await closed(deployment, fingerprint)
    assert deployment.rotations(account) == ["key1"]
    assert deployment.incident(fingerprint)["Status"] == "closed"
    assert 1 <= len(mails(deployment, account)) <= (2 if match == "/sendMail" and after else 1)


# --- faults that an action can have


ACTION_FAULTS = {
    "503": (Effect.STATUS, False),
    "503, carried out": (Effect.STATUS, True),
    "hang": (Effect.HANG, False),
    "hang, carried out": (Effect.HANG, True),
    "answer lost": (Effect.RESET, True),
}


async def test_action_with_any_fault_rotates_once_and_the_token_is_revoked(deployment: Deployment) -> None:
    """All at once, each on an account of its own: a successor waits for most of them."""

    async def case(effect: Effect, *, after: bool) -> tuple[list[str], bool]:
        account = await deployment.account()
        old = account.keys["key1"]
        deployment.cloud.faults.add(Fault(match=f"{account.name}{REGENERATE}", effect=effect, after=after))
        [fingerprint] = await deployment.report(account_sas(account.name, old))
        await closed(deployment, fingerprint)
        return deployment.rotations(account), account.keys["key1"] != old

    came = await asyncio.gather(*(case(effect, after=after) for effect, after in ACTION_FAULTS.values()))
    assert dict(zip(ACTION_FAULTS, came, strict=True)) == dict.fromkeys(ACTION_FAULTS, (["key1"], True))


async def test_graph_outage_delays_no_revocation_and_people_are_notified_once_it_is_back(
    deployment: Deployment,
) -> None:
    account = await deployment.account()
    down = Fault(match="graph.microsoft.com", effect=Effect.STATUS, status=503, times=None)
    deployment.cloud.faults.add(down)
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))

    async def proven() -> str:
        record = await deployment.record(fingerprint)
        return "" if record is not None and record.state is State.PROVEN else f"{record and record.state}"

    await until(proven)
    assert (deployment.rotations(account), mails(deployment, account)) == (["key1"], [])
    deployment.cloud.faults.clear()
    await closed(deployment, fingerprint)
    assert (len(mails(deployment, account)), deployment.incident(fingerprint)["Status"]) == (1, "closed")


# --- killed at random, under load


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_rotated_twice_or_lost_when_hosts_get_sigkill(deployment: Deployment, seed: int) -> None:
    rng = random.Random(seed)
    leaks = await leaked(deployment, rng)
    publishing = [asyncio.create_task(publish(deployment, leak, at)) for leak in leaks for at in leak.times]
    ends = asyncio.get_running_loop().time() + LOAD
    while asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        victim = rng.randrange(2)
        await deployment.cloud.crash_host(victim)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await deployment.cloud.start_host(victim)
    await asyncio.gather(*publishing)

    async def check() -> str:
        records = {leak.fingerprint: await deployment.record(leak.fingerprint) for leak in leaks}
        known = {fingerprint: record for fingerprint, record in records.items() if record is not None}
        # A host may crash between sending a mail and recording it.
        found = list(violations(deployment, leaks, known, excused_mails=len(leaks)))
        return f"seed {seed}: {'; '.join(found)}" if found else ""

    await until(check)


async def leaked(deployment: Deployment, rng: random.Random) -> list[Leak]:
    """Return leaks of ten accounts' keys, that are published up to three times each while hosts are killed."""
    leaks = []
    for _ in range(10):
        account = await deployment.account()
        for number in range(rng.choice((1, 2))):
            name = rng.choice(("key1", "key1", "key2"))
            key = account.keys[name]
            text = account_sas(account.name, key, expiry=datetime(2040 + number, 1, 1, tzinfo=UTC))
            [reported] = in_text(text, source="github", url=None, detected_at=datetime.now(UTC))
            found = reported.finding
            times = tuple(rng.uniform(0.0, LOAD) for _ in range(rng.choice((1, 2, 3))))
            leaks.append(Leak(account, name, key, found.fingerprint, found.to_data(), times))
    return leaks


async def publish(deployment: Deployment, leak: Leak, at: float) -> None:
    await asyncio.sleep(at)
    await deployment.publish(
        CloudEvent(source="/tests", type=REPORTED, id=f"{leak.fingerprint}-{at}", data=leak.data)
    )
