"""Leaks that wait for an account's lock, and instances that crash while they hold it."""

import asyncio

import pytest

from shared.domain.finding import Finding
from tests.support.driver import Crashed, Driver, Lifetime, report
from tests.support.patience import PATIENCE

REGENERATE = "/regenerateKey"
TABLES = "https://sasquashstate.table.core.windows.net"
NOTE = f"PUT {TABLES}/accounts(PartitionKey"


async def left_waiting(driver: Driver, finding: Finding) -> None:
    """Have `finding` received and durable, and nothing done about it."""
    driver.fault("/listKeys", times=3)
    await driver.app().fast_path.ingest.receive(report(finding))
    driver.cloud.faults.clear()
    driver.cool_down()


async def crashes(driver: Driver, finding: Finding, life: Lifetime, *, minutes: float = 4) -> None:
    """Have an instance take `finding` and crash where `life` stops it; then let its lock's time pass."""
    task = asyncio.create_task(driver.app(life).fast_path.ingest.receive(report(finding)))
    stopped = asyncio.create_task(life.stopped.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    assert stopped.done(), "the instance never came to where it should crash"
    await noted_if_it_executes(driver, finding)
    life.ended = True
    life.go.set()
    with pytest.raises(Crashed):
        await task
    driver.clock.advance(minutes=minutes)


async def noted_if_it_executes(driver: Driver, finding: Finding) -> None:
    """Wait until the lock says what its holder proved: it is written while the action runs."""
    account = finding.credential.account if finding.credential else None
    async with asyncio.timeout(PATIENCE):
        while 'attributed":[{' not in (await driver.rows(account or ""))["lock"]["Intent"]:
            pass
