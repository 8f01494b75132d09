"""What every tier shares: markers, how tests are spread over processes, and the two clouds.

A cloud is started once a process, and only if a test asks for it. `cloud` has no function app: tests of the local
cloud itself, and tests that drive a `Worker` of their own, use it. `deployed` runs the function app on two hosts:
tests of whole roads use it.
"""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local.cloud import LocalCloud

TESTS = Path(__file__).parent
# In the order in which they begin: what takes long in one piece comes first, and small things fill the end.
TIERS = ("chaos", "e2e", "performance", "simulation", "contract", "integration", "local", "unit", "tools")
# Tests that each stand alone are spread one by one. The others go together: those of these tiers by what they share
# (hosts that take seconds to start), the rest by file.
SPREAD = ("integration", "simulation")
TOGETHER = ("chaos", "e2e")
ALONE = ("test_package.py", "test_demo.py")  # of e2e: these start hosts of their own


def tier_of(path: Path) -> str:
    """The folder of `tests` that a test is in."""
    return path.relative_to(TESTS).parts[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker of its tier and what it shares a process with (`--dist loadgroup`)."""
    for item in items:
        tier = tier_of(item.path)
        item.add_marker(tier)
        if tier not in SPREAD:
            shares = tier if tier in TOGETHER and item.path.name not in ALONE else str(item.path.relative_to(TESTS))
            item.add_marker(pytest.mark.xdist_group(shares))
    items.sort(key=lambda item: TIERS.index(tier_of(item.path)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to run alone what failed."""
    grouped = terminalreporter.config.getoption("dist", "no") == "loadgroup"
    failed = [report.nodeid for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, [])]
    lines = dict.fromkeys(_alone(nodeid, grouped=grouped) for nodeid in failed if nodeid.startswith("tests/"))
    if lines:
        terminalreporter.section("to run alone what failed")
        terminalreporter.write_line("\n".join(lines))


def _alone(nodeid: str, *, grouped: bool) -> str:
    """The tier of a test, and the command that runs it alone."""
    tier = nodeid.split("/")[1]
    if grouped and tier not in SPREAD:
        nodeid = nodeid.rpartition("@")[0] or nodeid  # pytest-xdist has put the group there
    return f"{tier}: .venv/bin/python -m pytest {shlex.quote(nodeid)}"


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["LocalCloud"]:
    from local.cloud import running  # not above: unit tests need none of it

    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as running_cloud:
        yield running_cloud


@pytest.fixture(scope="session")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["LocalCloud"]:
    from local.cloud import running  # not above: unit tests need none of it

    async with running(folder=tmp_path_factory.mktemp("deployed"), hosts=2) as running_cloud:
        yield running_cloud
