import json
from dataclasses import replace
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.core.rest import HttpRequest
from azure.eventgrid.aio import EventGridPublisherClient

from shared.domain.finding import Finding
from shared.domain.report import REPORTED
from shared.domain.revocation import Change, Revocation
from shared.domain.states import Reason, State
from shared.errors import Blocked, Throttled, TransientFailure
from shared.followup.events import Announcement, StateEvents
from tests.support import other_services, samples
from tests.support.samples import ACCOUNT_ID, KEYS, NOW


def record(**changed: Any) -> Revocation:
    return samples.revocation(account=samples.account(), key_name="key2", **changed)


def announced(state: State, revocation: Revocation | None = None, *, reason: Reason | None = None) -> dict[str, Any]:
    event = Announcement(revocation or record(state=state), Change(state, NOW, reason)).to_event()
    assert isinstance(event.data, dict)
    return event.data


class Answer:
    """As much of an HTTP response as azure-core's errors read."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.reason = "reason"
        self.headers: dict[str, str] = {}
        self.request = HttpRequest("POST", "https://topic.example")

    def text(self) -> str:
        return '{"error": {"code": "Code", "message": "m"}}'

    def body(self) -> bytes:
        return self.text().encode()


class Publisher(EventGridPublisherClient):
    """Keeps what it is asked to send, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("https://topic.example", AzureKeyCredential("none"))
        self.sent: list[Any] = []
        self._error = error

    async def send(self, events: Any, **_: Any) -> None:
        if self._error is not None:
            raise self._error
        self.sent.append(events)


@pytest.mark.parametrize(
    ("state", "event_type"),
    [
        (State.OBSERVED, "Sasquash.Revocation.Observed.v1"),
        (State.AWAITING_APPROVAL, "Sasquash.Revocation.AwaitingApproval.v1"),
        (State.CONTAINED, "Sasquash.Revocation.Contained.v1"),
        (State.PROVEN, "Sasquash.Revocation.Proven.v1"),
        (State.CLOSED, "Sasquash.Revocation.Closed.v1"),
        (State.DISMISSED, "Sasquash.Revocation.Dismissed.v1"),
        (State.UNRESOLVED, "Sasquash.Revocation.Unresolved.v1"),
        (State.FAILED, "Sasquash.Revocation.Failed.v1"),
    ],
)
def test_each_state_has_the_event_of_the_design(state: State, event_type: str) -> None:
    assert Announcement(record(), Change(state, NOW)).event_type == event_type


def test_no_announcement_passes_for_a_report() -> None:
    assert REPORTED not in {Announcement(record(), Change(state, NOW)).event_type for state in State}


def test_an_announcement_says_what_stands_where() -> None:
    ended = record(state=State.FAILED, reason=Reason.BLOCKED, plan=samples.plan())

    assert announced(State.FAILED, ended, reason=Reason.BLOCKED) == {
        "fingerprint": ended.fingerprint,
        "state": "failed",
        "reason": "blocked",
        "account_id": ACCOUNT_ID,
        "key": "key2",
        "action": "account_key",
        "target": "key2",
        "source": "github",
        "received_at": "2026-11-21T10:00:00+00:00",
    }


def test_an_earlier_state_is_announced_without_the_reason_of_a_later_one() -> None:
    ended = record(state=State.FAILED, reason=Reason.STILL_ALIVE)

    assert announced(State.CONTAINED, ended)["reason"] is None


def test_an_announcement_is_about_the_account() -> None:
    event = Announcement(record(), Change(State.PROVEN, NOW)).to_event()

    assert (event.source, event.subject, event.time) == ("/sasquash", ACCOUNT_ID, NOW)


def test_an_announcement_without_an_account_is_about_the_finding() -> None:
    unknown = samples.revocation()
    event = Announcement(unknown, Change(State.UNRESOLVED, NOW)).to_event()

    assert event.subject == f"/findings/{unknown.fingerprint}"
    assert announced(State.UNRESOLVED, unknown)["account_id"] is None


def test_an_announcement_that_is_repeated_is_the_same_event() -> None:
    once, again = (Announcement(record(), Change(State.PROVEN, NOW)).to_event().id for _ in range(2))

    assert once == again


@pytest.mark.parametrize(
    "other",
    [
        Announcement(record(), Change(State.CLOSED, NOW)),
        Announcement(record(), Change(State.PROVEN, NOW.replace(microsecond=1))),
        Announcement(record(finding=samples.finding(samples.blob_sas())), Change(State.PROVEN, NOW)),
    ],
    ids=["state", "moment", "record"],
)
def test_two_announcements_are_two_events(other: Announcement) -> None:
    assert other.to_event().id != Announcement(record(), Change(State.PROVEN, NOW)).to_event().id


def test_an_announcement_holds_nothing_usable() -> None:
    full = record(execution=samples.execution(samples.verification_token()), plan=samples.plan())
    event = Announcement(full, Change(State.CONTAINED, NOW)).to_event()

    said = json.dumps(event.data) + repr(event) + f"{event.id}{event.subject}"
    signatures = [
        text.partition("sig=")[2].split("&")[0]
        for text in (samples.account_sas(), samples.verification_token().query)
    ]
    assert not any(secret.rstrip("=") in said for secret in (*signatures, *KEYS.values()))


async def test_all_states_go_out_in_one_call() -> None:
    publisher = Publisher()

    await StateEvents(publisher).announce(record(), [Change(State.CONTAINED, NOW), Change(State.PROVEN, NOW)])

    [events] = publisher.sent
    assert [event.type for event in events] == ["Sasquash.Revocation.Contained.v1", "Sasquash.Revocation.Proven.v1"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (HttpResponseError(response=Answer(429)), Throttled),
        (HttpResponseError(response=Answer(503)), TransientFailure),
        (ServiceResponseError("reset"), TransientFailure),
        (HttpResponseError(response=Answer(401)), Blocked),
        (HttpResponseError(response=Answer(413)), Blocked),
    ],
    ids=["429", "503", "reset", "401", "413"],
)
async def test_failure_is_one_of_our_errors(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised, match="Publishing a state on the Event Grid topic"):
        await StateEvents(Publisher(error)).announce(record(), [Change(State.PROVEN, NOW)])


def test_an_announcement_of_a_record_that_moved_on_is_of_the_state_reached() -> None:
    moved_on = replace(record(), state=State.CLOSED)

    assert announced(State.PROVEN, moved_on)["state"] == "proven"


def test_event_of_another_service_s_credential_says_what_leaked_and_where() -> None:
    finding = Finding(
        other_services.COSMOS_KEY.fingerprint,
        None,
        "github",
        "https://github.com/contoso/x",
        NOW,
        other=other_services.COSMOS_KEY,
    )

    data = announced(State.UNRESOLVED, Revocation.of(finding, now=NOW), reason=Reason.OTHER_SERVICE)

    assert {name: data[name] for name in ("reason", "other_service", "other_service_sha256", "url")} == {
        "reason": "other_service",
        "other_service": "cosmos_db",
        "other_service_sha256": other_services.COSMOS_KEY.sha256,
        "url": "https://github.com/contoso/x",
    }
