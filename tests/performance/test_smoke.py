"""`make bench`, in small: that it measures, and what it writes. Its times are nobody's business here."""

import json
import subprocess
import sys

from bench.figures import Figure, median
from bench.report import page
from bench.warm import Latencies
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE


def test_small_bench_prints_every_figure_as_a_line() -> None:
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
        "event to lever",
        "rounds before",
        "process start",
        "modules",
        "peak memory",
        "rotations",
        "extraction",
    )
    assert [subject for subject in subjects if not any(f["name"].startswith(subject) for f in figures)] == []


def test_a_figure_tells_how_many_times_its_baseline_it_is() -> None:
    assert json.loads(Figure("a", 3.0, "s", 2.0, "b").line())["ratio"] == 1.5


def test_a_figure_without_a_baseline_has_no_ratio() -> None:
    assert json.loads(Figure("a", 3.0, "s").line())["ratio"] is None


def test_one_slow_run_is_not_what_it_takes() -> None:
    assert median([1.0, 9.0, 1.2]) == 1.2


def test_the_page_has_a_row_for_each_figure() -> None:
    written = page([Figure("a", 1234.0, "calls", 10.0, "b")], machine="a machine", latencies=Latencies(), runs=5)

    assert "| a | 1,234 calls | 10 calls (b) | 123.40 |\n" in written
