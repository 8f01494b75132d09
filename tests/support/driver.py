"""Instances of the app in the test process, against the local cloud: real sockets, TLS, tables and queues.

For what tests of a deployed app cannot do: two instances side by side, a clock that jumps, and an instance that
crashes or pauses at a chosen remote call.
"""

import asyncio
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
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ManagedIdentityCredential
from azure.storage.blob.aio import ContainerClient

from local.cloud.cloud import LocalCloud
from local.cloud.environment import IdentityEndpoint, app_settings
from local.network.faults import Effect, Fault
from local.tenant.model import Account, Incident, Mail, RecordedRequest
from shared.app import App
from shared.cloud.clients import Transport
from shared.cloud.graph import Graph
from shared.domain import report as findings
from shared.domain.finding import Finding
from shared.domain.history import HistoryEntry
from shared.domain.report import REPORTED, Report
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence import queues
from shared.persistence.accounts import COOLDOWN
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, Message
from shared.settings import Settings
from tests.support.samples import WITHOUT_TRACES
from tests.support.tables import delete_rows

_NUMBERS = itertools.count(1)
_NO_ENDPOINT = IdentityEndpoint(port=0, secret="")

OWNER = "model-owner@contoso.com"


class Crashed(BaseException):
    """The instance has crashed: none of its remote calls is sent any more."""


class Clock:
    """The real time plus what a test has added."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **by: float) -> None:
        self._ahead += timedelta(**by)


@dataclass
class Lifetime:
    """The lifetime of an instance. It crashes at remote call number `ends_at`, before or after its execution.

    With `counting`, only calls whose "METHOD url" contains that text count.

    Or it pauses at the first call whose "METHOD url" contains `stops_at`, until the test sets `go`.
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
            raise Crashed
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
                raise Crashed
        answer = await send()
        if (ends or stops) and self.carried_out:
            await self._pause(ends=ends)
        if self.ended:
            raise Crashed
        return answer

    async def _pause(self, *, ends: bool) -> None:
        if ends:
            raise Crashed
        await self.go.wait()


@dataclass(frozen=True)
class Sent:
    """A message that the app put into a queue of its own."""

    queue: str
    delay: float
    message: Message


class _Watched(AioHttpTransport):  # type: ignore[misc]  # untyped
    """A transport that fails once its instance has crashed, and records the queue messages."""

    def __init__(self, connector: aiohttp.BaseConnector, life: Lifetime, sent: list[Sent]) -> None:
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
            message = queues.read(text.encode())
            self._sent.append(Sent(queue, delay, message))
        return answer


