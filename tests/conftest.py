"""The two clouds that tests share, each started once a run and only if a test asks for it.

`cloud` has no function app: tests of the local cloud itself, and tests that drive a `App` of their own, use it.
`deployed` runs the function app on two hosts: tests of whole roads use it.
"""

from collections.abc import AsyncIterator

import pytest

from local.cloud.cloud import LocalCloud, running


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as running_cloud:
        yield running_cloud


@pytest.fixture(scope="session")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("deployed"), hosts=2) as running_cloud:
        yield running_cloud
