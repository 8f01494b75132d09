"""A whole app in a host process with Microsoft's Functions worker, with queues and blobs in Azurite."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.event_grid.delivery import Answer, Delivery
from local.event_grid.schemas import Event, Schema
from local.host.app_loader import (
    AuthLevel,
    EventGridTrigger,
    Function,
    HttpTrigger,
    QueueTrigger,
    TimerTrigger,
    Trigger,
)
from local.host.configuration import AppSettings, read_host_json
from local.host.http import Keys
from local.host.queues import QueueListener
from local.host.service import Host
from local.tenant.model import Cloud, now
from tests.support.function_host import (
    APP,
    FUNCTION_KEY,
    MASTER_KEY,
    SYSTEM_KEY,
    HostProcess,
    running_azurite,
    running_host,
    spawn,
)
from tests.support.patience import PATIENCE

WEBHOOK = "/runtime/webhooks/eventgrid"


def settings(connection_string: str) -> dict[str, str]:
    return {
        "LOCAL_FUNCTION_KEY": FUNCTION_KEY,
        "LOCAL_MASTER_KEY": MASTER_KEY,
        "AzureWebJobsStorage": connection_string,
        "WORK": connection_string,
        "WORK_QUEUE": "work",
        "TICK": "0 0 0 1 1 *",
        "AzureWebJobs.switched_off.Disabled": "true",
        "AzureWebJobs.never_due.Disabled": "true",
    }


def loaded(chosen: Mapping[str, str], folder: Path) -> Host:
    """Return a host, not started, of functions with the triggers of the app."""
    triggers: dict[str, Trigger] = {
        "text": HttpTrigger("text", frozenset(), AuthLevel.ANONYMOUS),
        "on_finding": EventGridTrigger.INSTANCE,
        "on_message": QueueTrigger("work", "WORK"),
        "on_poison": QueueTrigger("work-poison", "WORK"),
        "tick": TimerTrigger("%TICK%", run_on_startup=False, use_monitor=True),
    }
    functions = [Function(name, name, "given", trigger) for name, trigger in triggers.items()]
    configuration, app_settings = read_host_json(APP), AppSettings(chosen)
    return Host(
        functions, configuration=configuration, settings=app_settings, keys=Keys(master=MASTER_KEY), folder=folder
    )


@pytest.fixture(scope="module")
async def connection_string() -> AsyncIterator[str]:
    async with running_azurite() as value:
        yield value


@pytest.fixture(scope="module")
async def work(connection_string: str) -> AsyncIterator[QueueClient]:
    queue = QueueClient.from_connection_string(
        connection_string, "work", message_encode_policy=TextBase64EncodePolicy()
    )
    async with queue:
        await queue.create_queue()
        yield queue


@pytest.fixture(scope="module")
async def host(
    connection_string: str, work: QueueClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    log = tmp_path_factory.mktemp("host") / "log"
    async with running_host(APP, log, settings(connection_string)) as process:
        yield process


@pytest.fixture(scope="module")
async def http(host: HostProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=host.url, trust_env=False, timeout=PATIENCE) as client:
        yield client


async def recorded(http: httpx.AsyncClient, kind: str, count: int = 0) -> list[Any]:
    """Return the calls of that kind that the app recorded, once there are `count`."""
    calls: list[Any] = (await http.get(f"/api/calls/{kind}", params={"count": count})).json()
    return calls


# HTTP triggers


async def test_function_gets_the_request_as_it_was_sent(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/api/Echo/-7/a%20b?q=1&q=2&empty=", content=b"body", headers=[("x-many", "1"), ("x-many", "2")]
    )
    seen = answer.json()
    assert (answer.status_code, answer.headers["x-answer"]) == (201, "42")
    assert (seen["method"], seen["body"], seen["query"]) == ("POST", "body", {"q": "1,2"})
    assert seen["route"] == {"id": "-7", "rest": "a b"}
    assert seen["headers"]["x-many"] == "1,2"
    assert seen["url"].endswith("/api/Echo/-7/a%20b?q=1&q=2&empty=")


async def test_optional_route_parameter_may_be_left_out(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/echo/7")).json()["route"] == {"id": "7"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/echo/seven"),
        ("GET", "/echo/7"),
        ("GET", "/api/no-such-route"),
        ("PUT", "/api/echo/7"),  # Azure/azure-functions-host#10098: not a 405
        ("GET", "/api/switched-off"),
    ],
)
async def test_request_without_a_function_is_not_found(http: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await http.request(method, path)).status_code == 404


async def test_function_may_return_text(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/text")
    assert (answer.text, answer.headers["content-type"]) == ("just text", "text/plain; charset=utf-8")


async def test_function_may_set_several_cookies(http: httpx.AsyncClient) -> None:
    cookies = (await http.get("/api/cookies")).headers.get_list("set-cookie")
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]


async def test_function_that_is_not_async_runs(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/blocking")).text == "from a thread"


async def test_failed_function_is_an_empty_500(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/broken")
    assert (answer.status_code, answer.content) == (500, b"")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/api/function-key", None, 401),
        ("/api/function-key", "wrong", 401),
        ("/api/function-key", SYSTEM_KEY, 401),
        ("/api/function-key", FUNCTION_KEY, 200),
        ("/api/function-key", MASTER_KEY, 200),
        ("/api/master-key", FUNCTION_KEY, 401),
        ("/api/master-key", MASTER_KEY, 200),
    ],
)
async def test_key_authorizes_its_auth_level(
    http: httpx.AsyncClient, path: str, key: str | None, status: int
) -> None:
    by_header = await http.get(path, headers={"x-functions-key": key} if key else {})
    by_query = await http.get(path, params={"code": key} if key else {})
    assert (by_header.status_code, by_query.status_code) == (status, status)


# Event Grid


def event(**data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "type": "t", "source": "/s", "data": data}


async def deliver(
    http: httpx.AsyncClient, body: object, *, code: str = SYSTEM_KEY, function: str = "on_finding"
) -> int:
    answer = await http.post(
        WEBHOOK,
        params={"functionName": function, "code": code},
        json=body,
        headers={"aeg-event-type": "Notification"},
    )
    return answer.status_code


async def test_cloud_event_reaches_its_function(http: httpx.AsyncClient) -> None:
    before = len(await recorded(http, "event"))
    assert await deliver(http, event(n=1)) == 202
    assert (await recorded(http, "event", before + 1))[-1] == {
        "id": "e1",
        "class": "CloudEvent",
        "data": {"n": 1},
    }


async def test_every_event_of_an_array_reaches_its_function(http: httpx.AsyncClient) -> None:
    grid = {
        "topic": "/t",
        "subject": "s",
        "eventType": "t",
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1",
    }
    before = len(await recorded(http, "event"))
    assert await deliver(http, [grid | {"id": "g1", "data": {}}, grid | {"id": "g2", "data": {}}]) == 202
    arrived = (await recorded(http, "event", before + 2))[before:]
    assert {(call["id"], call["class"]) for call in arrived} == {
        ("g1", "EventGridEvent"),
        ("g2", "EventGridEvent"),
    }


async def test_one_failed_event_fails_the_delivery(http: httpx.AsyncClient) -> None:
    assert await deliver(http, [event(n=1), event(fail=True)]) == 500


async def test_wrong_system_key_is_refused_before_anything_else(http: httpx.AsyncClient) -> None:
    assert await deliver(http, event(), code="wrong") == 401
    assert await deliver(http, event(), code="wrong", function="nothing") == 401


async def test_key_of_another_level_is_forbidden(http: httpx.AsyncClient) -> None:
    """azure-functions-host, SamplesEndToEndTests_CSharp.ExtensionWebHook_Succeeds."""
    assert await deliver(http, event(), code=FUNCTION_KEY) == 403
    assert await deliver(http, event(), code=MASTER_KEY) == 202


async def test_events_for_an_unknown_function_are_not_found(http: httpx.AsyncClient) -> None:
    assert await deliver(http, event(), function="echo") == 404


async def test_body_nested_too_deeply_is_tried_again(http: httpx.AsyncClient) -> None:
    headers = {"aeg-event-type": "Notification"}
    params = {"functionName": "on_finding", "code": SYSTEM_KEY}
    answer = await http.post(WEBHOOK, params=params, headers=headers, content=b"[" * 100_000)
    assert answer.status_code == 500


async def test_webhook_passes_both_handshakes_and_accepts_deliveries(
    host: HostProcess, http: httpx.AsyncClient
) -> None:
    async def send(method: str, url: str, headers: Any, body: bytes) -> Answer:
        answer = await http.request(method, url, headers=headers, content=body)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    cloud = Cloud()
    delivery = Delivery(cloud, topic="/topic", send=send, now=now, sleep=asyncio.sleep)
    await delivery.subscribe([host.url], SYSTEM_KEY)
    before = len(await recorded(http, "event"))
    envelope = event(n=9) | {"type": "Sasquash.Finding.Reported.v1"}
    delivery.accept(Event(Schema.CLOUD_EVENTS, envelope))
    assert (await recorded(http, "event", before + 1))[-1]["data"] == {"n": 9}


# Running a function by hand


async def run(http: httpx.AsyncClient, function: str, *, key: str = MASTER_KEY, body: object = None) -> int:
    given = {"input": ""} if body is None else body
    answer = await http.post(f"/admin/functions/{function}", json=given, headers={"x-functions-key": key})
    return answer.status_code


async def test_master_key_runs_a_disabled_function(http: httpx.AsyncClient) -> None:
    """azure-functions-host 4.1037, tried; FunctionsController.Invoke finds it among all functions."""
    before = len(await recorded(http, "switched-off"))
    assert await run(http, "Never_Due") == 202
    assert len(await recorded(http, "switched-off", before + 1)) == before + 1


async def test_function_by_hand_gets_its_input(http: httpx.AsyncClient) -> None:
    before = len(await recorded(http, "event"))
    assert await run(http, "on_finding", body={"input": json.dumps(event(n=77))}) == 202
    assert (await recorded(http, "event", before + 1))[-1]["data"] == {"n": 77}


@pytest.mark.parametrize(
    ("function", "key", "body", "status"),
    [
        ("tick", FUNCTION_KEY, None, 403),
        ("tick", "wrong", None, 401),
        ("tick", "", None, 401),
        ("nothing_of_this_name", MASTER_KEY, None, 404),
        ("tick", MASTER_KEY, "text", 400),
    ],
)
async def test_function_by_hand_requires_the_master_key_a_name_and_an_object(
    http: httpx.AsyncClient, function: str, key: str, body: object, status: int
) -> None:
    assert await run(http, function, key=key, body=body) == status


# The groups of Flex Consumption


@pytest.mark.parametrize(
    ("group", "started"),
    [
        ("http", set()),
        ("function:on_finding", set()),
        ("function:on_message", {"on_message"}),
        ("Function:tick", {"tick"}),
        (None, {"on_message", "on_poison", "tick"}),
    ],
)
async def test_host_of_a_group_listens_for_its_functions_only(
    connection_string: str, tmp_path: Path, group: str | None, started: set[str]
) -> None:
    """azure-functions-host 4.1037, tried; FunctionGroupListenerDecorator."""
    chosen = settings(connection_string) | {"WEBSITE_SKU": "FlexConsumption", "TICK": "* * * * * *"}
    chosen |= {"FUNCTIONS_TARGET_GROUP": group} if group else {}
    host = loaded(chosen, tmp_path)
    assert {listener._function.name for listener in host._listeners} == started
    await host.close()


async def test_target_group_counts_on_flex_consumption_only(connection_string: str, tmp_path: Path) -> None:
    host = loaded(settings(connection_string) | {"FUNCTIONS_TARGET_GROUP": "http"}, tmp_path)
    assert len(host._listeners) == 3
    await host.close()


async def test_routes_and_the_webhook_answer_in_every_group(connection_string: str, tmp_path: Path) -> None:
    """azure-functions-host 4.1037, tried. Also the home page, which a setting turns off: HomepageMiddleware."""
    group = {"WEBSITE_SKU": "FlexConsumption", "FUNCTIONS_TARGET_GROUP": "function:tick"}
    chosen = settings(connection_string) | group | {"AzureWebJobsDisableHomepage": "true"}
    async with (
        running_host(APP, tmp_path / "log", chosen) as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False) as client,
    ):
        assert (await client.get("/api/text")).status_code == 200
        assert await deliver(client, event(n=1)) == 202
        assert await run(client, "never_due") == 202
        assert await recorded(client, "switched-off", 1) == ["ran"]
        home = await client.get("/")
        assert (home.status_code, home.content) == (204, b"")


# Disabled functions


async def test_disabled_function_has_no_listener_no_route_and_no_webhook(
    connection_string: str, tmp_path: Path
) -> None:
    """azure-functions-host 4.1037, tried: HTTP and webhook answer 404, messages stay."""
    names = ("text", "on_finding", "on_message", "tick")
    chosen = settings(connection_string) | {f"AzureWebJobs_{name}_Disabled": "true" for name in names}
    host = loaded(chosen | {"AzureWebJobs__on_poison__Disabled": "true"}, tmp_path)
    transport, stopping = httpx.ASGITransport(app=host.app), asyncio.Event()
    running = asyncio.gather(*host.listen(stopping))
    await host.tried_to_start()
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        assert (await client.get("/api/text")).status_code == 404
        assert await deliver(client, event(), code=MASTER_KEY) == 404
    stopping.set()
    await running
    assert [listener._function.name for listener in host._listeners] == ["on_poison"]
    await host.close()


# Queues


async def test_poison_queue_has_no_poison_queue(connection_string: str, tmp_path: Path) -> None:
    """azure-functions-host 4.1037, tried; QueueListenerFactory.CreatePoisonQueueReference, azure-sdk-for-net."""
    host = loaded(settings(connection_string), tmp_path)
    queues = [listener for listener in host._listeners if isinstance(listener, QueueListener)]
    poison = {each._queue.queue_name: each._poison_queue and each._poison_queue.queue_name for each in queues}
    assert poison == {"work": "work-poison", "work-poison": None}
    await host.close()


async def test_message_is_decoded_and_deleted(http: httpx.AsyncClient, work: QueueClient) -> None:
    before = len(await recorded(http, "message"))
    sent = await work.send_message("hällo")
    call = (await recorded(http, "message", before + 1))[-1]
    assert call == {"text": "hällo", "attempt": 1, "id": sent.id}


async def test_message_that_keeps_failing_ends_in_the_poison_queue(
    http: httpx.AsyncClient, work: QueueClient
) -> None:
    before = len(await recorded(http, "message"))
    await work.send_message("fail with a-secret-in-a-message")
    assert await recorded(http, "poison", 1) == ["fail with a-secret-in-a-message"]
    assert [call["attempt"] for call in (await recorded(http, "message"))[before:]] == [1, 2]


# Timers


async def test_timer_runs_on_startup_and_keeps_its_status(http: httpx.AsyncClient, connection_string: str) -> None:
    first = (await recorded(http, "tick", 1))[0]
    assert first["past_due"] is False
    async with BlobServiceClient.from_connection_string(connection_string) as service:
        container = service.get_container_client("azure-webjobs-hosts")
        names = [blob.name async for blob in container.list_blobs()]
    assert {name.partition("/")[0] for name in names} == {"locks", "timers"}


async def test_only_one_of_two_hosts_runs_a_timer(
    http: httpx.AsyncClient, connection_string: str, tmp_path: Path
) -> None:
    await recorded(http, "tick", 1)
    async with (
        running_host(APP, tmp_path / "log", settings(connection_string)) as second,
        httpx.AsyncClient(base_url=second.url, trust_env=False) as other,
    ):
        # Stopping waits for running functions; a timer that has the lock runs at start.
        await deliver(other, event(n=2))
        await recorded(other, "event", 1)
    assert "Executing 'on_finding'" in second.log
    assert "Executing 'tick'" not in second.log


# The log, starting and stopping


async def test_log_names_failures_without_their_messages(host: HostProcess, http: httpx.AsyncClient) -> None:
    await http.get("/api/broken?sig=a-secret-in-a-query")
    await deliver(http, event(fail="a-secret-in-an-event"))
    await recorded(http, "tick", 1)
    log = host.log
    assert "Executed 'broken' (Failed" in log
    assert "ValueError at " in log
    assert "Executed 'on_finding' (Failed" in log
    assert "tick of tick" in log
    assert "a-secret" not in log
    assert SYSTEM_KEY not in log


async def test_stopped_host_waits_for_running_functions(connection_string: str, tmp_path: Path) -> None:
    async with (
        running_host(APP, tmp_path / "log", settings(connection_string)) as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False) as client,
    ):
        slow = asyncio.create_task(client.get("/api/slow"))
        await recorded(client, "slow", 1)
        stopped = asyncio.create_task(process.stop())
        assert (await slow).text == "finished"
        assert await stopped == 0


HOST_JSON = json.dumps({"version": "2.0", "functionTimeout": "00:00:00.2"})
HEAD = "import azure.functions as func\napp = func.FunctionApp()\n"


async def test_function_is_stopped_after_the_function_timeout(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(HOST_JSON)
    (tmp_path / "function_app.py").write_text(
        f"{HEAD}import asyncio\n"
        "@app.route(route='hang', auth_level=func.AuthLevel.ANONYMOUS)\n"
        "async def hang(req: func.HttpRequest) -> str:\n"
        "    await asyncio.Event().wait()\n"
    )
    async with (
        running_host(tmp_path, tmp_path / "log", {}) as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False) as client,
    ):
        assert (await client.get("/api/hang")).status_code == 500
        assert "Executed 'hang' (Timed out after 0:00:00.200000" in process.log


QUEUE = "def f(m: func.QueueMessage) -> None: ...\n"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise ValueError('SASQUASH_MODE is missing')\n", "ValueError: SASQUASH_MODE is missing"),
        ("raise SystemExit('SASQUASH_MODE is missing')\n", "SASQUASH_MODE is missing"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "@app.blob_trigger(arg_name='b', path='c/{n}', connection='S')\ndef f(b: func.InputStream): ...\n",
            "function f: trigger 'blobTrigger' is not supported by this host",
        ),
        (
            f"@app.queue_trigger(arg_name='m', queue_name='q', connection='NOWHERE')\n{QUEUE}",
            "function f: app setting NOWHERE (its connection) is missing",
        ),
    ],
)
async def test_host_that_cannot_start_prints_the_reason_in_one_line(tmp_path: Path, body: str, line: str) -> None:
    (tmp_path / "host.json").write_text(HOST_JSON)
    (tmp_path / "function_app.py").write_text(HEAD + body)
    process, answered = await spawn(tmp_path, tmp_path / "log", {})
    assert (process.returncode, answered) == (1, "")
    assert (tmp_path / "log").read_text() == f"{line}\n"
