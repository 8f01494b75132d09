import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.domain.unread_place import UnreadPlace
from shared.errors import Blocked, Throttled, TransientFailure
from shared.persistence.alert_queue import AlertMessage
from shared.sources.alert_places import AccountUnread
from tests.support import samples
from tests.support.intake import ALERT, Place, Queue, Tool, Topic, leaked
from tests.support.samples import NOW

LEAKED = leaked([samples.account_sas()])
MESSAGE = AlertMessage(ALERT, NOW)


def place(answer: object = LEAKED) -> Place:
    return Place(tool=Tool(lambda alert: answer))


async def taken(here: Place) -> object:
    """What was published of the alert, as the answer to its report has it."""
    return (await here.alerts.take([ALERT]))[ALERT]


# Who named it


async def test_caller_of_the_intake_is_in_the_finding_also_when_the_queue_reads_the_alert() -> None:
    here, by = place(TransientFailure("GitHub is down.")), "f36c87e7-fca8-412c-8f70-575907292a83"
    await here.alerts.take([ALERT], submitted_by=by)
    [(message, _)] = here.queue.sent
    here.tool = Tool(lambda alert: LEAKED)
    await here.alerts.resume(message)

    assert [event.data["submitted_by"] for event in here.topic.events] == [by]


# At once


async def test_alert_is_enqueued_before_it_is_read() -> None:
    here = place()
    here.tool = Tool(lambda alert: LEAKED if here.queue.sent else Blocked("It was read too early."))

    assert await taken(here) == LEAKED
    assert here.queue.sent == [(MESSAGE, 45.0)]


async def test_message_of_a_published_alert_is_deleted() -> None:
    here = place()
    await taken(here)

    assert here.queue.done == ["taken back"]
    assert [event.id for event in here.topic.events] == [LEAKED[0].fingerprint]


async def test_alert_without_a_credential_publishes_nothing_and_is_done() -> None:
    here = place(())

    assert await taken(here) == ()
    assert (here.topic.sent, here.queue.done) == ([], ["taken back"])


@pytest.mark.parametrize("failure", [TransientFailure("GitHub is down."), Blocked("A right is missing.")])
async def test_failed_alert_is_retried_from_the_queue_without_delay(failure: Exception) -> None:
    here = place(failure)

    assert await taken(here) is None
    assert here.queue.done == ["hastened"]


async def test_slow_alert_is_left_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.sources.alert_reader._INLINE", 0.01)
    here = Place(tool=Tool(lambda alert: asyncio.Event().wait()))

    assert await taken(here) is None
    assert here.queue.done == ["hastened"]


async def test_unpublished_alert_is_left_to_the_queue() -> None:
    here = place()
    here.topic = Topic(fails=ServiceRequestError("No network."))

    assert await taken(here) is None
    assert here.queue.done == ["hastened"]


async def test_alert_that_is_not_durable_raises() -> None:
    here = place()
    here.queue = Queue(fails={"send": TransientFailure("No queue.")})

    with pytest.raises(TransientFailure):
        await taken(here)
    assert here.topic.sent == []


@pytest.mark.parametrize(("answer", "what"), [(LEAKED, "take_back"), (Blocked("No right."), "hasten")])
async def test_message_that_can_not_be_changed_becomes_visible_by_itself(answer: object, what: str) -> None:
    here = place(answer)
    here.queue = Queue(fails={what: TransientFailure("No queue.")})

    await taken(here)


async def test_page_of_alerts_is_read_concurrently_within_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.sources.alert_reader._INLINE", 0.05)
    here = Place(tool=Tool(lambda alert: asyncio.Event().wait()))
    page = [replace(ALERT, alert=str(number)) for number in range(1, 101)]

    answers = await here.alerts.take(page)

    assert set(answers.values()) == {None}
    assert {message.alert for message, _ in here.queue.sent} == set(page)
    assert len(here.queue.done) == 8  # the others were in the queue at once
    assert {delay for _, delay in here.queue.sent} == {0.0, 45.0}


