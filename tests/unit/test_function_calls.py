"""What each function hands on to its service, called as by the Functions worker."""

import asyncio
import base64
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import azure.functions as func
import msgspec
import pytest
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from shared.api.health import HealthCheck
from shared.api.intake.routes import Intake
from shared.api.revocations.routes import Responder
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Reported
from shared.domain.report import REPORTED, Report, read
from shared.errors import MalformedEvent, TransientFailure
from shared.operations.daily_rechecks import DailyRechecks
from shared.operations.dead_letters import DeadLetters
from shared.operations.poison_messages import PoisonMessages
from shared.operations.refusal_reminders import RefusalReminders
from shared.persistence.alert_queue import AlertMessage
from shared.persistence.queues import Message
from shared.sources.alert_reader import AlertReader
from tests.support import samples
from tests.support.functions import API
from tests.support.samples import ENVIRONMENT, NOW


@dataclass
class NotingApp:
    """An app whose services only note what they were given."""

    reports: list[Report] = field(default_factory=list)
    contained: list[Message] = field(default_factory=list)
    followed_up: list[Message] = field(default_factory=list)
    revocation_api: AsyncMock = field(default_factory=lambda: AsyncMock(spec=Responder))
    intake: AsyncMock = field(default_factory=lambda: AsyncMock(spec=Intake))
    alert_reader: AsyncMock = field(default_factory=lambda: AsyncMock(spec=AlertReader))
    dead_letters: AsyncMock = field(default_factory=lambda: AsyncMock(spec=DeadLetters))
    poison_messages: AsyncMock = field(default_factory=lambda: AsyncMock(spec=PoisonMessages))
    health: AsyncMock = field(default_factory=lambda: AsyncMock(spec=HealthCheck))
    daily_rechecks: AsyncMock = field(default_factory=lambda: AsyncMock(spec=DailyRechecks))
    refusal_reminders: AsyncMock = field(default_factory=lambda: AsyncMock(spec=RefusalReminders))
    inventories: int = 0

    @property
    def fast_path(self) -> "NotingApp":
        return self

    @property
    def background(self) -> "NotingApp":
        return self

    @property
    def http(self) -> "NotingApp":
        return self

    @property
    def accounts(self) -> "NotingApp":
        return self

    async def take_inventory(self) -> None:
        assert self.reports, "what was reported comes first"
        self.inventories += 1

    @property
    def ingest(self) -> "NotingApp":
        return self

    @property
    def containment(self) -> "NotingApp":
        return self

    @property
    def follow_up(self) -> "NotingApp":
        return self

    async def receive(self, report: Report) -> None:
        self.reports.append(report)

    async def resume(self, message: Message) -> None:
        self.contained.append(message)

    async def run(self, message: Message) -> None:
        self.followed_up.append(message)


@pytest.fixture
def services() -> NotingApp:
    return NotingApp()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, services: NotingApp) -> Iterator[ModuleType]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    module = importlib.import_module("function_app")
    monkeypatch.setattr(module, "sasquash", lambda: services)
    yield module
    del sys.modules["function_app"]


async def call(app: ModuleType, name: str, **arguments: object) -> Any:
    """Call the function as the Functions worker would."""
    [function] = [f for f in app.app.get_functions() if f.get_function_name() == name]
    return await function.get_user_function()(**arguments)


def decoded(envelope: Mapping[str, object]) -> object:
    """What the Functions worker makes of an event that the host sends."""
    return EventGridEventInConverter.decode(Datum(json.dumps(envelope), "json"), trigger_metadata=None)


DATA = samples.finding().to_data()
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/scanner",
    "type": REPORTED,
    "time": "2026-11-21T10:00:00.1234567Z",
    "subject": "robustmodels",
    "data": DATA,
}
GRID_EVENT = {
    "id": "e1",
    "topic": "/subscriptions/x/topics/y",
    "subject": "robustmodels",
    "eventType": REPORTED,
    "eventTime": "2026-11-21T10:00:00.1234567Z",
    "data": DATA,
    "dataVersion": "1",
    "metadataVersion": "1",
}


