"""A topic in process, without and with a subscription."""

import pytest

from local.entra.service import Entra
from local.event_grid.topic import EventGrid
from local.tenant.model import Cloud
from tests.support.event_grid import HOSTS, NOBODY, SENDER, SIGNING_KEY, SYSTEM_KEY, Clock, FakeHosts, TopicUnderTest


@pytest.fixture
def topic() -> TopicUnderTest:
    cloud = Cloud(identities={"sender": SENDER, "nobody": NOBODY})
    entra, hosts, clock = Entra(cloud, key=SIGNING_KEY), FakeHosts(), Clock()
    return TopicUnderTest(
        cloud, entra, hosts, clock, EventGrid(cloud, entra, send=hosts.send, clock=clock.now, sleep=clock.sleep)
    )


@pytest.fixture
async def subscribed_topic(topic: TopicUnderTest) -> TopicUnderTest:
    await topic.grid.deliver_to(HOSTS, SYSTEM_KEY)
    return topic
