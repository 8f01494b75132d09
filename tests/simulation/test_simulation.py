"""The simulator itself: it is deterministic, it sees what is broken, and the product passes it."""

import os
import subprocess
import sys

import pytest

from tests.simulation.broken import BUILDS, Broken
from tests.support.paths import ROOT

SEEDS = int(os.environ.get("SASQUASH_SIMULATED_SEEDS", "120"))
BUDGET = 150  # seeds within which a build that is broken on purpose must be caught

CAUGHT = """
import sys
from tests.simulation.broken import first_caught
print(first_caught(sys.argv[1], range(int(sys.argv[2]))))
"""
TRACES = """
from tests.simulation.run import run
print(*(run(seed).trace for seed in (3, 14, 26, 54)))
"""
RISK = """
from tests.simulation.run import rotated_twice, run
options = {"latest_action": 900.0, "with_orders": False, "features": frozenset()}
found = (seed for seed in range(160, 400) if rotated_twice(run(seed, **options)))
print(next(found, ""))
"""


GRAPH_DOWN = """
from tests.simulation.run import run
results = [run(seed, graph_down_until=7200.0, features=frozenset()) for seed in range(200, 210)]
assert not [v for r in results for v in r.violations], [r.violations for r in results]
killed = [r for r in results if r.rotations]
print(len(killed), max(r.first_rotation for r in killed), min(r.first_mail for r in killed))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the hash seed that a replay needs."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_invariant_holds_in_every_run() -> None:
    finished = python("-m", "tests.simulation", "--seeds", str(SEEDS))
    print(finished.stdout)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("broken", BUILDS, ids=lambda broken: broken.name)
def test_build_that_is_broken_on_purpose_is_caught(broken: Broken) -> None:
    finished = python("-c", CAUGHT, broken.name, str(BUDGET))
    assert finished.stdout.strip(), f"{BUDGET} seeds saw nothing. {finished.stderr}"


def test_a_seed_replays() -> None:
    first, second = python("-c", TRACES), python("-c", TRACES)
    assert first.stdout == second.stdout
    assert len(set(first.stdout.split())) == 4, first.stderr


def test_graph_outage_of_two_hours_delays_no_revocation_and_all_is_notified_once_afterwards() -> None:
    finished = python("-c", GRAPH_DOWN)
    assert finished.returncode == 0, finished.stderr
    killed, last_kill, first_mail = (float(word) for word in finished.stdout.split())
    assert (killed > 5, last_kill < 7200, first_mail >= 7200) == (True, True, True)


def test_the_risk_that_remains_can_be_shown() -> None:
    """ARM carries a lost call out minutes after a successor has checked (design decision 9)."""
    assert python("-c", RISK).stdout.strip()
