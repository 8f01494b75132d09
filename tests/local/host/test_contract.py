"""The contract of the Functions host: what our host does, and where `func` is on the PATH, the real one.

Source of every test, where it names no other: azure-functions-host 4.1037 (WebJobs 3.0.48, EventGrid 3.3.0, Python
worker 4.34), tried.
"""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from tests.support.function_host import (
    APP,
    SYSTEM_KEY,
    running_azurite,
    running_core_tools,
    running_host,
)
from tests.support.patience import PATIENCE
from tests.support.raw_http import RawAnswer, chunked, exchange

WEBHOOK = f"/runtime/webhooks/eventgrid?functionName=on_finding&code={SYSTEM_KEY}"
NOTIFICATION = "aeg-event-type: Notification"
CLOUD_EVENT = {"specversion": "1.0", "id": "e1", "type": "t", "source": "/s", "data": {}}
GRID_EVENT = {
    "id": "g1",
    "topic": "/t",
    "subject": "s",
    "eventType": "t",
    "eventTime": "2026-01-01T00:00:00Z",
    "dataVersion": "1",
    "data": {},
}


@dataclass
class Served:
    """A running host, and the queues that it reads."""

    url: str
    queues: QueueServiceClient

    async def send(self, head: str, body: bytes = b"") -> RawAnswer:
        return await exchange(self.url, head, body)

    async def post(self, path: str, body: bytes, *headers: str) -> RawAnswer:
        head = "\n".join((f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers))
        return await self.send(head, body)

    async def seen(self, head: str, body: bytes = b"") -> dict[str, Any]:
        """Return what the function got of a request."""
        answer = await self.send(head, body)
        assert answer.status == 200
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def deliver(self, events: object, *, header: str = NOTIFICATION) -> RawAnswer:
        return await self.post(WEBHOOK, json.dumps(events).encode(), header)

    async def calls(self, kind: str, count: int = 0) -> list[Any]:
        """Return the calls of that kind that the app recorded, once there are `count`."""
        found: list[Any] = json.loads((await self.send(f"GET /api/calls/{kind}?count={count} HTTP/1.1")).body)
        return found

    async def hidden(self, queue: str) -> None:
        """Return once all messages of a queue, and at least one, were fetched and are hidden."""
        client = self.queues.get_queue_client(queue)
        async with asyncio.timeout(PATIENCE):
            while not await self._is_hidden(client):  # noqa: ASYNC110 -- another process decides when
                await asyncio.sleep(0.05)

    async def _is_hidden(self, client: QueueClient) -> bool:
        try:
            stored = (await client.get_queue_properties()).approximate_message_count
            return bool(stored) and not await client.peek_messages()
        except ResourceNotFoundError:
            return False


@asynccontextmanager
async def serving(kind: str, app: Path, folder: Path) -> AsyncIterator[Served]:
    """Run the app on a host of that kind, with storage of its own."""
    if kind == "Core Tools" and shutil.which("func") is None:
        pytest.skip("Azure Functions Core Tools (func) are not on the PATH")
    async with (
        running_azurite() as connection_string,
        QueueServiceClient.from_connection_string(connection_string) as queues,
    ):
        await queues.create_queue("work")
        settings = {
            "AzureWebJobsStorage": connection_string,
            "WORK": connection_string,
            "WORK_QUEUE": "work",
            "TICK": "0 0 0 1 1 *",
            "AzureWebJobs.switched_off.Disabled": "true",
            "AzureWebJobs__either__Disabled": "true",
        }
        running = running_core_tools if kind == "Core Tools" else running_host
        async with running(app, folder / "log", settings) as process:
            yield Served(process.url, queues)


@pytest.fixture(scope="module", params=["stand-in", "Core Tools"])
async def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(request.param, APP, tmp_path_factory.mktemp("host")) as served:
        yield served


@pytest.fixture(scope="module", params=["stand-in", "Core Tools"])
async def plain_host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """A host with `messageEncoding: none`."""
    folder = tmp_path_factory.mktemp("plain")
    app = folder / "plain-app"
    shutil.copytree(APP, app)
    configuration = json.loads((app / "host.json").read_text())
    configuration["extensions"]["queues"]["messageEncoding"] = "none"
    (app / "host.json").write_text(json.dumps(configuration))
    async with serving(request.param, app, folder) as served:
        yield served


