"""What no machine changes about the road to a kill: rounds, remote calls, rotations, and what a kill imports."""

from pathlib import Path

import pytest

from bench import cold
from bench.storm import WITHIN, Shape, Storm, storm
from bench.warm import Latencies

ONE_SECOND_EACH = Latencies(arm=1000, regenerate=0, table=1000, graph=0)
NOT_BEFORE_A_KILL = (
    "msgraph",
    "kiota_abstractions",
    "azure.monitor",
    "azure.keyvault",
    "azure.eventgrid",
    "opentelemetry",
    "httpx",
    "shared.followup.service",
    "shared.report",
)


@pytest.fixture(scope="module")
def two_leaks() -> Storm:
    """Of two accounts, half a minute apart: the second one is in the inventory by then. A call takes a second."""
    return storm(Shape(reports=2, tokens=2, accounts=2), ONE_SECOND_EACH)


@pytest.fixture(scope="module")
def storms() -> tuple[Storm, Storm]:
    """The same tokens, reported five times as often."""
    shapes = (Shape(reports=60, tokens=20, accounts=4), Shape(reports=300, tokens=20, accounts=4))
    return storm(shapes[0], Latencies()), storm(shapes[1], Latencies())


def test_an_account_that_is_not_known_takes_three_rounds_before_the_lever(two_leaks: Storm) -> None:
    assert int(two_leaks.kills[0]) == 3


def test_a_known_account_takes_two_rounds_before_the_lever_and_no_look(two_leaks: Storm) -> None:
    assert int(two_leaks.kills[1] - WITHIN / 2) == 2
    assert two_leaks.calls["Resource Graph"] == 2  # the first one's, and the inventory


def test_a_storm_rotates_each_leaked_key_once(storms: tuple[Storm, Storm]) -> None:
    assert [len(each.kills) for each in storms] == [4, 4]


@pytest.mark.parametrize("kind", ["ARM listKeys", "ARM regenerateKey", "ARM other", "Graph"])
def test_calls_do_not_grow_with_reports(storms: tuple[Storm, Storm], kind: str) -> None:
    once, often = storms

    assert 0 < often.calls[kind] <= once.calls[kind]


def test_resource_graph_is_asked_once_an_account_and_for_the_inventory(storms: tuple[Storm, Storm]) -> None:
    assert [each.calls["Resource Graph"] <= 4 + 1 for each in storms] == [True, True]


@pytest.mark.parametrize("kind", ["Table", "Queue"])
def test_what_is_written_down_does_not_grow_with_reports(storms: tuple[Storm, Storm], kind: str) -> None:
    once, often = storms

    assert often.calls[kind] <= once.calls[kind] * 1.1


async def test_a_kill_imports_nothing_of_what_only_the_follow_up_needs(tmp_path: Path) -> None:
    [kill] = await cold.kills_of_new_processes(tmp_path, Latencies(), runs=1)

    assert "shared.actions.account_key" in kill.seen.modules
    assert [name for name in NOT_BEFORE_A_KILL if name in kill.seen.modules] == []
