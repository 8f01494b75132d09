"""One simulated cloud with its function hosts, on the loop's clock."""

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from local.arm import service as arm
from local.cloud.environment import app_settings
from local.cloud.provisioning import CONTAINERS, DEAD_LETTERS, QUEUES, TABLES, state_account
from local.event_grid.delivery import Answer as DeliveryAnswer
from local.event_grid.schemas import parse
from local.event_grid.topic import EventGrid
from local.graph import service as graph
from local.key_vault import service as key_vault
from local.memory.data_plane import MemoryDataPlane
from local.memory.exchange import Request, asgi
from local.memory.storage import MemoryStorage
from local.network import hostnames
from local.tenant import model
from local.tenant.model import KEY_VAULT, STATE_ACCOUNT, TOPIC_HOST, Account, Cloud
from local.tenant.model.vault import SecretVersion
from shared.cloud import clients
from shared.persistence.queues import json_in
from tests.simulation.accounts import PlannedAccount
from tests.simulation.faults import Schedule
from tests.simulation.hosts import MOST_TRIES, NO_ENDPOINT, SYSTEM_KEY, SimulatedHost, Tokens
from tests.simulation.leaks import unleaked
from tests.simulation.loop import EPOCH, JumpingLoop
from tests.simulation.network import Network
from tests.simulation.old_rows import OldRow
from tests.simulation.scenario import Scenario
from tests.support.samples import WITHOUT_TRACES

_SOON = timedelta(minutes=20)  # longer than any retry is delayed that is not for the next day
_SHORTEST_POLL = 0.1
_DAILY = timedelta(hours=1, minutes=23)  # from the start of a run to the first daily check


@dataclass(frozen=True)
class ByHand:
    """A key that a person regenerated, and when, by the account's model and in seconds."""

    account: str
    key_name: str
    moment: datetime
    at: float


