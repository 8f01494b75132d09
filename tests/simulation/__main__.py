"""`python -m tests.simulation --seeds 2000`: runs seeds on all cores, prints what was injected and found.

A seed that fails is printed with its number; `--seed N` runs it again, with its story.
"""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import batched

_BATCH = 20


@dataclass
class Summary:
    """What many runs came to."""

    seeds: int = 0
    calls: int = 0
    kills: int = 0
    rotations: int = 0
    records: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    failed: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def add(self, other: "Summary") -> None:
        """Count in what another process has run."""
        for name in ("seeds", "calls", "kills", "rotations", "records"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.injected += other.injected
        self.acts += other.acts
        self.checked += other.checked
        self.failed |= other.failed


def run_batch(seeds: tuple[int, ...]) -> Summary:
    """Run some seeds in this process."""
    from tests.simulation.run import run

    gc.freeze()
    gc.disable()  # once a batch is enough, and a fifth of the time otherwise
    summary = Summary()
    for seed in seeds:
        result = run(seed)
        summary.add(
            Summary(
                1,
                result.calls,
                result.kills,
                result.rotations,
                result.records,
                result.injected,
                result.acts,
                result.checked,
                {seed: result.violations} if result.violations else {},
            )
        )
    gc.collect()
    return summary


def simulate(first: int, count: int, *, say: bool = True) -> Summary:
    """Run `count` seeds from `first` on, on all cores."""
    whole = Summary()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for summary in pool.map(run_batch, batched(range(first, first + count), _BATCH, strict=False)):
            whole.add(summary)
            for seed, violations in summary.failed.items():
                if say:
                    print(f"seed {seed}: {'; '.join(violations)}", flush=True)
    return whole


def main() -> int:
    """Return 0 where every invariant held in every run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="run this one alone, and tell its story")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what a seed decides
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    if options.seed is not None:
        return _tell(options.seed)
    started = time.monotonic()
    summary = simulate(options.first, options.seeds)
    faults = ", ".join(f"{count} {name}" for name, count in summary.injected.most_common())
    took = time.monotonic() - started
    rate = summary.seeds / took
    print(f"{summary.seeds} seeds in {took:.0f} s ({rate:.1f} a second), {summary.calls} remote calls")
    print(f"faults injected: {faults}; {summary.kills} hosts killed")
    print(f"people: {', '.join(f'{count} {name}' for name, count in summary.acts.most_common()) or 'nothing'}")
    for invariant, count in summary.checked.items():
        print(f"checked {count} times: {invariant}")
    print(f"{summary.records} records, {summary.rotations} rotations, {len(summary.failed)} seeds with violations")
    return 1 if summary.failed else 0


def _tell(seed: int) -> int:
    from tests.simulation.run import run

    result = run(seed)
    print("\n".join(result.story))
    print(f"trace {result.trace}; " + ("; ".join(result.violations) or "every invariant held"))
    return 1 if result.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
