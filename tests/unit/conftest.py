"""A unit test has no socket: whatever would open one fails."""

import pytest
from pytest_socket import disable_socket


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup() -> None:
    """Allow Unix sockets alone (an event loop has a pair); pytest-socket lifts it after each test."""
    disable_socket(allow_unix_socket=True)