class World:
    """The cloud of one run."""

    def __init__(
        self,
        seed: int,
        scenario: Scenario,
        schedule: Schedule,
        *,
        tokens: Tokens,
        functions: dict[str, Callable[[Any], Any]],
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)
        self.loop = loop
        self.seed = seed
        self.tokens = tokens
        self.functions = functions
        self.scenario = scenario
        self.failures: list[str] = []
        self.by_hand: list[ByHand] = []
        self.put_back: Counter[tuple[str, tuple[str, str], str]] = Counter()  # policies, by account, list and id
        self.acts: Counter[str] = Counter()  # of people, by what they did
        self.next_daily = EPOCH + _DAILY
        self.most_calls = math.inf  # after which nobody waits for an end any more
        self.cloud = Cloud(identities=tokens.cloud.identities, users=tokens.cloud.users)
        tokens.entra._cloud = self.cloud
        self.cloud.accounts[STATE_ACCOUNT] = state_account()
        for planned in scenario.accounts:
            self.cloud.accounts[planned.name] = _account(planned, loop.utc_now() - timedelta(days=400))
        self.storage = MemoryStorage(self.cloud, tokens.entra, now=loop.utc_now)
        self.cloud.tables = MemoryDataPlane(self.storage)
        for table in TABLES:
            self.storage.tables(STATE_ACCOUNT).create(table)
        self.app_queues = [("contain", "contain"), ("follow_up", "follow-up")]
        self.app_queues += [("contain_poison", "contain-poison"), ("follow_up_poison", "follow-up-poison")]
        for queue in QUEUES:
            self.storage.queues(STATE_ACCOUNT).create(queue)
        for container in CONTAINERS:
            self.storage.blobs(STATE_ACCOUNT).create(container)
        self._furnish(scenario)
        self.events = EventGrid(
            self.cloud,
            tokens.entra,
            send=self._deliver,
            clock=loop.utc_now,
            sleep=asyncio.sleep,
            dead_letter=self.dead_letter,
        )
        self.network = Network(
            services={
                hostnames.ARM_HOST: asgi(arm.app(self.cloud, tokens.entra)),
                hostnames.GRAPH_HOST: asgi(graph.app(self.cloud, tokens.entra)),
                TOPIC_HOST: asgi(self.events.app),
                f".{hostnames.KEY_VAULT_SUFFIX}": asgi(key_vault.app(self.cloud, tokens.entra)),
                ".core.windows.net": self._stored,
            },
            schedule=schedule,
            clock=loop.utc_now,
            accounts={p.name: self.cloud.accounts[p.name] for p in scenario.accounts},
            graph_down_until=scenario.graph_down_until,
            refusals=scenario.refusals,
            rng=random.Random(f"{seed}/refusals"),
        )
        changed = {f"SASQUASH_{name.upper()}": value for name, value in scenario.settings.items()}
        self.environment = app_settings(self.cloud, endpoint=NO_ENDPOINT) | WITHOUT_TRACES | changed
        self._queue_changed = asyncio.Event()
        self._numbers = count(1)
        self.hosts: list[SimulatedHost] = []
        self._rng = random.Random(f"{seed}/world")
        for _ in range(scenario.hosts):
            self.start_host()
        self.events._delivery._endpoints = ("https://hosts",)

    def _furnish(self, scenario: Scenario) -> None:
        """Have there be what leaks give access to, and rows that another version of the app has left."""
        for planned in scenario.accounts:
            self.storage.blobs(planned.name).create("models")
            if planned.secret is not None:
                text = planned.secret.text(planned.name, planned.keys[planned.secret.key_name])
                self.cloud.vaults[KEY_VAULT].add(planned.secret.name, SecretVersion(text))
        for leak in scenario.leaks:
            account = self.cloud.accounts[leak.account]
            if leak.delegation is not None:
                account.delegation_keys.append(leak.delegation)
            if leak.policy is not None:
                self._create(leak.account, *leak.policy.key)
                there = () if leak.policy.missing else (leak.policy.identifier,)
                self.storage.policies.write(account, leak.policy.key, (*there, unleaked()))
        for row in scenario.rows:
            self._write(row)

    def _create(self, account: str, service: str, resource: str) -> None:
        match service:
            case "blob":
                self.storage.blobs(account).create(resource)
            case "queue":
                self.storage.queues(account).create(resource)
            case _:
                self.storage.tables(account).create(resource)

    def _write(self, row: OldRow) -> None:
        path = f"/{row.table}(PartitionKey='{row.partition}',RowKey='{row.row}')"
        body = json.dumps(row.columns).encode()
        self.storage.tables(STATE_ACCOUNT).answer(Request("PUT", "", path, "", {}, body))

    def start_host(self) -> None:
        """Start a host beside those that run."""
        host = SimulatedHost(self, next(self._numbers))
        self.hosts.append(host)
        asyncio.create_task(self._replace_when_killed(host)).add_done_callback(lambda _: None)

    async def _replace_when_killed(self, host: SimulatedHost) -> None:
        await host.life.over.wait()
        self.hosts.remove(host)
        await asyncio.sleep(self._rng.uniform(1.0, 60.0))
        self.start_host()

    async def any_host(self) -> SimulatedHost:
        """Return a host that runs."""
        await self._until(lambda: bool(self.hosts), every=1.0)
        return self._rng.choice(self.hosts)

    async def until_at_rest(self) -> None:
        """Return when nothing is queued, delivered, or being done, or when that will never be."""
        await self._until(lambda: self.at_rest or self.is_storming, every=15.0)

    @property
    def is_storming(self) -> bool:
        """Whether the hosts have made so many calls that they go round in circles."""
        return len(self.network.calls) > self.most_calls

    @staticmethod
    async def _until(condition: Callable[[], bool], *, every: float) -> None:
        """Check every so many seconds of the loop's clock, which cost nothing."""
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(every)

    def publish(self, event: dict[str, Any]) -> None:
        """Publish a CloudEvent on the topic."""
        body = json.dumps([event]).encode()
        for parsed in parse(body, content_type="application/cloudevents-batch+json", topic="simulated"):
            self.events._delivery.accept(parsed)

    async def _deliver(self, method: str, _url: str, headers: Any, body: bytes) -> DeliveryAnswer:
        """Event Grid's way to the hosts: one of those that run."""
        if not self.hosts:
            raise OSError("no host runs")
        host = self._rng.choice(self.hosts)
        url = f"https://host/runtime/webhooks/eventgrid?functionName=on_finding&code={SYSTEM_KEY}"
        answering = asyncio.ensure_future(host.webhook(Request.of(method, url, headers, body)))
        ending = asyncio.create_task(host.life.over.wait())
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise OSError("the host was killed")
        ending.cancel()
        answer = answering.result()
        return DeliveryAnswer(answer.status, answer.headers, answer.body)

    def is_poisoned(self, function: str, argument: Any) -> bool:
        """Whether a function fails on this message, whatever it does."""
        now = self.loop.time()
        return any(
            one.queue == function and now < one.until and one.fingerprint.encode() in json_in(argument.get_body())
            for one in self.scenario.poison
        )

    async def dead_letter(self, name: str, content: bytes) -> None:
        """Write a dead letter, as Event Grid does."""
        url = f"https://{STATE_ACCOUNT}.blob.core.windows.net/{DEAD_LETTERS}/{name}"
        token = await self.tokens.get_token("https://storage.azure.com/.default")
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "authorization": f"Bearer {token.token}",
            "x-ms-version": "2021-12-02",
        }
        await self.storage(Request.of("PUT", url, headers, content))

    async def _stored(self, request: Request) -> Any:
        answer = await self.storage(request)
        if ".queue." in request.host and request.method != "GET":
            self._queue_changed.set()
            self._queue_changed = asyncio.Event()
        return answer

    async def until_visible(self, queue: str, stopping: asyncio.Event, *, again: float) -> None:
        """Return when a message of the queue can be got, or the host is to stop.

        `again` is in how many seconds to ask again for one that was not got: the queue does not answer.
        """
        while not stopping.is_set():
            due = self.storage.queues(STATE_ACCOUNT).next_visible(queue)
            left = (due - self.loop.utc_now()).total_seconds() if due is not None else None
            if left is not None and left <= 0:
                await asyncio.sleep(0.05 if again <= _SHORTEST_POLL else again)
                return
            changed = self._queue_changed
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                continue

    @property
    def has_work_left(self) -> bool:
        """Whether a timer still has something to do: a record that is open, or a dead letter."""
        letters = self.storage.blobs(STATE_ACCOUNT).containers[DEAD_LETTERS]
        left = any(not name.startswith("kept/") for name in letters)
        return left or bool(self.storage.tables(STATE_ACCOUNT).tables["states"].get("open"))

    @property
    def at_rest(self) -> bool:
        """Whether nothing is delivered or being done, or queued for the next minutes."""
        soon = self.loop.utc_now() + _SOON
        messages = (one for queue in self.storage.queues(STATE_ACCOUNT).queues.values() for one in queue)
        # No function gets a poison message any more that one has failed on so often.
        queued = any(one.visible_at < soon and one.dequeued <= MOST_TRIES for one in messages)
        pending = any(event.get("state") == "pending" for event in self.cloud.events)
        late = any(not task.done() for task in self.network.late)
        return not queued and not pending and not late and not any(host.invocations for host in self.hosts)


def _account(planned: PlannedAccount, created_at: datetime) -> Account:
    tags = {"sasquash-owner": planned.owner} | planned.tags
    account = Account(planned.name, "production", tags, dict(planned.keys), created_at=created_at)
    account.key_created = dict.fromkeys(account.keys, created_at)
    return account


@contextmanager
def simulated_time(loop: JumpingLoop) -> Any:
    """Have the stand-ins tell the loop's time, and the SDKs try again at once."""
    import sys

    real = model.now
    patched = [
        m for name, m in list(sys.modules.items()) if name.startswith("local.") and getattr(m, "now", None) is real
    ]
    kept = (dict(clients._RETRIES), dict(clients._QUEUE_RETRIES))
    for module in patched:
        module.now = loop.utc_now  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in patched:
            module.now = real  # type: ignore[attr-defined]
        clients._RETRIES.update(kept[0])
        clients._QUEUE_RETRIES.update(kept[1])
