"""A Functions host: runs any `function_app.py` on Microsoft's own Python worker, without the .NET host.

`python -m local.host --app FOLDER --port N`. App settings come from the environment. What it promises is what
the Azure Functions host 4.x does for the triggers that it knows (`app_loader`): HTTP (`http`, `routes`),
Event Grid (`eventgrid_webhook`), Storage queues (`queues`) and timers (`timers`). Whatever else a binding,
host.json or a connection asks for is refused at start, in one line that names it (`configuration.StartError`).
"""
