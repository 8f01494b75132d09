"""Verification against a data plane in memory."""

import pytest

from tests.support.data_plane import DataPlane


@pytest.fixture
def plane() -> DataPlane:
    return DataPlane()
