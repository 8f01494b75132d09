"""One local cloud without the app, for every test of the core that needs real sockets, TLS and Azurite."""

from collections.abc import AsyncIterator

import pytest

from local.cloud import LocalCloud, running


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as running_cloud:
        yield running_cloud
