"""One simulated cloud with its function hosts: the real code of both, without a socket, on the loop's clock."""

import asyncio
import json
import os
import random
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import count
from typing import Any

import azure.functions as func
from azure.core.credentials import AccessToken
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum as FunctionsDatum
from azure.storage.queue.aio import QueueClient
from azure_functions_runtime.bindings.datumdef import Datum
from cryptography.hazmat.primitives.asymmetric import rsa

from local.arm import service as arm
from local.cloud.environment import IdentityEndpoint, app_settings
from local.cloud.provisioning import CONTAINERS, QUEUES, TABLES, state_account
from local.entra.tokens import ISSUER, Entra
from local.event_grid.delivery import Answer as DeliveryAnswer
from local.event_grid.schemas import parse
from local.event_grid.topic import EventGrid
from local.graph import service as graph
from local.host.app_loader import EventGridTrigger, Function, QueueTrigger
from local.host.configuration import MessageEncoding, QueueOptions
from local.host.eventgrid_webhook import EventGridWebhook
from local.host.http import Keys
from local.host.invocation import Outcome
from local.host.queues import QueueListener
from local.memory.data_plane import MemoryDataPlane
from local.memory.exchange import Request, asgi
from local.memory.storage import MemoryStorage
from local.memory.transport import InProcessHttpx, InProcessTransport
from local.network import hostnames
from local.tenant import identities, model
from local.tenant.model import STATE_ACCOUNT, TOPIC_HOST, Account, Cloud, Identity
from shared.app import App
from shared.cloud import clients
from shared.cloud.graph import Graph
from shared.settings import Settings
from tests.simulation.faults import Lifetime, Schedule
from tests.simulation.loop import JumpingLoop
from tests.simulation.network import Network
from tests.simulation.scenario import Scenario
from tests.support.samples import WITHOUT_TRACES

_SYSTEM_KEY = "simulated"
_QUEUE_URL = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
_NO_ENDPOINT = IdentityEndpoint(port=0, secret="")
_OPTIONS = QueueOptions(8, 4, 5, timedelta(seconds=30), timedelta(seconds=2), MessageEncoding.NONE)
_current: ContextVar[App] = ContextVar("app")


class CachingEntra(Entra):
    """Checks each token once: a signature is not what is simulated."""

    def __init__(self, cloud: Cloud, *, key: rsa.RSAPrivateKey) -> None:
        super().__init__(cloud, key=key)
        self._checked: dict[tuple[str, tuple[str, ...]], str] = {}

    def verify(self, token: str, *, audiences: Any, issuer: str = ISSUER) -> Identity:
        key = (token, (issuer, *audiences))
        if key not in self._checked:
            self._checked[key] = super().verify(token, audiences=audiences, issuer=issuer).object_id
        identity = self._cloud.identity_of(self._checked[key])
        assert identity is not None
        return identity


