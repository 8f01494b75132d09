import pytest

from local.cloud import LocalCloud
from tests.roads.road import Road


@pytest.fixture(scope="session")
async def road(deployed: LocalCloud) -> Road:
    return Road(deployed)
