"""An app with one function of every kind, for the tests of the host. It records its calls."""

import asyncio
import base64
import json
import logging
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

calls: dict[str, list[Any]] = {}
changed = asyncio.Condition()


async def remember(kind: str, what: Any) -> None:
    async with changed:
        calls.setdefault(kind, []).append(what)
        changed.notify_all()


@app.route(route="calls/{kind}", methods=["GET"])
async def recorded(req: func.HttpRequest) -> func.HttpResponse:
    """Respond once there are `?count=` calls of that kind."""
    kind = req.route_params["kind"]
    count = int(req.params.get("count", "0"))
    async with changed:
        await changed.wait_for(lambda: len(calls.get(kind, [])) >= count)
    return func.HttpResponse(json.dumps(calls.get(kind, [])), mimetype="application/json")


@app.route(route="echo/{id:int}/{rest?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    answer = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(
        json.dumps(answer), status_code=201, mimetype="application/json", headers={"x-answer": "42"}
    )


@app.route(route="any/{part}")
async def whatever(req: func.HttpRequest) -> func.HttpResponse:
    answer = {
        "method": req.method,
        "url": req.url,
        "part": req.route_params["part"],
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": base64.b64encode(req.get_body()).decode(),
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")


@app.route(route="either", methods=["GET", "HEAD"])
async def either(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("by either method")


@app.route(route="nothing")
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None  # type: ignore[return-value]


@app.route(route="sized")
async def sized(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello", headers={"Content-Length": "3"})


@app.route(route="text")
async def text(req: func.HttpRequest) -> str:
    return "just text"


@app.route(route="cookies")
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2")
    return response


@app.route(route="blocking")
def blocking(req: func.HttpRequest) -> str:
    return "from a thread"


@app.route(route="broken")
async def broken(req: func.HttpRequest) -> str:
    raise ValueError("a-secret-in-an-exception")


@app.route(route="slow")
async def slow(req: func.HttpRequest) -> str:
    await remember("slow", "started")
    await asyncio.sleep(0.3)
    return "finished"


@app.route(route="function-key", auth_level=func.AuthLevel.FUNCTION)
async def function_key(req: func.HttpRequest) -> str:
    return "in"


@app.route(route="master-key", auth_level=func.AuthLevel.ADMIN)
async def master_key(req: func.HttpRequest) -> str:
    return "in"


@app.route(route="switched-off")
async def switched_off(req: func.HttpRequest) -> str:
    return "in"


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    data = event.get_json()
    if isinstance(data, dict) and data.get("fail"):
        raise RuntimeError(f"a-secret-in-an-event: {data}")
    await remember("event", {"id": event.id, "class": type(event).__name__, "data": data})


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="WORK")
async def on_message(message: func.QueueMessage) -> None:
    content = message.get_body().decode()
    await remember("message", {"text": content, "attempt": message.dequeue_count, "id": message.id})
    if content.startswith("fail"):
        raise RuntimeError(content)


@app.queue_trigger(arg_name="message", queue_name="work-poison", connection="WORK")
async def on_poison(message: func.QueueMessage) -> None:
    await remember("poison", message.get_body().decode())


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
async def never_due(timer: func.TimerRequest) -> None:
    await remember("switched-off", "ran")


@app.timer_trigger(arg_name="timer", schedule="%TICK%", run_on_startup=True)
async def tick(timer: func.TimerRequest, context: func.Context) -> None:
    logging.info("tick of %s", context.function_name)
    await remember("tick", {"past_due": timer.past_due, "status": timer.schedule_status})
