"""The local cloud: Azure's real host names on this machine, for demo, development and tests. Never deployed.

A CONNECT proxy (`network.proxy`) tunnels Azure's host names to one TLS listener (`network.front`), which passes each
request to the stand-in of that service: `entra`, `storage` (Azurite behind Azure's error codes), `arm`, `graph`,
`event_grid`, `key_vault`, `monitor`, `reporters`. The stand-ins share one `tenant.model.Cloud`. `memory` keeps
storage in memory instead of Azurite. `cloud` starts and stops all of it and has the control port, for state and
faults; `host` runs `function_app.py` on Microsoft's own Python worker; `demo` replays a leak.
"""