async def test_duplicate_alert_is_read_once() -> None:
    here = place()
    await here.alerts.take([ALERT, ALERT])

    assert here.tool is not None
    assert here.tool.read_alerts == [ALERT]


# Its surroundings


BARE = tuple(replace(finding, unread_places=(UnreadPlace.NO_ANSWER,)) for finding in leaked([samples.KEYS["key1"]]))


def unread(retry_after: float | None = None) -> AccountUnread:
    return AccountUnread("A file was not read.", findings=BARE, retry_after=retry_after)


async def test_leak_whose_surroundings_do_not_answer_is_read_again_first() -> None:
    here = place(unread())
    assert await taken(here) is None
    await here.alerts.resume(MESSAGE)

    assert (here.topic.sent, here.queue.done) == ([], ["hastened"])
    assert here.queue.sent[-1] == (AlertMessage(ALERT, NOW, 1), 1.0)


async def test_leak_whose_surroundings_do_not_answer_for_a_minute_is_published() -> None:
    here, message = place(unread()), MESSAGE
    for delay in (1.0, 2.0, 4.0, 8.0, 16.0):
        await here.alerts.resume(message)
        assert here.queue.sent[-1] == (AlertMessage(ALERT, NOW, message.attempt + 1), delay)
        message = here.queue.sent[-1][0]
        here.clock.now += timedelta(seconds=delay)
    assert here.topic.sent == []
    await here.alerts.resume(message)

    [event] = here.topic.events
    assert event.data["unread_places"] == ["no_answer"]
    assert here.queue.given_up == []


async def test_leak_is_not_held_up_by_a_service_that_asks_to_wait_for_long() -> None:
    """docs.github.com, "Rate limits for the REST API": up to an hour."""
    here = place(unread(retry_after=3600.0))
    await here.alerts.resume(MESSAGE)

    assert [event.id for event in here.topic.events] == [BARE[0].fingerprint]


# From the queue


async def test_alert_that_no_event_holds_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It will never be published: people have to know today."""
    monkeypatch.setattr("shared.domain.event_size.LARGEST", 10)
    here = place()
    await here.alerts.resume(MESSAGE)

    [given_up] = here.queue.given_up
    assert "an event holds 10" in given_up.failure
    assert here.topic.sent == []


async def test_alert_from_the_queue_is_published() -> None:
    here = place()
    await here.alerts.resume(MESSAGE)

    assert (len(here.topic.events), here.queue.sent, here.queue.given_up) == (1, [], [])


@pytest.mark.parametrize(
    ("failure", "attempt", "delay"),
    [
        (TransientFailure("GitHub is down."), 0, 1.0),
        (TransientFailure("GitHub is down."), 5, 32.0),
        (Throttled("Too many.", retry_after=90.0), 2, 90.0),
    ],
)
async def test_transient_failure_is_retried_with_backoff(failure: Exception, attempt: int, delay: float) -> None:
    here = place(failure)
    await here.alerts.resume(AlertMessage(ALERT, NOW, attempt))

    assert here.queue.sent == [(AlertMessage(ALERT, NOW, attempt + 1), delay)]


async def test_blocked_alert_becomes_a_dead_letter_with_a_redacted_reason() -> None:
    here = place(Blocked(f"GitHub hides it. {samples.account_sas()}"))
    await here.alerts.resume(MESSAGE)

    [message] = here.queue.given_up
    assert message.failure.startswith("GitHub hides it.")
    assert "sig=REDACTED" in message.failure


async def test_alert_becomes_a_dead_letter_after_a_day() -> None:
    here = place(TransientFailure("GitHub is down."))
    here.clock.now = NOW + timedelta(hours=24, seconds=1)
    await here.alerts.resume(MESSAGE)

    assert [message.failure for message in here.queue.given_up] == ["GitHub is down."]


async def test_alert_of_an_unconfigured_tool_becomes_a_dead_letter() -> None:
    here = Place(tool=None)
    await here.alerts.resume(MESSAGE)

    [message] = here.queue.given_up
    assert message.failure.startswith("GitHub alert 42 of contoso/x can't be read: its tool is not configured")
