"""`python -m bench`: measure, print a JSON line per figure, and write docs/benchmarks.md with `--write`.

`--small` is a smoke test: everything once, with small sizes. Its figures are not meaningful.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from bench import cold, hostile, scanners, storm, throughput, warm
from bench.figures import Figure
from bench.report import page
from bench.storm import Shape
from bench.warm import Latencies

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_RUNS = 5
_STORMS = (
    Shape(reports=1_000, tokens=100, accounts=10),
    Shape(reports=3_000, tokens=100, accounts=10),
    Shape(reports=10_000, tokens=100, accounts=10),
    Shape(reports=10_000, tokens=1_000, accounts=1_000),
)
_SHORT_REPORT = 200_000  # bytes
_SMALL_STORMS = (Shape(reports=40, tokens=8, accounts=2), Shape(reports=80, tokens=8, accounts=2))


def main() -> int:
    """Measure and return 0. Raises the first failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure how fast Sasquash is on this machine."
    )
    parser.add_argument("--small", action="store_true", help="run everything once, with small sizes")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=_RUNS, help=f"revocations per median ({_RUNS})")
    for name, default in (("arm", 80), ("regenerate", 600), ("table", 10), ("graph", 150)):
        parser.add_argument(f"--{name}-ms", type=int, default=default, help=f"injected latency (default {default})")
    options = parser.parse_args()
    latencies = Latencies(options.arm_ms, options.regenerate_ms, options.table_ms, options.graph_ms)
    figures = asyncio.run(_measure(latencies, runs=1 if options.small else options.runs, small=options.small))
    if options.write:
        _PAGE.write_text(page(figures, machine=_machine(), latencies=latencies, runs=options.runs))
        print(f"Written to {_PAGE.name}.", file=sys.stderr)
    return 0


async def _measure(latencies: Latencies, *, runs: int, small: bool) -> list[Figure]:
    measured = []
    async for figure in _figures(latencies, runs=runs, small=small):
        print(figure.line(), flush=True)
        measured.append(figure)
    return measured


async def _figures(latencies: Latencies, *, runs: int, small: bool) -> AsyncIterator[Figure]:
    """Yield every figure, measured one after the other, since parallel runs would affect each other."""
    async for figure in warm.figures(latencies, runs=runs):
        yield figure
    async for figure in cold.figures(latencies, runs=runs):
        yield figure
    async for figure in hostile.figures(latencies, runs=runs, **({"length": _SHORT_REPORT} if small else {})):
        yield figure
    for figure in storm.figures(_SMALL_STORMS if small else _STORMS, latencies):
        yield figure
    for figure in throughput.figures(runs=runs, tokens=40 if small else 2_000):
        yield figure
    for figure in scanners.figures(runs=runs, small=small):
        yield figure


def _machine() -> str:
    """Return a line about the machine and its versions."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()} {platform.release().split('-')[0]}, "
        f"CPython {platform.python_version()}, azure-functions {version('azure-functions')}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
