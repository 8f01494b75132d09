"""Hosts that get SIGKILL while they read a finding from the queue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from local.cloud.cloud import LocalCloud, running
from local.network.faults import Effect, Fault
from tests.chaos.host import QUEUE_FACTOR
from tests.chaos.test_killed_hosts import closed, kill_all_and_start_again, struck
from tests.support.deployment import Deployment
from tests.support.leaks import account_sas


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("mortal-private")
    async with running(
        folder=folder, hosts=2, host_module="tests.chaos.host", time_factor=QUEUE_FACTOR, private=True
    ) as cloud:
        yield cloud


@pytest.mark.parametrize(
    ("match", "after"),
    [("table.core.windows.net/revocations", False), ("/regenerateKey", False), ("/regenerateKey", True)],
    ids=["before the record", "before the action", "after the action"],
)
async def test_finding_is_revoked_once_after_its_host_gets_sigkill(
    network: LocalCloud, match: str, *, after: bool
) -> None:
    """Before the record is written, only the message in the queue knows of the leak."""
    deployment = Deployment(network)
    account = await deployment.account()
    fault = Fault(match=match, effect=Effect.HANG, after=after)
    network.faults.add(fault)
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await struck(fault)
    if after:  # it is carried out before it hangs
        await asyncio.sleep(0.5)
    await kill_all_and_start_again(deployment)
    network.faults.clear()
    await closed(deployment, fingerprint)

    assert deployment.rotations(account) == ["key1"]
    assert deployment.incident(fingerprint)["Status"] == "closed"
