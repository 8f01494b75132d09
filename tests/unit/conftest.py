"""A unit test has no socket: whatever would open one fails. What the tests of the pure packages reach is measured."""

import os
from pathlib import Path

import pytest
from coverage import Coverage
from pytest_socket import disable_socket

UNIT = Path(__file__).parent
PURE = (UNIT / "sas", UNIT / "domain/decision")


if missing := [path for path in PURE if not path.is_dir()]:
    raise FileNotFoundError(f"No tests of the pure packages in {missing}")


def is_pure(item: pytest.Item) -> bool:
    """Whether a test counts where the coverage of the pure packages is measured."""
    return any(item.path.is_relative_to(path) for path in PURE)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup() -> None:
    """Allow Unix sockets alone (an event loop has a pair); pytest-socket lifts it after each test."""
    disable_socket(allow_unix_socket=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is measured."""
    if Coverage.current() is not None:
        items.sort(key=lambda item: not is_pure(item))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Measure no other tests, and no process that a test starts: a branch counts if a test of its own reaches it."""
    measuring = Coverage.current()
    if measuring is not None:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)  # pytest-xdist's own processes run by now
        if not is_pure(item):
            measuring.stop()
