"""An intake in memory: its real modules, with a topic and a queue that record, and sources with given alerts."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import azure.functions as func
from azure.core.messaging import CloudEvent

from shared.api.intake.registry import Reporters
from shared.api.intake.routes import Intake
from shared.cloud.event_grid import Publisher
from shared.cloud.secret_settings import SecretSettings
from shared.containment.rate_limit import RateLimit
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.errors import SasquashError
from shared.persistence.alert_queue import AlertMessage
from shared.sources.alert_reader import AlertReader
from shared.sources.findings import Found
from tests.support import samples
from tests.support.entra import access_tokens
from tests.support.samples import NOW

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
GITHUB_SECRET = "it's a secret to everybody"
PASSWORD = "a password"
BASIC = f"Basic {base64.b64encode(f'sasquash:{PASSWORD}'.encode()).decode()}"
NAMES = ("wiz", "trufflehog", "gitleaks", "sarif", "cloudevents", "secretlint")
SENDERS = ",".join(f"{name}={SECRET}" for name in NAMES)
ALERT = AlertReference(AlertSource.GITHUB, "contoso/x", "42")
LEAK = samples.account_sas()
FINGERPRINT = samples.leak(LEAK).fingerprint


@dataclass
class Topic:
    """A topic that records events, or fails."""

    fails: Exception | None = None
    sent: list[list[CloudEvent[Any]]] = field(default_factory=list)

    async def send(self, events: list[CloudEvent[Any]]) -> None:
        if self.fails is not None:
            raise self.fails
        self.sent.append(events)

    @property
    def events(self) -> list[CloudEvent[Any]]:
        return [event for batch in self.sent for event in batch]


@dataclass
class Queue:
    """A queue that records calls. A call that `fails` names raises that error."""

    fails: dict[str, SasquashError] = field(default_factory=dict)
    sent: list[tuple[AlertMessage, float]] = field(default_factory=list)
    given_up: list[AlertMessage] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def send(self, message: AlertMessage, *, delay: float) -> object:
        self._fail("send")
        self.sent.append((message, delay))
        return object()

    async def give_up(self, message: AlertMessage) -> None:
        self.given_up.append(message)

    async def take_back(self, sent: object) -> None:
        self._fail("take_back")
        self.done.append("taken back")

    async def hasten(self, sent: object) -> None:
        self._fail("hasten")
        self.done.append("hastened")

    def _fail(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]


@dataclass
class Tool:
    """A reader of alerts: returns or raises what `answers` returns, or awaits it."""

    answers: Callable[[AlertReference], Any] = lambda alert: ()
    read_alerts: list[AlertReference] = field(default_factory=list)

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        self.read_alerts.append(alert)
        answer = self.answers(alert)
        if isinstance(answer, Exception):
            raise answer
        return tuple(await answer) if hasattr(answer, "__await__") else tuple(answer)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Place:
    """An intake with its topic, queue, reader and clock."""

    topic: Topic = field(default_factory=Topic)
    queue: Queue = field(default_factory=Queue)
    tool: Tool | None = field(default_factory=Tool)
    clock: Clock = field(default_factory=Clock)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def alerts(self) -> AlertReader:
        tools = dict.fromkeys(AlertSource, lambda: self.tool)
        publisher = Publisher(lambda: self.topic)  # type: ignore[arg-type, return-value]
        return AlertReader(tools, self.queue, publisher, clock=self.clock)  # type: ignore[arg-type]

    def intake(self) -> Intake:
        given = {
            "intake_senders": SENDERS,
            "github_webhook_secret": GITHUB_SECRET,
            "azure_devops_password": PASSWORD,
            "azure_devops_organization": "contoso",
        }
        settings = samples.settings(**(given | self.settings))
        secrets = SecretSettings(lambda url: None, clock=self.clock)  # type: ignore[arg-type, return-value]
        return Intake(
            reporters=Reporters(settings, secrets=secrets, tokens=access_tokens(), clock=self.clock),
            publisher=Publisher(lambda: self.topic),  # type: ignore[arg-type, return-value]
            alerts=self.alerts,
            quotas=RateLimit(an_hour=settings.intake_quota, clock=self.clock),
            clock=self.clock,
        )


def request(source: str, body: bytes, **headers: str) -> func.HttpRequest:
    """Return a request as the Functions host passes it to the app."""
    named = {"content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(
        method="POST",
        url=f"https://sasquash.azurewebsites.net/api/intake/{source}",
        headers=named,
        route_params={"source": source},
        body=body,
    )


def signed(
    source: str, body: bytes, *, name: str = "msg_1", at: datetime = NOW, key: bytes = KEY
) -> func.HttpRequest:
    """Return a request signed by Standard Webhooks."""
    time = str(int(at.timestamp()))
    digest = hmac.new(key, b".".join((name.encode(), time.encode(), body)), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return request(source, body, webhook_id=name, webhook_timestamp=time, webhook_signature=signature)


def by_github(payload: object, *, event: str = "secret_scanning_alert", delivery: str = "d1") -> func.HttpRequest:
    """Return a delivery of GitHub's webhook."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signature = hmac.new(GITHUB_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return request(
        "github",
        body,
        x_hub_signature_256=f"sha256={signature}",
        x_github_event=event,
        x_github_delivery=delivery,
    )


def generic(*texts: object) -> bytes:
    """Return a report in the generic format."""
    return json.dumps({"findings": [{"text": text} for text in texts]}).encode()


def github_payload(**changed: object) -> dict[str, Any]:
    """Return the payload of a webhook about ALERT."""
    alert = {"number": 42, "secret_type": "azure_sas_token", "created_at": "2026-11-21T09:00:00Z"}
    return {"action": "created", "alert": alert, "repository": {"full_name": "contoso/x"}} | changed


def said(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())


def results(response: func.HttpResponse) -> list[tuple[str, str | None]]:
    """Return result and reason of each item."""
    return [(item["result"], item.get("reason")) for item in said(response)["items"]]


def leaked(findings: Iterable[str]) -> tuple[Finding, ...]:
    """Return the findings of an alert about these texts."""
    from shared.domain.report import in_text

    return tuple(
        reported.finding
        for text in findings
        for reported in in_text(text, source="github", url=None, detected_at=NOW, alert=ALERT)
    )
