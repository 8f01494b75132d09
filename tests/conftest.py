"""What every tier shares: markers, how tests are spread over processes, and the two clouds.

A cloud is started once a process, and only if a test asks for it. `cloud` has no function app: tests of the local
cloud itself, and tests that drive an `App` of their own, use it. `deployed` runs the function app on two hosts:
end-to-end tests use it.
"""

import shlex
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.spreading import TIERS, Spreading, tier_of

if TYPE_CHECKING:
    from local.cloud.cloud import LocalCloud


# Hypothesis itself fails an example that takes 200 ms, and slow generation: on a machine under load both happen.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker of its tier, and begin with what takes long."""
    for item in items:
        item.add_marker(tier_of(item.nodeid))
    items.sort(key=lambda item: TIERS.index(tier_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests by what they share."""
    return Spreading(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to run alone what failed."""
    failed = [report.nodeid for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, [])]
    names = [name for name in dict.fromkeys(failed) if name.startswith("tests/")]
    if names:
        terminalreporter.section("to run alone what failed")
    for name in names:
        terminalreporter.write_line(f"{tier_of(name)}: .venv/bin/python -m pytest {shlex.quote(name)}")


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["LocalCloud"]:
    from local.cloud.cloud import running  # not above: unit tests need none of it

    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as running_cloud:
        yield running_cloud


@pytest.fixture(scope="session")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["LocalCloud"]:
    from local.cloud.cloud import running  # not above: unit tests need none of it

    async with running(folder=tmp_path_factory.mktemp("deployed"), hosts=2) as running_cloud:
        yield running_cloud
