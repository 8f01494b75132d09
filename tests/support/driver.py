"""Apps of the product in the test's own process, against the local cloud: real sockets, TLS, tables and queues.

This allows what end-to-end tests can't do: two apps side by side, a simulated clock, and an app that crashes at any
remote call that a test chooses.
"""

import asyncio
import base64
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
import msgspec
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ManagedIdentityCredential

from local.cloud.cloud import LocalCloud
from local.cloud.environment import IdentityEndpoint, app_settings
from local.network.faults import Effect, Fault
from local.tenant.model import Account, Incident, Mail, RecordedRequest
from shared.app import App
from shared.cloud.clients import Transport
from shared.cloud.graph import Graph
from shared.domain import finding as findings
from shared.domain.finding import REPORTED, Finding, Report
from shared.domain.revocation import Revocation, State
from shared.persistence.accounts import COOLDOWN
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, Message
from shared.persistence.revocations import HistoryEntry
from shared.settings import Settings
from tests.support.samples import WITHOUT_TRACES

_NUMBERS = itertools.count(1)
_NO_ENDPOINT = IdentityEndpoint(port=0, secret="")

OWNER = "model-owner@contoso.com"


class Killed(BaseException):
    """The app's process has crashed: none of its remote calls succeeds any more."""


class Clock:
    """The real time, and what a test has moved it on by."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **by: float) -> None:
        self._ahead += timedelta(**by)


@dataclass
class Life:
    """An app's life: it ends at remote call number `ends_at`, before that is sent or once it is carried out.

    With `counting`, only calls whose "METHOD url" contains that text count.

    Or it stands still at the first call whose "METHOD url" contains `stops_at`, until the test lets it `go`.
    """

    ends_at: int | None = None
    stops_at: str | None = None
    carried_out: bool = False
    counting: str = ""
    calls: int = 0
    ended: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, line: str, send: Callable[[], Awaitable[Any]]) -> Any:
        if self.ended:
            raise Killed
        counts = self.counting in line
        self.calls += counts
        ends = counts and self.calls == self.ends_at
        stops = self.stops_at is not None and self.stops_at in line and not self.stopped.is_set()
        self.ended = self.ended or ends
        if stops:
            self.stopped.set()
        if (ends or stops) and not self.carried_out:
            await self._pause(ends=ends)
            if self.ended:
                raise Killed
        answer = await send()
        if (ends or stops) and self.carried_out:
            await self._pause(ends=ends)
        if self.ended:
            raise Killed
        return answer

    async def _pause(self, *, ends: bool) -> None:
        if ends:
            raise Killed
        await self.go.wait()


@dataclass(frozen=True)
class Sent:
    """A message that the product sent to itself."""

    queue: str
    delay: float
    message: Message


class _Watched(AioHttpTransport):  # type: ignore[misc]  # untyped
    """A transport that ends with its app's life and records the messages of the queues."""

    def __init__(self, connector: aiohttp.BaseConnector, life: Life, sent: list[Sent]) -> None:
        session = aiohttp.ClientSession(
            connector=connector, connector_owner=False, trust_env=True, auto_decompress=False
        )
        super().__init__(session=session)
        self._life = life
        self._sent = sent

    async def send(self, request: Any, **options: Any) -> Any:
        send = super().send
        answer: Any = await self._life.call(
            f"{request.method} {unquote(request.url)}", lambda: send(request, **options)
        )
        parts = urlsplit(request.url)
        queue = parts.path.split("/")[1]
        if request.method == "POST" and queue in (CONTAIN_QUEUE, FOLLOW_UP_QUEUE) and answer.status_code == 201:
            [text] = ET.fromstring(request.body).itertext()
            delay = float(parse_qs(parts.query).get("visibilitytimeout", ["0"])[0])
            message = msgspec.json.decode(base64.b64decode(text), type=Message)
            self._sent.append(Sent(queue, delay, message))
        return answer


