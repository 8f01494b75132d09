"""How fast Sasquash is, on this machine: `make bench` prints a JSON line a figure and writes docs/benchmarks.md.

`throughput`: what the pure rooms do a second. `warm`: from an event to a dead token, against the local cloud with the
latencies of Azure injected. `cold`: from a process' start to its first kill. `storm`: ten thousand reports.

Nothing here asserts a time. What no machine changes (rounds, calls, rotations, modules) is asserted in
tests/performance.
"""
