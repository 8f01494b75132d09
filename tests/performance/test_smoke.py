"""`make bench` with small sizes: that it measures, and what it writes. Times are not asserted."""

import json
import subprocess
import sys

from bench.figures import Figure, median
from bench.report import page
from bench.warm import Latencies
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE


def test_small_benchmark_prints_a_line_per_figure() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "bench", "--small", "--arm-ms", "20", "--regenerate-ms", "50"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    figures = [json.loads(line) for line in finished.stdout.splitlines()]
    assert all(set(figure) == {"name", "value", "unit", "baseline", "against", "ratio"} for figure in figures)
    subjects = (
        "event to regenerateKey",
        "rounds before",
        "process start",
        "modules",
        "peak memory",
        "rotations",
        "extraction",
        "longest response to a hostile report",
    )
    assert [subject for subject in subjects if not any(f["name"].startswith(subject) for f in figures)] == []


def test_figure_has_its_ratio_to_the_baseline() -> None:
    assert json.loads(Figure("a", 3.0, "s", 2.0, "b").line())["ratio"] == 1.5


def test_figure_without_baseline_has_no_ratio() -> None:
    assert json.loads(Figure("a", 3.0, "s").line())["ratio"] is None


def test_median_ignores_one_slow_run() -> None:
    assert median([1.0, 9.0, 1.2]) == 1.2


def test_page_has_a_row_per_figure() -> None:
    written = page([Figure("a", 1234.0, "calls", 10.0, "b")], machine="a machine", latencies=Latencies(), runs=5)

    assert "| a | 1,234 calls | 10 calls (b) | 123.40 |\n" in written
