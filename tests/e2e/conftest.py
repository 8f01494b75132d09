import pytest

from local.cloud.cloud import LocalCloud
from tests.support.deployment import Road


@pytest.fixture(scope="session")
async def road(deployed: LocalCloud) -> Road:
    return Road(deployed)
