"""The data plane of the tests of liveness."""

import pytest

from tests.support.liveness import Plane


@pytest.fixture
def plane() -> Plane:
    return Plane()