@dataclass
class Driver:
    """Creates instances and accounts, and reads what they have done since the test began."""

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
        self, life: Lifetime | None = None, /, *, credential: AsyncTokenCredential | None = None, **settings: str
    ) -> App:
        """Create an instance of the app. `settings` are changed settings without prefix: `mode="observe"`.

        It has the identity of the deployed app, unless a `credential` is given.
        """
        environment = app_settings(self.cloud.model, endpoint=_NO_ENDPOINT) | WITHOUT_TRACES
        changed = {f"SASQUASH_{name.upper()}": value for name, value in settings.items()}
        app = App(
            Settings.read(environment | changed),
            credential=credential or self.credential,
            transport=lambda: self.transport(life or Lifetime()),
            clock=self.clock,
        )
        app.connections.graph = self.graph  # shared, since creating its client takes longer than a test
        return app

    def transport(self, life: Lifetime) -> Transport:
        """Return a transport into the local cloud with the lifetime `life`."""
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
        """Create a storage account for the test. Its keys are old, so that their age is no evidence."""
        account = Account(name=name or f"driven{next(_NUMBERS)}", resource_group="driven", tags=tags or {})
        account.properties |= properties or {}
        account.created_at -= timedelta(days=400)
        account.key_created = dict.fromkeys(account.keys, account.created_at)
        self.cloud.model.accounts[account.name] = account
        await self.cloud.model.keys_changed()
        return account

    def fault(self, match: str, effect: Effect = Effect.STATUS, **options: Any) -> Fault:
        """Inject a fault into the next matching request (`local.network.faults`)."""
        fault = Fault(match=match, effect=effect, **options)
        self.cloud.faults.add(fault)
        return fault

    def requests(self, match: str = "") -> list[RecordedRequest]:
        """Return the requests since the test began whose "METHOD url" contains `match`."""
        recorded = (r for r in self.cloud.model.requests if r.sequence > self._first_request)
        return [r for r in recorded if match in f"{r.method} {r.url}"]

    def messages(self, queue: str, fingerprint: str) -> list[tuple[float, int]]:
        """Return delay and attempt of each message about a record."""
        mine = (s for s in self.sent if s.queue == queue and s.message.fingerprint == fingerprint)
        return [(s.delay, s.message.attempt) for s in mine]

    def cool_down(self) -> None:
        """Advance the clock by the cooldown of an account."""
        self.clock.advance(seconds=COOLDOWN.total_seconds())

    async def record(self, fingerprint: str) -> Revocation:
        """Return the stored record."""
        found = await self.app().fast_path.store.revocations.read(fingerprint)
        assert found is not None, "no record"
        return found

    async def history(self, fingerprint: str) -> tuple[HistoryEntry, ...]:
        return await self.app().fast_path.store.revocations.history(fingerprint)

    async def rows(self, partition: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a partition of table `accounts`, by row key."""
        table = self.app().fast_path.store.accounts._table  # the table itself, not as the product reads it
        found = table.query_entities("PartitionKey eq @p", parameters={"p": partition})
        return {row["RowKey"]: dict(row) async for row in found}

    async def nothing_open(self) -> None:
        """Delete the open records of other tests from the state index."""
        await delete_rows(self.app().fast_path.state_index._table, where="PartitionKey eq 'open'")

    async def no_floods(self) -> None:
        """Delete the unconfirmed findings of other tests, which share incidents and mails, and their outages."""
        await delete_rows(self.app().background.summary_mail.lines.table)

    async def no_dead_letters(self) -> ContainerClient:
        """Delete the dead letters of other tests, what they had kept, and their outages; return the container."""
        await self.no_floods()
        container = self.app().background.dead_letter_container
        async for blob in container.list_blobs():
            await container.delete_blob(blob.name)
        return container

    def mails(self, about: str) -> list[Mail]:
        """Return the mails that name an account."""
        return [mail for mail in self.cloud.model.mails if about in mail.body]

    def incidents(self, fingerprint: str) -> list[Incident]:
        return [i for i in self.cloud.model.incidents if i.fields.get("FindingId") == fingerprint]

    def shared_incidents(self, record: Revocation) -> list[Incident]:
        """Return the incidents that a record shares with others of its kind: one, or none."""
        assert record.filed is not None, "no incident"
        assert record.filed.shared, "an incident of its own"
        return self.incidents(record.filed.item_id)

    def announced(self, fingerprint: str) -> list[str]:
        """Return the published states of a record: the last but one part of the types of its events."""
        events = self.cloud.model.events
        types = (e["type"] for e in events if (e.get("data") or {}).get("fingerprint") == fingerprint)
        return [name.split(".")[-2] for name in types]


@asynccontextmanager
async def driving(
    cloud: LocalCloud, credential: ManagedIdentityCredential, trust: ssl.SSLContext, graph: Graph
) -> AsyncIterator[Driver]:
    # One connection pool for all instances of a test, since handshakes would dominate its time.
    async with aiohttp.TCPConnector(ssl=trust) as connector:
        driver = Driver(cloud, credential, connector, graph)
        try:
            yield driver
        finally:
            await driver.close()


async def ended(driver: Driver, fingerprint: str, *, tries: int = 12, **settings: str) -> Revocation:
    """Process the queue messages of a record, with `settings`; return the record with its verdict."""
    for _ in range(tries):
        record = await driver.record(fingerprint)
        if record.state is not State.RECEIVED:
            return record
        driver.clock.advance(minutes=4)
        await driver.app(**settings).fast_path.containment.resume(Message(fingerprint))
    raise AssertionError(f"still received: {[entry.what for entry in await driver.history(fingerprint)]}")


def found(text: str, *, source: str = "scanner", url: str | None = "https://github.com/contoso/x") -> Finding:
    """Return the only finding in `text`."""
    [only] = findings.in_text(text, source=source, url=url, detected_at=datetime.now(UTC))
    return only.finding


def report(finding: Finding) -> Report:
    """Return the event with a secret-free finding."""
    return Report(f"event-{next(_NUMBERS)}", REPORTED, "/scanners/tests", finding.to_data())


def raw_report(text: str) -> Report:
    """Return the event with a raw token."""
    return Report(f"event-{next(_NUMBERS)}", REPORTED, "/scanners/tests", {"secret": text, "source": "scanner"})
