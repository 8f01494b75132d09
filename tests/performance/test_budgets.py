"""Machine-independent budgets of a revocation: rounds, remote calls, rotations, imported modules."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import cold
from bench.storm import WITHIN, Shape, Storm, storm
from bench.warm import Latencies

ONE_SECOND_EACH = Latencies(arm=1000, regenerate=0, table=1000, graph=0)
NOT_BEFORE_REVOCATION = (
    "msgraph",
    "kiota_abstractions",
    "azure.monitor",
    "azure.keyvault",
    "azure.eventgrid",
    "opentelemetry",
    "httpx",
    "shared.followup.service",
    "shared.followup.briefing",
    "shared.followup.incidents",
    "shared.followup.investigation",
    "shared.followup.mail",
    "shared.followup.owners",
    "shared.cloud.graph",
    "shared.cloud.logs",
)


@pytest.fixture(scope="module")
def two_leaks() -> Storm:
    """Two leaks, half a minute apart, of two accounts; the second account is known by then. A call takes a second."""
    return storm(Shape(reports=2, tokens=2, accounts=2), ONE_SECOND_EACH)


@pytest.fixture(scope="module")
def storms() -> tuple[Storm, Storm]:
    """A storm, and one with the same tokens reported five times as often."""
    shapes = (Shape(reports=60, tokens=20, accounts=4), Shape(reports=300, tokens=20, accounts=4))
    return storm(shapes[0], Latencies()), storm(shapes[1], Latencies())


def test_unknown_account_takes_three_rounds_before_regeneration(two_leaks: Storm) -> None:
    assert int(two_leaks.revoked[0]) == 3


def test_known_account_takes_two_rounds_before_regeneration_and_no_lookup(two_leaks: Storm) -> None:
    assert int(two_leaks.revoked[1] - WITHIN / 2) == 2
    assert two_leaks.calls["Resource Graph"] == 2  # the lookup of the first account, and the inventory


def test_storm_regenerates_each_leaked_key_once(storms: tuple[Storm, Storm]) -> None:
    assert [len(each.revoked) for each in storms] == [4, 4]


@pytest.mark.parametrize("kind", ["ARM listKeys", "ARM regenerateKey", "ARM other", "Graph"])
def test_calls_do_not_grow_with_reports(storms: tuple[Storm, Storm], kind: str) -> None:
    once, often = storms

    assert 0 < often.calls[kind] <= once.calls[kind]


def test_resource_graph_is_queried_once_per_account_and_for_the_inventory(storms: tuple[Storm, Storm]) -> None:
    assert [each.calls["Resource Graph"] <= 4 + 1 for each in storms] == [True, True]


@pytest.mark.parametrize("kind", ["Table", "Queue"])
def test_storage_calls_do_not_grow_with_reports(storms: tuple[Storm, Storm], kind: str) -> None:
    once, often = storms

    assert often.calls[kind] <= once.calls[kind] * 1.1


async def test_revocation_imports_no_module_that_only_the_follow_up_needs(tmp_path: Path) -> None:
    [revocation] = await cold.revocations_of_new_processes(tmp_path, Latencies(), runs=1)

    assert all(find_spec(name) for name in NOT_BEFORE_REVOCATION), "a name is not of a module"
    assert "shared.actions.account_key" in revocation.process.modules
    assert [name for name in NOT_BEFORE_REVOCATION if name in revocation.process.modules] == []
