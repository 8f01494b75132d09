"""A deployed app for tests: create an account, leak its tokens, publish findings, wait for the outcome."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from azure.core.credentials import AccessToken
from azure.core.messaging import CloudEvent
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.eventgrid import EventGridEvent
from azure.eventgrid.aio import EventGridPublisherClient

from local.cloud.cloud import LocalCloud
from local.tenant.model import STATE_ACCOUNT, TOPIC_HOST, Account
from shared.cloud.event_grid import Publisher
from shared.domain import report as findings
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.persistence.revocations import Ledger
from shared.persistence.state_index import StateIndex
from tests.support.patience import PATIENCE

OWNER = "model-owner@contoso.com"
SETTLED = frozenset(set(State) - {State.RECEIVED, State.CONTAINED, State.PROVEN})
_NUMBERS = itertools.count(1)


class Developer:
    """A credential of the SDKs with tokens of the developer."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        audience = scopes[0].removesuffix("/.default")
        token = self._cloud.entra.mint(self._cloud.model.identities["developer"], audience=audience)
        return AccessToken(token, int((datetime.now(UTC) + timedelta(hours=1)).timestamp()))

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Developer":
        return self

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Deployment:
    """One deployed Sasquash, and the calls that tests make on it."""

    cloud: LocalCloud

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of an aio SDK client that uses the proxy."""
        return {
            "transport": AioHttpTransport(connection_verify=str(self.cloud.authority_file)),
            "proxies": {"https": f"http://127.0.0.1:{self.cloud.proxy_port}"},
            "retry_total": 0,
        }

    async def account(self, *, called: str = "", keys: Mapping[str, str] | None = None, **tags: str) -> Account:
        """Create a storage account for a test, with an owner in its tags; `keys`: its keys, by their names."""
        account = Account(called or f"deployed{next(_NUMBERS)}", "deployed", {"sasquash-owner": OWNER, **tags})
        account.keys.update(keys or {})
        self.cloud.model.accounts[account.name] = account
        await self.cloud.model.keys_changed()
        return account

    async def publish(self, *events: CloudEvent[Any] | EventGridEvent) -> None:
        """Publish with the SDK, all in one request."""
        endpoint = f"https://{TOPIC_HOST}/api/events"
        async with EventGridPublisherClient(endpoint, Developer(self.cloud), **self.options) as client:
            await client.send(list(events))

    async def publish_found(self, found: Iterable[Finding], *, source: str) -> None:
        """Publish findings as `python -m shared.intake` does."""
        endpoint = f"https://{TOPIC_HOST}/api/events"
        async with EventGridPublisherClient(endpoint, Developer(self.cloud), **self.options) as client:
            await Publisher(lambda: client).publish(found, source=source)

    async def report(self, text: str) -> list[str]:
        """Publish a secret-free finding for each credential in `text`; return the fingerprints."""
        reported = findings.in_text(
            text, source="test", url="https://example.com/leak", detected_at=datetime.now(UTC)
        )
        found = [each.finding for each in reported]
        await self.publish(
            *(CloudEvent(source="/tests", type=findings.REPORTED, id=f.fingerprint, data=f.to_data()) for f in found)
        )
        return [item.fingerprint for item in found]

    @asynccontextmanager
    async def _ledger(self) -> AsyncIterator[Ledger]:
        endpoint = f"https://{STATE_ACCOUNT}.table.core.windows.net"
        async with TableServiceClient(endpoint, credential=Developer(self.cloud), **self.options) as service:
            table, states = (service.get_table_client(name) for name in ("revocations", "states"))
            yield Ledger(table, StateIndex(states, clock=_now), clock=_now, new_id=lambda: "")

    async def record(self, fingerprint: str) -> Revocation | None:
        async with self._ledger() as ledger:
            return await ledger.read(fingerprint)

    async def in_state(self, state: State) -> list[Revocation]:
        async with self._ledger() as ledger:
            return [record async for record in ledger.in_state(state)]

    async def settled(self, fingerprint: str, *, until: Callable[[Revocation], bool] | None = None) -> Revocation:
        """Wait until the record is settled, or until `until` holds; return it."""
        reached = until or (lambda record: record.state in SETTLED)
        async with asyncio.timeout(PATIENCE):
            while True:
                record = await self.record(fingerprint)
                if record is not None and reached(record):
                    return record
                await asyncio.sleep(0.1)  # another process makes it happen

    async def all_settled(
        self, fingerprints: Iterable[str], *, until: Callable[[Revocation], bool] | None = None
    ) -> dict[str, Revocation]:
        """Wait until every record is settled, or until `until` holds for it; return them by their fingerprints."""
        reached = until or (lambda record: record.state in SETTLED)
        waiting, settled = dict.fromkeys(fingerprints), dict[str, Revocation]()
        async with self._ledger() as ledger, asyncio.timeout(2 * PATIENCE):
            while waiting:
                for fingerprint in tuple(waiting):
                    record = await ledger.read(fingerprint)
                    if record is not None and reached(record):
                        settled[fingerprint] = record
                        del waiting[fingerprint]
                await asyncio.sleep(0.5)  # another process makes it happen
        return settled

    async def fingerprints(self) -> set[str]:
        """Return the ids of all records."""
        async with self._ledger() as ledger:
            return {record.fingerprint for state in State async for record in ledger.in_state(state)}

    def rotations(self, account: Account) -> list[str]:
        """Return the regenerated keys of `account`, in order."""
        return [key for key, _ in account.rotations]

    def requests(self, part: str) -> list[str]:
        return [f"{r.method} {r.url}" for r in self.cloud.model.requests if part in r.url]

    def incident(self, fingerprint: str) -> dict[str, Any]:
        """Return the only incident of a record."""
        [incident] = [i for i in self.cloud.model.incidents if i.fields["FindingId"] == fingerprint]
        return incident.fields

    def shared_incident(self, record: Revocation) -> dict[str, Any]:
        """Return the incident that a record shares with others of its kind."""
        assert record.filed is not None
        assert record.filed.shared
        return self.incident(record.filed.item_id)

    def mails(self, account: Account) -> list[Any]:
        return [mail for mail in self.cloud.model.mails if account.name in mail.subject]


async def eventually[T](read: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Return what `read` returns, once `holds` is true of it."""
    async with asyncio.timeout(PATIENCE):
        while not holds(found := await read()):  # noqa: ASYNC110 -- another process decides when
            await asyncio.sleep(0.1)
    return found


def is_closed(record: Revocation) -> bool:
    """Return whether a record and its incident are closed."""
    return record.state is State.CLOSED and record.filed is not None and record.filed.state is State.CLOSED


def _now() -> datetime:
    return datetime.now(UTC)


def forms(secret: str) -> set[bytes]:
    """Return every form in which a signature or key can be written."""
    text = unquote(secret)
    raw = base64.b64decode(text)
    once = quote(text, safe="")
    variants = {text, once, quote(once, safe=""), once.lower(), raw.hex(), raw.hex().upper()}
    variants |= {base64.urlsafe_b64encode(raw).decode().rstrip("="), text.rstrip("=")}
    return {variant.encode() for variant in variants} | {raw}
