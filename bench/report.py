"""Renders docs/benchmarks.md: the figures, the machine, and how to read them."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.warm import Latencies

_INTRODUCTION = """# Benchmarks

How fast Sasquash revokes a leaked credential, and what that costs. `make bench` measures again and writes this page.
Compare ratios between machines, not seconds.

Measured on {machine}; medians of {runs} revocations. The local cloud, Azurite and the app shared the processor.

The local cloud has about the latencies of Azure: ARM {arm} ms, regenerateKey {regenerate} ms, Table and Queue
{table} ms, Graph {graph} ms. The lower bound is the sum of the latencies on the shortest safe chain: the account is
looked up while the record is written, the account is locked, its keys are listed. A known account is locked while the
record is written. Everything above the lower bound is added by Sasquash and the machine.
"""

_NOTES = """
## How to read the figures

- **Rounds** are the remote calls that had to be made one after the other before `regenerateKey` was sent.
- **Cold** figures start with the process of the host. The empty app runs in the same host and Functions worker, with
  one Event Grid trigger that does nothing. The time that Azure takes to start a process is not included.
- **Storm**: the product runs in one process without sockets, against simulated services with a simulated clock. The
  seconds until the last revocation are simulated: an account cools down for ten seconds between two listings of its
  keys, and leaks that are reported meanwhile are decided together. Reports processed per second, and memory, include
  the simulated services. Calls include the follow-up: verification, incident, mail.
- **Hostile reports**: four authenticated senders, over their quota, post 4 MiB each again and again, to an app that
  revokes, too. Reports are parsed one at a time, and counted before that. A separate intake delays no revocation.
- A **repeated report** within half a minute needs no remote call, so calls grow with tokens and time, not with
  reports.
- **A thousand accounts** in one subscription take about an hour: ARM accepts 1,200 writes per hour and subscription,
  and Sasquash stays below that. A planned action that waits only reads its own record meanwhile.
- **Scan**: one core for each command, on Python's own source files, without and with a leak every 10 KB. The time
  that a command takes on an empty folder is subtracted. Other scanners are measured where they are on PATH.
- **Extraction** reads only the parts of a text that may hold a credential. Texts that are all such parts are slower,
  but linear ([decision 49](decisions/0049-only-windows-of-a-text-are-read.md)).

## What was tried

- **The warm path.** Kept: record, waiting row, queued message and account lookup in one round, for a known account
  the lock, too ([decision 24](decisions/0024-a-known-account-is-locked-while-its-record-is-written.md)). Not safe:
  listing keys in that round, since the list may be older than the lock.
- **The first revocation of a process.** Kept: tokens, account inventory and the modules of the credential in the
  background ([decision 25](decisions/0025-a-new-process-warms-up-on-its-own-loop.md)). After that, the first event
  takes 0.17 s until `regenerateKey` instead of 0.27 s. An event that arrives at once is neither faster nor slower.
- **The cold start.** Kept: Graph, Monitor, Key Vault, Event Grid and OpenTelemetry are imported after the revocation,
  on a thread. Not kept: the app's own modules on a thread. The app would be served 0.13 s sooner, but no credential
  would be revoked sooner, and a broken package would show only with the first leak. Of the remaining imports, a fifth
  is aiohttp, a tenth the models of ARM, and a twelfth `requests`, which the storage SDKs import and the app does not
  use.
- **Storms.** Kept: repeated reports are recognized in memory
  ([decision 23](decisions/0023-repeats-and-an-inventory-in-memory.md)), and an action that waits for ARM reads only
  its own record ([decision 26](decisions/0026-an-action-that-waits-for-arm-reserves-its-change-first.md)).

No test asserts a time. What does not depend on the machine is asserted in `tests/performance`: rounds, calls,
rotations, and that a revocation imports nothing of Graph, Monitor or Key Vault.
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
    """Return the number with three significant digits and a separator for thousands."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