@dataclass
class Driver:
    """Creates apps and accounts, and reads their effects since the test began."""

    cloud: LocalCloud
    credential: ManagedIdentityCredential
    connector: aiohttp.BaseConnector
    graph: Graph
    clock: Clock = field(default_factory=Clock)
    sent: list[Sent] = field(default_factory=list)
    _transports: list[AioHttpTransport] = field(default_factory=list)
    _first_request: int = 0

    def __post_init__(self) -> None:
        requests = self.cloud.model.requests
        self._first_request = requests[-1].sequence if requests else 0

    def app(
        self, life: Life | None = None, /, *, credential: AsyncTokenCredential | None = None, **settings: str
    ) -> App:
        """An app with the deployment's settings; `settings` are changed ones without prefix: `mode="observe"`.

        It is the deployed app, unless it has a `credential` of its own.
        """
        environment = app_settings(self.cloud.model, endpoint=_NO_ENDPOINT) | WITHOUT_TRACES
        changed = {f"SASQUASH_{name.upper()}": value for name, value in settings.items()}
        app = App(
            Settings.read(environment | changed),
            credential=credential or self.credential,
            transport=lambda: self.transport(life or Life()),
            clock=self.clock,
        )
        vars(app)["_graph"] = self.graph  # one for all: to make its client takes longer than a test
        return app

    def transport(self, life: Life) -> Transport:
        """A transport into the local cloud that lives as long as `life`."""
        transport = _Watched(self.connector, life, self.sent)
        self._transports.append(transport)
        return transport

    async def close(self) -> None:
        for transport in self._transports:
            await transport.close()

    async def account(
        self,
        *,
        tags: dict[str, str] | None = None,
        name: str | None = None,
        properties: Mapping[str, object] | None = None,
    ) -> Account:
        """A storage account of the test's own; its keys are old, so that their age is no evidence."""
        account = Account(name=name or f"driven{next(_NUMBERS)}", resource_group="driven", tags=tags or {})
        account.properties |= properties or {}
        account.created_at -= timedelta(days=400)
        account.key_created = dict.fromkeys(account.keys, account.created_at)
        self.cloud.model.accounts[account.name] = account
        await self.cloud.model.keys_changed()
        return account

    def fault(self, match: str, effect: Effect = Effect.STATUS, **options: Any) -> Fault:
        """Have the next request that matches go wrong (`local.network.faults`)."""
        fault = Fault(match=match, effect=effect, **options)
        self.cloud.faults.add(fault)
        return fault

    def requests(self, match: str = "") -> list[RecordedRequest]:
        """The requests since the test began whose "METHOD url" contains `match`."""
        recorded = (r for r in self.cloud.model.requests if r.sequence > self._first_request)
        return [r for r in recorded if match in f"{r.method} {r.url}"]

    def messages(self, queue: str, fingerprint: str) -> list[tuple[float, int]]:
        """Delay and attempt of each message that was sent about a record."""
        mine = (s for s in self.sent if s.queue == queue and s.message.fingerprint == fingerprint)
        return [(s.delay, s.message.attempt) for s in mine]

    def rest(self) -> None:
        """Let the seconds pass in which the keys of an account are not listed again."""
        self.clock.advance(seconds=COOLDOWN.total_seconds())

    async def record(self, fingerprint: str) -> Revocation:
        """The ledger's record."""
        found = await self.app().store.revocations.read(fingerprint)
        assert found is not None, "no record"
        return found

    async def history(self, fingerprint: str) -> tuple[HistoryEntry, ...]:
        return await self.app().store.revocations.history(fingerprint)

    async def rows(self, partition: str) -> dict[str, dict[str, Any]]:
        """The rows of one partition of table `accounts`, by row key."""
        table = self.app().store.accounts._table  # the table as it is, not as the product reads it
        found = table.query_entities("PartitionKey eq @p", parameters={"p": partition})
        return {row["RowKey"]: dict(row) async for row in found}

    async def nothing_open(self) -> None:
        """Take from the sweep what other tests have left to it."""
        table = self.app().state_index._table
        async for row in table.query_entities("PartitionKey eq 'open'"):
            await table.delete_entity("open", row["RowKey"])

    def mails(self, about: str) -> list[Mail]:
        """The mails that name an account."""
        return [mail for mail in self.cloud.model.mails if about in mail.body]

    def incidents(self, fingerprint: str) -> list[Incident]:
        return [i for i in self.cloud.model.incidents if i.fields.get("FindingId") == fingerprint]

    def announced(self, fingerprint: str) -> list[str]:
        """The states that were announced of a record, as the last but one part of the event's type."""
        events = self.cloud.model.events
        types = (e["type"] for e in events if (e.get("data") or {}).get("fingerprint") == fingerprint)
        return [name.split(".")[-2] for name in types]


@asynccontextmanager
async def driving(
    cloud: LocalCloud, credential: ManagedIdentityCredential, trust: ssl.SSLContext, graph: Graph
) -> AsyncIterator[Driver]:
    # One pool of connections for all apps of a test: handshakes would take most of its time.
    async with aiohttp.TCPConnector(ssl=trust) as connector:
        driver = Driver(cloud, credential, connector, graph)
        try:
            yield driver
        finally:
            await driver.close()


async def ended(driver: Driver, fingerprint: str, *, tries: int = 12, **settings: str) -> Revocation:
    """The record, once the queue's messages have brought it to a verdict; an app with `settings` reads them."""
    for _ in range(tries):
        record = await driver.record(fingerprint)
        if record.state is not State.RECEIVED:
            return record
        driver.clock.advance(minutes=4)
        await driver.app(**settings).containment.resume(Message(fingerprint))
    raise AssertionError(f"still received: {[entry.what for entry in await driver.history(fingerprint)]}")


def found(text: str, *, source: str = "scanner", url: str | None = "https://github.com/contoso/x") -> Finding:
    """The one finding in `text`."""
    [only] = findings.in_text(text, source=source, url=url, detected_at=datetime.now(UTC))
    return only.finding


def report(finding: Finding) -> Report:
    """The event that a publisher of secret-free findings sends."""
    return Report(f"event-{next(_NUMBERS)}", REPORTED, "/scanners/tests", finding.to_data())


def raw_report(text: str) -> Report:
    """The event that a publisher of raw tokens sends."""
    return Report(f"event-{next(_NUMBERS)}", REPORTED, "/scanners/tests", {"secret": text, "source": "scanner"})
