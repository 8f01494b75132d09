import pytest

from local.cloud.cloud import LocalCloud
from tests.support.deployment import Deployment


@pytest.fixture(scope="session")
async def deployment(deployed: LocalCloud) -> Deployment:
    return Deployment(deployed)