# The body of a request


async def test_chunked_body_does_not_reach_the_function(host: Served) -> None:
    """GrpcMessageConversionExtensions.ToRpcHttp: `request.ContentLength > 0`; azure-functions-host#4926."""
    seen = await host.seen("POST /api/any/x HTTP/1.1\nTransfer-Encoding: chunked", chunked(b"a report"))
    assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("", "chunked")
    assert "content-length" not in seen["headers"]


async def test_request_without_a_body_has_an_empty_one(host: Served) -> None:
    assert (await host.seen("POST /api/any/x HTTP/1.1"))["body"] == ""


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: application/json",
        "Content-Type: application/octet-stream",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: text/plain; charset=utf-16",
        "Content-Type: no media type",
        "Content-Encoding: gzip",
        "Expect: 100-continue",  # RFC 9110, section 10.1.1
        "X-Nothing: x",
    ],
)
async def test_body_arrives_as_it_was_sent(host: Served, header: str) -> None:
    body = b'{"broken": \xff\xfe\x00 \x1f\x8b'
    seen = await host.seen(f"POST /api/any/x HTTP/1.1\nContent-Length: {len(body)}\n{header}", body)
    assert base64.b64decode(seen["body"]) == body


async def test_get_may_have_a_body(host: Served) -> None:
    seen = await host.seen("GET /api/any/x HTTP/1.1\nContent-Length: 2", b"ab")
    assert base64.b64decode(seen["body"]) == b"ab"


async def test_body_over_the_limit_resets_the_connection(host: Served) -> None:
    size = 100 * 1024 * 1024 + 1
    with pytest.raises(ConnectionError):
        await host.send(f"POST /api/any/x HTTP/1.1\nContent-Length: {size}", b"x" * size)


# Paths, queries, headers


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        ("/api/any/a%2Fb", "a%2Fb"),
        ("/api/any/a%20b", "a b"),
        ("/api/any/a%5cb", "a\\b"),
        ("/api/any/a%zz", "a%zz"),
        ("/api/any/%C3%A9", "é"),
        ("/API/Any/x", "x"),
        ("/api/any/x/", "x"),
        ("/api/other/../any/x", "x"),
        ("/api/other/%2e%2e/any/./x", "x"),
    ],
)
async def test_path_is_decoded_before_routing_except_a_slash(host: Served, sent: str, part: str) -> None:
    assert (await host.seen(f"GET {sent} HTTP/1.1"))["part"] == part


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /api//any/x", 404),
        ("GET /api/any/x/y", 404),
        ("GET /api/any/%00", 400),
        ("PUT /api/echo/7", 404),
        ("HEAD /api/echo/7", 404),
        ("OPTIONS /api/echo/7", 404),
        ("GET /api/switched-off", 404),
    ],
)
async def test_request_that_no_function_accepts(host: Served, line: str, status: int) -> None:
    assert (await host.send(f"{line} HTTP/1.1")).status == status


async def test_head_of_a_function_that_accepts_it_has_no_body(host: Served) -> None:
    answer = await host.send("HEAD /api/either HTTP/1.1")
    assert (answer.status, answer.body) == (200, b"")


async def test_setting_with_double_underscores_disables_nothing(host: Served) -> None:
    assert (await host.send("GET /api/either HTTP/1.1")).status == 200


async def test_repeated_query_values_are_joined_without_regard_to_case(host: Served) -> None:
    seen = await host.seen("GET /api/any/x?q=1&Q=2&empty=&a=%2C HTTP/1.1")
    assert seen["query"] == {"q": "1,2", "a": ","}


async def test_repeated_headers_and_cookies_are_joined_and_empty_headers_kept(host: Served) -> None:
    headers = "X-Many: 1\nX-Many: 2\nCookie: a=1\nCookie: b=2\nX-Empty:"
    seen = (await host.seen(f"GET /api/any/x HTTP/1.1\n{headers}"))["headers"]
    assert (seen["x-many"], seen["cookie"], seen["x-empty"]) == ("1,2", "a=1,b=2", "")


