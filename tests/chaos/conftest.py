from collections.abc import AsyncIterator

import pytest

from local.cloud.cloud import LocalCloud, running
from tests.chaos.host import QUEUE_FACTOR
from tests.support.deployment import Deployment


@pytest.fixture(scope="session")
async def mortal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    """A cloud with two hosts that may be killed, and that wait for a tenth of the time."""
    folder = tmp_path_factory.mktemp("mortal")
    async with running(folder=folder, hosts=2, host_module="tests.chaos.host", time_factor=QUEUE_FACTOR) as cloud:
        yield cloud


@pytest.fixture
async def deployment(mortal: LocalCloud) -> AsyncIterator[Deployment]:
    yield Deployment(mortal)
    mortal.faults.clear()