@pytest.mark.parametrize(
    ("envelope", "source"),
    [
        (CLOUD_EVENT, "/scanner"),
        (GRID_EVENT, "/subscriptions/x/topics/y"),
        (GRID_EVENT | {"topic": None}, "robustmodels"),
    ],
    ids=["CloudEvent", "Event Grid", "without a topic"],
)
async def test_a_finding_is_the_same_report_in_either_schema(
    app: ModuleType, services: NotingApp, envelope: dict[str, object], source: str
) -> None:
    await call(app, "on_finding", event=decoded(envelope))

    assert services.reports == [Report("e1", REPORTED, source, DATA)]
    assert read(services.reports[0], raw_allowed=False, now=NOW) == (Reported(samples.finding()),)


async def test_an_inventory_is_taken_once_the_finding_is_dealt_with(app: ModuleType, services: NotingApp) -> None:
    await call(app, "on_finding", event=decoded(CLOUD_EVENT))

    assert services.inventories == 1


@pytest.mark.parametrize("envelope", [CLOUD_EVENT, GRID_EVENT], ids=["CloudEvent", "Event Grid"])
@pytest.mark.parametrize("data", [None, "text", [1], 7])
async def test_data_of_any_shape_is_handed_on(
    app: ModuleType, services: NotingApp, envelope: dict[str, object], data: object
) -> None:
    await call(app, "on_finding", event=decoded(envelope | {"data": data}))

    assert services.reports[0].data == data


@pytest.mark.parametrize(
    ("envelope", "source"),
    [
        (CLOUD_EVENT, "/scanner"),
        (GRID_EVENT, "/subscriptions/x/topics/y"),
        (GRID_EVENT | {"topic": None}, "robustmodels"),
    ],
    ids=["CloudEvent", "Event Grid", "without a topic"],
)
@pytest.mark.parametrize("encode", [bytes, base64.b64encode], ids=["JSON", "base64"])
async def test_finding_from_the_queue_is_the_same_report(
    app: ModuleType,
    services: NotingApp,
    envelope: dict[str, object],
    source: str,
    encode: Callable[[bytes], bytes],
) -> None:
    """Which of the two Event Grid sends is not settled: MicrosoftDocs/azure-docs#69702, #102923."""
    await call(app, "on_queued_finding", message=func.QueueMessage(body=encode(json.dumps(envelope).encode())))

    assert services.reports == [Report("e1", REPORTED, source, DATA)]
    assert services.inventories == 1


async def test_message_that_is_no_event_is_left_to_the_poison_queue(app: ModuleType, services: NotingApp) -> None:
    with pytest.raises(MalformedEvent):
        await call(app, "on_queued_finding", message=func.QueueMessage(body=b"hello"))

    assert services.reports == []


async def test_finding_in_the_poison_queue_is_handed_on_as_it_is(app: ModuleType, services: NotingApp) -> None:
    await call(app, "findings_poison", message=func.QueueMessage(body=b"\xffhello"))

    services.poison_messages.finding.assert_awaited_once_with(b"\xffhello")


@pytest.mark.parametrize(("name", "notes"), [("contain", "contained"), ("follow_up", "followed_up")])
async def test_a_queue_message_is_handed_on(app: ModuleType, services: NotingApp, name: str, notes: str) -> None:
    body = json.dumps({"fingerprint": "ab" * 32, "attempt": 3}).encode()

    await call(app, name, message=func.QueueMessage(body=body))

    assert getattr(services, notes) == [Message("ab" * 32, 3)]


@pytest.mark.parametrize("name", ["contain", "follow_up"])
async def test_a_foreign_queue_message_is_left_to_the_poison_queue(app: ModuleType, name: str) -> None:
    with pytest.raises(MalformedEvent):
        await call(app, name, message=func.QueueMessage(body=b"hello"))


@pytest.mark.parametrize(("name", "method", "answers"), [(name, method, act) for name, method, _, act in API])
async def test_a_call_of_the_api_is_answered_by_the_responder(
    app: ModuleType, services: NotingApp, name: str, method: str, answers: str
) -> None:
    request = func.HttpRequest(method=method, url="/api/revocations", body=b"")

    answer = await call(app, name, req=request)

    assert answer is getattr(services.revocation_api, answers).return_value
    getattr(services.revocation_api, answers).assert_awaited_once_with(request)


