"""The local cloud: Azure's real host names on this machine, for demo, development and tests. Never deployed.

A CONNECT proxy (`proxy`) tunnels Azure's host names to one TLS listener (`front`), which hands each request to
the ASGI app that stands for that service: `storage` (real Azurite behind Azure's error codes), `arm`, `entra`,
`graph`, `eventgrid`. What they share is one `model.Cloud`. `control` lets people and tests look inside and
inject faults; `host` runs `function_app.py` on Microsoft's own Python worker; `cloud` starts and stops it all.
"""
