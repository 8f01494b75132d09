"""A functions host: runs any `function_app.py` on Microsoft's own Python worker, without the .NET host.

`python -m local.host --app FOLDER --port N`. App settings come from the environment. It behaves as
the Azure Functions host 4.x for the triggers that it supports (`app_loader`): HTTP (`kestrel`, `http`, `routes`),
Event Grid (`eventgrid_webhook`), Storage queues (`queues`) and timers (`timers`), and runs a function by hand
(`admin`). It refuses anything else in a binding, host.json or a connection at start, with one line that names it
(`configuration.StartError`).

tests/local/host/test_contract.py tests it and, if Azure Functions Core Tools are there, Microsoft's own host.
"""