async def test_headers_of_the_front_end_pass_from_outside_too(host: Served) -> None:
    headers = "X-MS-CLIENT-PRINCIPAL: x\nX-Forwarded-For: 10.0.0.1"
    seen = (await host.seen(f"GET /api/any/x HTTP/1.1\n{headers}"))["headers"]
    assert (seen["x-ms-client-principal"], seen["x-forwarded-for"]) == ("x", "10.0.0.1")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET /api/any/{'x' * 8192} HTTP/1.1", 414),
        (f"GET /api/any/x HTTP/1.1\nX-Long: {'x' * 33000}", 431),
        ("GET /api/any/x HTTP/1.1\n" + "\n".join(f"X-{n}: x" for n in range(101)), 431),
    ],
    ids=["line", "headers", "number of headers"],
)
async def test_head_over_a_limit_is_refused(host: Served, head: str, status: int) -> None:
    assert (await host.send(head)).status == status


# Answers


async def test_answer_is_chunked_and_names_the_server(host: Served) -> None:
    headers = (await host.send("GET /api/text HTTP/1.1")).headers
    assert (headers["transfer-encoding"], headers["server"]) == ("chunked", "Kestrel")
    assert "content-length" not in headers


@pytest.mark.parametrize("path", ["broken", "nothing"])
async def test_function_that_raises_or_returns_none_is_an_empty_500(host: Served, path: str) -> None:
    answer = await host.send(f"GET /api/{path} HTTP/1.1")
    assert (answer.status, answer.body) == (500, b"")


async def test_answer_with_a_content_length_of_the_functions_own_is_broken(host: Served) -> None:
    try:
        answer = await host.send("GET /api/sized HTTP/1.1")
    except Exception:  # noqa: BLE001 -- however it is broken
        return
    assert (answer.status, answer.body) != (200, b"hello")


async def test_home_page_answers_unless_it_is_disabled(host: Served) -> None:
    answer = await host.send("GET / HTTP/1.1")
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/html")


# The webhook of Event Grid


@pytest.mark.parametrize(
    "events",
    [
        CLOUD_EVENT,
        [CLOUD_EVENT, CLOUD_EVENT],
        GRID_EVENT,
        [GRID_EVENT],
        [],
        *(CLOUD_EVENT | {"data": data} for data in (None, "text", 7, [1], {"long": "x" * 1_500_000})),
        {name: value for name, value in CLOUD_EVENT.items() if name != "data"},
        CLOUD_EVENT | {"data": json.loads("[" * 60 + "]" * 60)},
        {name: value for name, value in CLOUD_EVENT.items() if name != "specversion"},
    ],
)
async def test_delivery_is_accepted(host: Served, events: object) -> None:
    assert (await host.deliver(events)).status == 202


async def test_delivery_may_be_chunked_and_of_any_content_type(host: Served) -> None:
    head = f"POST {WEBHOOK} HTTP/1.1\nTransfer-Encoding: chunked\n{NOTIFICATION}\nContent-Type: text/plain"
    assert (await host.send(head, chunked(json.dumps(CLOUD_EVENT).encode()))).status == 202


async def test_every_event_of_a_batch_runs_and_one_failure_fails_the_delivery(host: Served) -> None:
    before = len(await host.calls("event"))
    failing = CLOUD_EVENT | {"data": {"fail": True}}
    answer = await host.deliver([failing, CLOUD_EVENT, failing, CLOUD_EVENT])
    assert (answer.status, answer.body) == (500, b"Exception while executing function: Functions.on_finding")
    assert len(await host.calls("event")) == before + 2


@pytest.mark.parametrize("body", [b"", b"not json", b'"text"', b"null", b"7"])
async def test_body_that_is_no_event_is_tried_again(host: Served, body: bytes) -> None:
    assert (await host.post(WEBHOOK, body, NOTIFICATION)).status == 500


async def test_event_nested_deeper_than_the_host_s_reader_fails(host: Served) -> None:
    """Newtonsoft.Json 13.0.3, JsonReader.MaxDepth: 64 (azure-functions-host, WebJobs.Script.WebHost.csproj)."""
    assert (await host.deliver(CLOUD_EVENT | {"data": json.loads("[" * 64 + "1" + "]" * 64)})).status == 500


async def test_event_whose_id_is_a_number_fails(host: Served) -> None:
    assert (await host.deliver(CLOUD_EVENT | {"id": 7})).status == 500


