"""Delivery to a Storage queue, as the topic's identity.

"Storage queue as an event handler for Azure Event Grid events"; "Event delivery with a managed identity"; "Put
Message".
"""

import base64
import json
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, urlsplit

import pytest

from local.event_grid.storage_queue import Encoding, StorageQueue
from tests.support.event_grid import CLOUD_EVENT, GRID_EVENT, FakeHosts, TopicUnderTest

TOKEN = "the-token-of-the-topic"


@pytest.fixture
def queue(topic: TopicUnderTest) -> StorageQueue:
    """The topic's subscription delivers to it."""
    made = StorageQueue("state", "findings", send=topic.hosts.send, token=lambda: TOKEN)
    topic.hosts.statuses = [201]
    topic.grid.deliver_to_queue(made)
    return made


def message(hosts: FakeHosts) -> str:
    """The text of the last message."""
    [text] = ET.fromstring(hosts.requests[-1][3]).iterfind("MessageText")
    return text.text or ""


async def test_event_is_a_message_that_never_expires(topic: TopicUnderTest, queue: StorageQueue) -> None:
    await topic.publish(CLOUD_EVENT)
    [event] = await topic.settle()
    [(method, url, headers, _)] = topic.hosts.requests

    assert (method, urlsplit(url).netloc, urlsplit(url).path) == ("POST", queue.host, "/findings/messages")
    assert parse_qs(urlsplit(url).query) == {"messagettl": ["-1"]}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert (event["state"], event["deliveries"][0]["host"]) == ("delivered", "state.queue.core.windows.net")


@pytest.mark.parametrize(
    ("encoding", "decode"), [(Encoding.PLAIN, lambda text: text), (Encoding.BASE64, base64.b64decode)]
)
async def test_message_is_the_event_alone_in_either_encoding(
    topic: TopicUnderTest, queue: StorageQueue, encoding: Encoding, decode: object
) -> None:
    """MicrosoftDocs/azure-docs#69702 (plain), #102923 (base64)."""
    queue.encoding = encoding
    await topic.publish(CLOUD_EVENT | {"data": {"text": "<&> \ud800 \x00"}})
    await topic.settle()

    assert callable(decode)
    assert json.loads(decode(message(topic.hosts))) == CLOUD_EVENT | {"data": {"text": "<&> \ud800 \x00"}}


async def test_event_of_the_event_grid_schema_is_no_list(topic: TopicUnderTest, queue: StorageQueue) -> None:
    queue.encoding = Encoding.PLAIN
    await topic.publish([GRID_EVENT], "application/json")
    await topic.settle()

    assert json.loads(message(topic.hosts))["eventType"] == GRID_EVENT["eventType"]


@pytest.mark.parametrize("status", [400, 403, 413])
async def test_refusal_of_an_azure_resource_is_not_retried(
    topic: TopicUnderTest, queue: StorageQueue, status: int
) -> None:
    """ "Event Grid message delivery and retry", table of endpoint types: a missing right, too large a message."""
    topic.hosts.statuses = [status]
    await topic.publish(CLOUD_EVENT)
    [event] = await topic.settle()

    assert (event["state"], topic.clock.slept) == ("dead-lettered", [])


@pytest.mark.parametrize("failure", [401, 404, 503, OSError("refused"), TimeoutError()])
async def test_other_failure_is_retried(topic: TopicUnderTest, queue: StorageQueue, failure: int | Exception) -> None:
    topic.hosts.statuses = [failure, 201]
    await topic.publish(CLOUD_EVENT)
    [event] = await topic.settle()

    assert (event["state"], topic.clock.slept) == ("delivered", [10])


async def test_other_types_are_not_delivered(topic: TopicUnderTest, queue: StorageQueue) -> None:
    await topic.publish(CLOUD_EVENT | {"type": "Sasquash.Revocation.Proven.v1"})

    assert (topic.hosts.requests, topic.cloud.events[0]["state"]) == ([], "not-subscribed")
