"""docs/benchmarks.md: the figures, what they were measured on and how to read them."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.warm import Latencies

_INTRODUCTION = """# Benchmarks

For whoever asks how fast a leak dies, and for whoever changes something on that road. `make bench` measures again and
writes this page. The seconds of two machines can't be compared; their ratios can.

Measured on {machine}; medians of {runs} kills.
The local cloud, Azurite and the app shared the processor.

The cloud is local, and takes about as long as Azure's services do: ARM {arm} ms, regenerateKey {regenerate} ms, Table
and Queue {table} ms, Graph {graph} ms. A floor is the sum of these on the shortest chain that is safe: the account is
looked up while the finding is written down, it is locked, its keys are listed. One that is known is locked while the
finding is written down. What a figure is above its floor, Sasquash and the machine have added.
"""

_NOTES = """
## How to read them

- **Rounds** are remote calls that had to come one after the other before `regenerateKey` was sent.
- **Cold** is from the start of the host's process. The empty app runs in the same host and Functions worker, and has
  one Event Grid trigger that does nothing; what Azure itself takes until the process starts is not in it.
- **Storm**: the product's code in one process without sockets, against simulated services on a clock that jumps. The
  seconds until the last kill are of that clock: an account rests for ten seconds between two listings of its keys,
  and leaks that come meanwhile are decided together. Reports handled a second, and memory, are those of the simulated
  services too. The calls hold the follow-up: proof, incident, mail.
- A **repeat** of a report within half a minute costs no remote call, so calls grow with tokens and time, not with
  reports.
- **A thousand accounts** in one subscription take about an hour: ARM takes 1,200 writes an hour there, and Sasquash
  stays below. What was decided on and waits asks for nothing but its own record meanwhile.
- **Extraction** reads a text once more for each way in which something in it is encoded, six times at the most.

## What was tried

- **The warm road.** Kept: the record, the waiting row, the queued message and the look for the account in one round;
  of a known account the lock too
  ([decision 24](decisions/0024-a-known-account-is-locked-while-its-leak-is-written-down.md)). Not safe: the list of
  keys in that round, since it may be older than the lock.
- **The first kill of a process.** Kept: tokens, inventory and the credential's modules in the background
  ([decision 25](decisions/0025-a-new-process-warms-up-on-its-own-loop.md)). Once that is done the first event takes
  0.17 s to the lever instead of 0.27; an event that comes at once loses nothing by it, and gains nothing.
- **The cold start.** Kept: Graph, Monitor, Key Vault, Event Grid and OpenTelemetry are imported after the kill, on a
  thread. Not kept: the app's own modules on a thread. It has the app served 0.13 s sooner and no leak killed sooner,
  and would show a broken package with the first leak only. What is left to import is a fifth aiohttp, a tenth ARM's
  models, a twelfth `requests`, which the storage SDKs import and the app never uses.
- **Storms.** Kept: repeats are known in memory ([decision 23](decisions/0023-repeats-and-an-inventory-in-memory.md)),
  and a lever that waits for ARM asks for its own record only
  ([decision 26](decisions/0026-a-lever-that-waits-for-arm-has-its-change-counted-first.md)).

No test asserts a time. What no machine changes is asserted in `tests/performance`: rounds, calls, rotations, and that
an action imports nothing of Graph, Monitor or Key Vault.
"""


def page(figures: Sequence[Figure], *, machine: str, latencies: Latencies, runs: int) -> str:
    """Return the page."""
    introduction = _INTRODUCTION.format(
        machine=machine,
        runs=runs,
        arm=latencies.arm,
        regenerate=latencies.regenerate,
        table=latencies.table,
        graph=latencies.graph,
    )
    head = "| | Value | Against | Ratio |\n|---|---|---|---|\n"
    return introduction + "\n" + head + "".join(_row(figure) for figure in figures) + _NOTES


def _row(figure: Figure) -> str:
    against = f"{_number(figure.baseline)} {figure.unit} ({figure.against})" if figure.baseline is not None else ""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return f"| {figure.name} | {_number(figure.value)} {figure.unit} | {against} | {ratio} |\n"


def _number(value: float) -> str:
    """Three digits that count, thousands apart."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
