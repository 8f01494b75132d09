from dataclasses import replace

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from shared.cloud.event_grid import Publisher
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, Report, read
from shared.errors import FindingTooLarge, TransientFailure
from tests.support import samples
from tests.support.intake import Topic
from tests.support.samples import NOW


def publisher(topic: Topic) -> Publisher:
    return Publisher(lambda: topic)  # type: ignore[arg-type, return-value]


def findings(count: int, *, url: str = "https://x") -> list[Finding]:
    one = samples.finding()
    return [replace(one, fingerprint=f"{number:064x}", url=url) for number in range(count)]


def refused(status: int) -> HttpResponseError:
    error = HttpResponseError("The topic says no.")
    error.status_code = status
    return error


async def test_an_event_is_what_the_responder_reads() -> None:
    topic = Topic()
    await publisher(topic).publish([samples.finding()], source="wiz")

    [event] = topic.events
    [reported] = read(Report(event.id, event.type, event.source, event.data), raw_allowed=False, now=NOW)
    assert (event.type, event.source, event.id) == (REPORTED, "/intake/wiz", samples.finding().fingerprint)
    assert reported.finding == samples.finding()


async def test_nothing_to_publish_is_no_call() -> None:
    topic = Topic()
    await publisher(topic).publish([], source="wiz")

    assert topic.sent == []


async def test_many_are_sent_in_requests_that_event_grid_takes() -> None:
    topic = Topic()
    await publisher(topic).publish(findings(1200), source="wiz")

    assert [len(batch) for batch in topic.sent] == [500, 500, 200]


async def test_long_ones_are_sent_in_smaller_requests() -> None:
    topic = Topic()
    await publisher(topic).publish(findings(1000, url="https://x/" + "y" * 2000), source="wiz")

    assert len(topic.events) == 1000
    assert max(len(batch) for batch in topic.sent) < 400


@pytest.mark.parametrize("error", [ServiceRequestError("No network."), refused(503), refused(401), refused(413)])
async def test_failure_is_transient_for_the_reporter(error: Exception) -> None:
    with pytest.raises(TransientFailure, match="Publishing findings on the Event Grid topic failed"):
        await publisher(Topic(fails=error)).publish([samples.finding()], source="wiz")


async def test_finding_that_no_message_holds_is_refused_before_anything_is_published() -> None:
    """A queue holds 64 KiB a message, in base64 ("Put Message"): Event Grid would dead-letter it."""
    topic = Topic()
    large = replace(samples.finding(), credential=replace(samples.leak(samples.blob_sas()), path="\U0001f511" * 4096))

    with pytest.raises(FindingTooLarge, match="POST /api/revocations"):
        await publisher(topic).publish([samples.finding(), large], source="wiz")
    assert topic.sent == []