async def test_event_in_binary_mode_fails(host: Served) -> None:
    """Its body is taken for the event."""
    headers = ("ce-specversion: 1.0", "ce-id: e1", "ce-type: t", "ce-source: /s", "Content-Type: text/plain")
    assert (await host.post(WEBHOOK, b"the data", NOTIFICATION, *headers)).status == 500


@pytest.mark.parametrize(
    ("header", "status"),
    [("aeg-event-type: Other", 400), ("X-Nothing: x", 400), ("aeg-event-type: Unsubscribe", 202)],
)
async def test_kind_of_a_request_decides_before_its_body(host: Served, header: str, status: int) -> None:
    assert (await host.deliver("text", header=header)).status == status


@pytest.mark.parametrize(
    "events",
    [[GRID_EVENT | {"data": {"validationCode": "c0de"}}], CLOUD_EVENT | {"data": '{"validationCode": "c0de"}'}],
    ids=["Event Grid", "CloudEvents"],
)
async def test_subscription_is_validated_by_its_code(host: Served, events: object) -> None:
    answer = await host.deliver(events, header="aeg-event-type: SubscriptionValidation")
    assert (answer.status, json.loads(answer.body)) == (200, {"validationResponse": "c0de"})


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("WebHook-Request-Origin: eventgrid.azure.net", "eventgrid.azure.net"),
        ("WebHook-Request-Origin: eventgrid.azure.cn", "eventgrid.azure.cn"),
        ("WebHook-Request-Origin: example.com", "eventgrid.azure.net"),
        ("X-Nothing: x", "eventgrid.azure.net"),
    ],
)
async def test_options_allows_origins_of_event_grid_and_names_no_rate(
    host: Served, header: str, allowed: str
) -> None:
    """HttpRequestProcessor.GetAllowedOriginResponseHeader (Azure/azure-sdk-for-net)."""
    answer = await host.send(f"OPTIONS {WEBHOOK} HTTP/1.1\n{header}")
    assert (answer.status, answer.headers["webhook-allowed-origin"]) == (200, allowed)
    assert "webhook-allowed-rate" not in answer.headers


@pytest.mark.parametrize("name", ["On_Finding", "nothing_of_this_name", "echo"])
async def test_name_of_another_function_is_not_found(host: Served, name: str) -> None:
    """the extension finds the name in a dictionary, with regard to case (EventGridExtensionConfigProvider)."""
    path = WEBHOOK.replace("on_finding", name)
    assert (await host.post(path, json.dumps(CLOUD_EVENT).encode(), NOTIFICATION)).status == 404


async def test_get_has_no_event(host: Served) -> None:
    assert (await host.send(f"GET {WEBHOOK} HTTP/1.1\n{NOTIFICATION}")).status == 500


# Queues, with Storage.Queues 5.3.10


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"\xff\xfe").decode()], ids=["text", "binary"])
async def test_with_base64_another_message_reaches_no_function_not_even_of_the_poison_queue(
    host: Served, text: str
) -> None:
    """The first goes to the poison queue at once, the second after every try. There both stay hidden."""
    called = len(await host.calls("message"))
    await host.queues.get_queue_client("work").send_message(text)
    await host.hidden("work-poison")
    assert (await host.calls("poison"), len(await host.calls("message"))) == ([], called)
    assert {queue.name async for queue in host.queues.list_queues()} == {"work", "work-poison"}
    await host.queues.get_queue_client("work-poison").clear_messages()


async def test_with_base64_a_message_is_decoded(host: Served) -> None:
    called = len(await host.calls("message"))
    await host.queues.get_queue_client("work").send_message(base64.b64encode("hällo".encode()).decode())
    assert (await host.calls("message", called + 1))[-1]["text"] == "hällo"


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', base64.b64encode(b'{"a": 1}').decode(), base64.b64encode(b"\xff\xfe").decode(), "no base64! é <&>"],
)
async def test_without_an_encoding_a_message_arrives_as_it_is_stored(plain_host: Served, text: str) -> None:
    called = len(await plain_host.calls("message"))
    await plain_host.queues.get_queue_client("work").send_message(text)
    assert (await plain_host.calls("message", called + 1))[-1]["text"] == text


async def test_without_an_encoding_a_message_that_fails_reaches_the_function_of_the_poison_queue(
    plain_host: Served,
) -> None:
    await plain_host.queues.get_queue_client("work").send_message("fail as it is")
    assert await plain_host.calls("poison", 1) == ["fail as it is"]
