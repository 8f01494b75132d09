"""Publishing to the topic: authorization, schemas, limits, and what is recorded."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.eventgrid import EventGridEvent
from azure.eventgrid.aio import EventGridPublisherClient

from local.tenant.model import TOPIC_HOST
from tests.support.asgi import Credential, Transport, client
from tests.support.event_grid import (
    BATCH,
    CLOUD_EVENT,
    GRID_EVENT,
    NOBODY,
    PUBLISH,
    SENDER,
    STRUCTURED,
    TopicUnderTest,
)


class PublisherTransport(Transport):
    """Accepts the older requests of azure-core, which the publisher client sends."""

    async def send(self, request: Any, **kwargs: Any) -> AsyncHttpResponse:
        modern = HttpRequest(request.method, request.url, headers=dict(request.headers), content=request.body)
        return await super().send(modern, **kwargs)


@pytest.fixture
async def publisher(topic: TopicUnderTest) -> AsyncIterator[EventGridPublisherClient]:
    async with EventGridPublisherClient(
        f"https://{TOPIC_HOST}/api/events",
        Credential(topic.entra, SENDER),
        transport=PublisherTransport(topic.grid.app),
        retry_total=0,
    ) as real:
        yield real


async def test_real_client_publishes_cloud_events(topic: TopicUnderTest, publisher: EventGridPublisherClient) -> None:
    await publisher.send([CloudEvent(source="/s", type="a", data={"n": 1}), CloudEvent(source="/s", type="b")])
    assert [(event["type"], event["data"]) for event in topic.cloud.events] == [("a", {"n": 1}), ("b", None)]


async def test_real_client_publishes_event_grid_events(
    topic: TopicUnderTest, publisher: EventGridPublisherClient
) -> None:
    await publisher.send(EventGridEvent(subject="s", event_type="t", data={"n": 1}, data_version="1"))
    assert [(event["type"], event["subject"]) for event in topic.cloud.events] == [("t", "s")]


async def test_real_client_may_not_publish_without_the_right(topic: TopicUnderTest) -> None:
    async with EventGridPublisherClient(
        f"https://{TOPIC_HOST}/api/events",
        Credential(topic.entra, NOBODY),
        transport=PublisherTransport(topic.grid.app),
        retry_total=0,
    ) as real:
        with pytest.raises(HttpResponseError) as refused:
            await real.send(CloudEvent(source="/s", type="a"))
    assert refused.value.status_code == 403


async def test_token_for_another_service_is_refused(topic: TopicUnderTest) -> None:
    answer = await topic.http(audience="https://storage.azure.com").post(PUBLISH, json=[])
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"


@pytest.mark.parametrize("header", ["aeg-sas-key", "aeg-sas-token"])
async def test_keys_of_the_topic_are_refused(topic: TopicUnderTest, header: str) -> None:
    answer = await client(topic.grid.app, TOPIC_HOST).post(PUBLISH, json=[GRID_EVENT], headers={header: "x"})
    assert (answer.status_code, topic.cloud.events) == (401, [])


async def test_another_api_version_is_refused(topic: TopicUnderTest) -> None:
    answer = await topic.http().post("/api/events?api-version=2020-01-01", json=[])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (CLOUD_EVENT, STRUCTURED),
        ([CLOUD_EVENT, CLOUD_EVENT], BATCH),
        (CLOUD_EVENT | {"time": "2026-11-21T10:00:00.1234567+01:00", "traceparent": "x"}, STRUCTURED),
        ([GRID_EVENT], "application/json"),
        ([GRID_EVENT | {"topic": "", "metadataVersion": "1", "dataVersion": ""}], "application/json"),
    ],
)
async def test_valid_request_is_accepted(topic: TopicUnderTest, body: object, content_type: str) -> None:
    assert (await topic.publish(body, content_type)).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", STRUCTURED),
        (b"[" * 100_000, BATCH),
        (b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}", STRUCTURED),
        (CLOUD_EVENT | {"data": float("nan")}, STRUCTURED),
        ([CLOUD_EVENT], STRUCTURED),
        (CLOUD_EVENT, BATCH),
        ([CLOUD_EVENT], "application/json"),
        ({**CLOUD_EVENT, "id": ""}, STRUCTURED),
        ({**CLOUD_EVENT, "type": 5}, STRUCTURED),
        ({**CLOUD_EVENT, "specversion": "0.3"}, STRUCTURED),
        ({**CLOUD_EVENT, "time": "yesterday"}, STRUCTURED),
        ({**CLOUD_EVENT, "data_base64": "eA=="}, STRUCTURED),
        ({**CLOUD_EVENT, "Not-A-Name": "x"}, STRUCTURED),
        ({**CLOUD_EVENT, "extension": {"nested": 1}}, STRUCTURED),
        ([CLOUD_EVENT, {**CLOUD_EVENT, "source": None}], BATCH),
        ([{**GRID_EVENT, "subject": ""}], "application/json"),
        ([{**GRID_EVENT, "eventTime": "2026-11-21"}], "application/json"),
        ([{**GRID_EVENT, "topic": "/another/topic"}], "application/json"),
        ([{**GRID_EVENT, "metadataVersion": "2"}], "application/json"),
        ([{**GRID_EVENT, "extra": "x"}], "application/json"),
        (["text"], "application/json"),
    ],
)
async def test_invalid_request_is_refused_as_a_whole(topic: TopicUnderTest, body: object, content_type: str) -> None:
    answer = await topic.publish(body, content_type)
    assert (answer.status_code, topic.cloud.events) == (400, [])
    assert answer.json()["error"]["details"][0]["code"] == "InputJsonInvalid"


async def test_unknown_content_type_is_refused(topic: TopicUnderTest) -> None:
    assert (await topic.publish(CLOUD_EVENT, "text/plain")).status_code == 415


async def test_more_than_a_megabyte_is_too_large(topic: TopicUnderTest) -> None:
    fits = CLOUD_EVENT | {"data": ""}
    available = 1024 * 1024 - len(json.dumps(fits))
    assert (await topic.publish(fits | {"data": "x" * available})).status_code == 200
    assert (await topic.publish(fits | {"data": "x" * (available + 1)})).status_code == 413


async def test_recorded_event_contains_no_secret(topic: TopicUnderTest) -> None:
    leak = {"secret": "a-secret", "url": "https://github.com/x", "deeper": [{"secret": "a-secret"}]}
    await topic.publish(CLOUD_EVENT | {"data": leak})
    assert "a-secret" not in repr(topic.cloud.events)
    assert topic.cloud.events[0]["data"]["url"] == "https://github.com/x"


async def test_recorded_event_is_redacted(topic: TopicUnderTest) -> None:
    signature = "A" * 43 + "="
    texts = [f"https://x/y?sv=1&sig={signature}", {f"sig={signature}": 1}, {"parameters": {"Sig": "short"}}]
    await topic.publish(CLOUD_EVENT | {"subject": f"sig={signature}", "data": texts})
    (event,) = topic.cloud.events
    assert "AAAA" not in repr(event)
    assert (event["data"][0], event["data"][2]) == (
        "https://x/y?sv=1&sig=REDACTED",
        {"parameters": {"Sig": "(withheld)"}},
    )