class Tokens:
    """The app's identity, as a credential of the SDKs. One for all runs: its tokens live long."""

    def __init__(self) -> None:
        self.cloud = Cloud(identities=identities.directory(), users=identities.users())
        self.entra = CachingEntra(self.cloud, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self._made: dict[str, AccessToken] = {}

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        audience = scopes[0].removesuffix("/.default")
        if audience not in self._made:
            token = self.entra.mint(self.cloud.identities["responder"], audience=audience, lifetime=timedelta(days=9))
            self._made[audience] = AccessToken(token, 4_000_000_000)
        return self._made[audience]

    async def close(self) -> None: ...

    async def __aenter__(self) -> "Tokens":
        return self

    async def __aexit__(self, *_: object) -> None: ...


def load_app() -> dict[str, Callable[[Any], Any]]:
    """Import the function app once, and return its functions by name; the app is the caller's own."""
    cloud = Cloud(identities=identities.directory())
    kept = dict(os.environ)
    os.environ.update(app_settings(cloud, endpoint=_NO_ENDPOINT) | WITHOUT_TRACES)
    try:
        import function_app
    finally:
        os.environ.clear()
        os.environ.update(kept)
    function_app.sasquash = _current.get  # type: ignore[assignment]
    return {str(f.get_function_name()): f.get_user_function() for f in function_app.app.get_functions()}


class SimulatedInvoker:
    """Calls the app's functions as the Functions worker does, for one host."""

    def __init__(self, host: "SimulatedHost") -> None:
        self._host = host
        self.running = 0

    async def invoke(self, function: Function, payload: Datum, metadata: Any = None) -> Outcome:
        task = asyncio.create_task(self._host.run(function.name, _bound(function, payload)))
        return Outcome(succeeded=await asyncio.shield(task))


def _bound(function: Function, payload: Datum) -> Any:
    if isinstance(function.trigger, EventGridTrigger):
        return EventGridEventInConverter.decode(FunctionsDatum(payload.value, "json"), trigger_metadata=None)
    return func.QueueMessage(body=str(payload.value).encode())


class SimulatedHost:
    """A function host with an app of its own. `kill` ends it as SIGKILL would."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.life = Lifetime(f"host{number}")
        self.invocations = 0
        network = world.network.service(self.life)
        settings = Settings.read(world.environment)
        rng = random.Random(f"{world.seed}/{number}")
        self.app = App(
            settings,
            credential=world.tokens,
            transport=lambda: InProcessTransport(network),
            clock=world.loop.utc_now,
            new_id=lambda: str(uuid.UUID(int=rng.getrandbits(128))),
        )
        self.app.connections.graph = Graph(
            world.tokens, base_url="https://graph.microsoft.com", transport=InProcessHttpx(network)
        )
        functions = [Function("on_finding", "on_finding", "event", EventGridTrigger.INSTANCE)]
        invoker: Any = SimulatedInvoker(self)
        self.webhook = asgi(EventGridWebhook(functions, keys=Keys(system=_SYSTEM_KEY), invoker=invoker))
        if rng.random() < 0.5:  # it knows the accounts before the first leak, as most do
            self.knowing = asyncio.create_task(self.app.fast_path.accounts.take_inventory())
        self.stopping = asyncio.Event()
        self.listeners = [self._listener(name, queue, network, invoker) for name, queue in world.app_queues]
        self.tasks = [asyncio.create_task(listener.run(self.stopping)) for listener in self.listeners]

    def _listener(self, name: str, queue: str, network: Any, invoker: Any) -> QueueListener:
        def client(queue_name: str) -> QueueClient:
            return QueueClient(
                _QUEUE_URL,
                queue_name,
                credential=self.world.tokens,
                transport=InProcessTransport(network),
                retry_total=0,
            )

        async def idle(stopping: asyncio.Event, _seconds: float) -> None:
            await self.world.until_visible(queue, stopping)

        return QueueListener(
            Function(name, name, "message", QueueTrigger(queue, "SASQUASH_STORAGE")),
            queue=client(queue),
            poison_queue=client(f"{queue}-poison"),
            options=_OPTIONS,
            invoker=invoker,
            idle=idle,
            now=self.world.loop.utc_now,
        )

    async def run(self, name: str, argument: Any) -> bool:
        """Call one of the app's functions; whether it succeeded."""
        _current.set(self.app)
        self.invocations += 1
        try:
            async with asyncio.timeout(300):
                await self.world.functions[name](argument)
        except TimeoutError:
            return False
        except Exception as error:  # noqa: BLE001 -- as the Functions worker: whatever it is, the invocation failed
            self.world.failures.append(f"{name}: {type(error).__name__}: {error}")
            return False
        finally:
            self.invocations -= 1
        return True


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
        self.failures: list[str] = []
        self.cloud = Cloud(identities=tokens.cloud.identities, users=tokens.cloud.users)
        tokens.entra._cloud = self.cloud
        self.cloud.accounts[STATE_ACCOUNT] = state_account()
        for planned in scenario.accounts:
            account = Account(planned.name, "production", {"sasquash-owner": planned.owner}, dict(planned.keys))
            account.created_at = loop.utc_now() - timedelta(days=400)
            account.key_created = dict.fromkeys(account.keys, account.created_at)
            self.cloud.accounts[planned.name] = account
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
        self.events = EventGrid(
            self.cloud,
            tokens.entra,
            send=self._deliver,
            clock=loop.utc_now,
            sleep=asyncio.sleep,
            dead_letter=self._dead_letter,
        )
        self.network = Network(
            services={
                hostnames.ARM_HOST: asgi(arm.app(self.cloud, tokens.entra)),
                hostnames.GRAPH_HOST: asgi(graph.app(self.cloud, tokens.entra)),
                TOPIC_HOST: asgi(self.events.app),
                ".core.windows.net": self._stored,
            },
            schedule=schedule,
            clock=loop.utc_now,
            accounts={p.name: self.cloud.accounts[p.name] for p in scenario.accounts},
            graph_down_until=scenario.graph_down_until,
        )
        changed = {f"SASQUASH_{name.upper()}": value for name, value in scenario.settings.items()}
        self.environment = app_settings(self.cloud, endpoint=_NO_ENDPOINT) | WITHOUT_TRACES | changed
        self._queue_changed = asyncio.Event()
        self._numbers = count(1)
        self.hosts: list[SimulatedHost] = []
        self._rng = random.Random(f"{seed}/world")
        for _ in range(scenario.hosts):
            self.start_host()
        self.events._delivery._endpoints = ("https://hosts",)

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
        """Return when nothing is queued, delivered, or being done."""
        await self._until(lambda: self.at_rest, every=15.0)

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
        url = f"https://host/runtime/webhooks/eventgrid?functionName=on_finding&code={_SYSTEM_KEY}"
        answering = asyncio.ensure_future(host.webhook(Request.of(method, url, headers, body)))
        ending = asyncio.create_task(host.life.over.wait())
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise OSError("the host was killed")
        ending.cancel()
        answer = answering.result()
        return DeliveryAnswer(answer.status, answer.headers, answer.body)

    async def _dead_letter(self, name: str, content: bytes) -> None:
        url = f"https://{STATE_ACCOUNT}.blob.core.windows.net/dead-letters/{name}"
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

    async def until_visible(self, queue: str, stopping: asyncio.Event) -> None:
        """Return when a message of the queue can be got, or the host is to stop."""
        while not stopping.is_set():
            due = self.storage.queues(STATE_ACCOUNT).next_visible(queue)
            left = (due - self.loop.utc_now()).total_seconds() if due is not None else None
            if left is not None and left <= 0:
                await asyncio.sleep(0.05)
                return
            changed = self._queue_changed
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                continue

    @property
    def at_rest(self) -> bool:
        """Whether nothing is queued, delivered, or being done."""
        queued = any(self.storage.queues(STATE_ACCOUNT).queues.values())
        pending = any(event.get("state") == "pending" for event in self.cloud.events)
        late = any(not task.done() for task in self.network.late)
        return not queued and not pending and not late and not any(host.invocations for host in self.hosts)


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
