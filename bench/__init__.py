"""Benchmarks: `make bench` measures Sasquash on this machine and writes docs/benchmarks.md.

`throughput`: extraction and attribution per second. `warm`: from an event to a revoked token, against the local cloud
with Azure's latencies injected. `cold`: from the start of a process to its first revocation. `storm`: ten thousand
reports. `hostile`: reports that take as long to parse as they can, at the same time as a revocation.

Nothing here asserts a time. What does not depend on the machine (rounds, calls, rotations, modules) is asserted in
tests/performance.
"""