async def test_a_report_is_answered_by_the_intake(app: ModuleType, services: NotingApp) -> None:
    request = func.HttpRequest(method="POST", url="/api/intake/github", body=b"{}")

    assert await call(app, "take_report", req=request) is services.intake.receive.return_value
    services.intake.receive.assert_awaited_once_with(request)


async def test_an_alert_in_the_queue_is_read(app: ModuleType, services: NotingApp) -> None:
    alert = AlertReference(AlertSource.GITHUB, "contoso/x", "7")
    waiting = AlertMessage(alert, NOW, 2)

    await call(app, "read_alert", message=func.QueueMessage(body=msgspec.json.encode(waiting)))

    services.alert_reader.resume.assert_awaited_once_with(waiting)


async def test_unreadable_alert_is_reported_regardless_of_its_content(app: ModuleType, services: NotingApp) -> None:
    await call(app, "intake_poison", message=func.QueueMessage(body=b"\xffhello"))

    services.poison_messages.unread.assert_awaited_once_with(b"\xffhello")


@pytest.mark.parametrize(("name", "queue"), [("contain_poison", "contain"), ("follow_up_poison", "follow-up")])
async def test_poison_message_is_handed_on_as_it_is(
    app: ModuleType, services: NotingApp, name: str, queue: str
) -> None:
    await call(app, name, message=func.QueueMessage(body=b"\xffhello"))

    services.poison_messages.failed.assert_awaited_once_with(queue, b"\xffhello")


async def test_poison_queues_are_checked_before_dead_letters_are_collected(
    app: ModuleType, services: NotingApp
) -> None:
    services.dead_letters.collect.side_effect = MalformedEvent("The container can't be listed.")

    with pytest.raises(MalformedEvent):
        await call(app, "collect_dead_letters", timer=MagicMock())

    services.poison_messages.check.assert_awaited_once_with()


async def test_health_is_that_of_the_records(app: ModuleType, services: NotingApp) -> None:
    answer = await call(app, "health_check", req=func.HttpRequest(method="GET", url="/api/health", body=b""))

    assert answer is services.health.answer.return_value


async def test_health_of_a_separate_intake_is_its_own(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no right on the records: infra/modules/storage.bicep."""
    own = AsyncMock(spec=HealthCheck)
    monkeypatch.setattr(app, "_separate_intake", lambda: SimpleNamespace(health=own))

    answer = await call(app, "health_check", req=func.HttpRequest(method="GET", url="/api/health", body=b""))

    assert answer is own.answer.return_value


def test_app_is_created_once_and_only_on_demand(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    make = MagicMock()
    monkeypatch.setattr(app, "App", make)

    make.assert_not_called()
    assert app.sasquash() is app.sasquash()
    make.assert_called_once_with(app.SETTINGS)


async def test_mail_is_sent_though_the_incidents_fail(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    background = AsyncMock()
    background.hourly_incidents.update.side_effect = RuntimeError("incidents")
    monkeypatch.setattr(app, "sasquash", lambda: SimpleNamespace(background=background))
    with pytest.raises(RuntimeError, match="incidents"):
        await call(app, "send_digest", timer=None)
    background.summary_mail.send.assert_awaited_once()


async def test_people_are_reminded_of_refusals_after_the_rechecks(app: ModuleType, services: NotingApp) -> None:
    done: list[str] = []
    services.daily_rechecks.run.side_effect = lambda: done.append("rechecks")
    services.refusal_reminders.run.side_effect = lambda: done.append("reminders")

    await call(app, "look_again", timer=None)

    assert done == ["rechecks", "reminders"]


async def test_people_are_reminded_of_refusals_also_if_the_rechecks_fail(
    app: ModuleType, services: NotingApp
) -> None:
    services.daily_rechecks.run.side_effect = TransientFailure("No answer.")

    with pytest.raises(TransientFailure):
        await call(app, "look_again", timer=None)

    services.refusal_reminders.run.assert_awaited_once()


async def test_people_are_reminded_of_refusals_also_if_the_rechecks_take_too_long(
    app: ModuleType, services: NotingApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_RECHECKING", 0)
    services.daily_rechecks.run.side_effect = asyncio.Event().wait

    with pytest.raises(TimeoutError):
        await call(app, "look_again", timer=None)

    services.refusal_reminders.run.assert_awaited_once()
