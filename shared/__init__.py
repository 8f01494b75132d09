"""Sasquash: kills a leaked Azure Storage credential before anyone can use it.

A finding walks through these rooms in this order: `finding` (what a reporter said, without the secret), `containment`
(the fast path: which account, which key, may we, pull), `followup` (the slow path: proof, incident, people). The pure
rooms `sas` and `decide` do the thinking and no I/O; `levers` pull; `ledger` remembers; `worker` makes the clients.
"""
