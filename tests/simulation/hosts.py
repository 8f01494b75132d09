"""The function hosts of one simulated cloud, each with an app of its own: the real code of both, without a socket."""

import asyncio
import os
import random
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import azure.functions as func
from azure.core.credentials import AccessToken
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum as FunctionsDatum
from azure.storage.queue.aio import QueueClient
from azure_functions_runtime.bindings.datumdef import Datum
from cryptography.hazmat.primitives.asymmetric import rsa

from local.cloud.environment import IdentityEndpoint, app_settings
from local.entra.tokens import ISSUER, Entra
from local.host.app_loader import EventGridTrigger, Function, QueueTrigger
from local.host.configuration import MessageEncoding, QueueOptions
from local.host.eventgrid_webhook import EventGridWebhook
from local.host.http import Keys
from local.host.invocation import Outcome
from local.host.queues import QueueListener
from local.memory.exchange import asgi
from local.memory.transport import InProcessHttpx, InProcessTransport
from local.tenant import identities
from local.tenant.model import STATE_ACCOUNT, Cloud, Identity
from shared.app import App
from shared.cloud.graph import Graph
from shared.settings import Settings
from tests.simulation.faults import Lifetime
from tests.support.samples import WITHOUT_TRACES

if TYPE_CHECKING:
    from tests.simulation.world import World

SYSTEM_KEY = "simulated"
NO_ENDPOINT = IdentityEndpoint(port=0, secret="")
_QUEUE_URL = f"https://{STATE_ACCOUNT}.queue.core.windows.net"
MOST_TRIES = 5  # of a message
_OPTIONS = QueueOptions(8, 4, MOST_TRIES, timedelta(seconds=30), timedelta(seconds=60), MessageEncoding.NONE)
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
    os.environ.update(app_settings(cloud, endpoint=NO_ENDPOINT) | WITHOUT_TRACES)
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
    """A function host with an app of its own, and a clock that may be off."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.life = Lifetime(f"host{number}")
        self.invocations = 0
        network = world.network.service(self.life)
        settings = Settings.read(world.environment)
        rng = random.Random(f"{world.seed}/{number}")
        offsets = world.scenario.offsets
        self._offset = timedelta(seconds=offsets[(number - 1) % len(offsets)])
        self.app = App(
            settings,
            credential=world.tokens,
            transport=lambda: InProcessTransport(network),
            clock=self.now,
            new_id=lambda: str(uuid.UUID(int=rng.getrandbits(128))),
        )
        self.app.connections.graph = Graph(
            world.tokens, base_url="https://graph.microsoft.com", transport=InProcessHttpx(network)
        )
        functions = [Function("on_finding", "on_finding", "event", EventGridTrigger.INSTANCE)]
        invoker: Any = SimulatedInvoker(self)
        self.webhook = asgi(EventGridWebhook(functions, keys=Keys(system=SYSTEM_KEY), invoker=invoker))
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

        async def idle(stopping: asyncio.Event, seconds: float) -> None:
            await self.world.until_visible(queue, stopping, again=seconds)

        return QueueListener(
            Function(name, name, "message", QueueTrigger(queue, "SASQUASH_STORAGE")),
            queue=client(queue),
            poison_queue=client(f"{queue}-poison") if not queue.endswith("-poison") else None,
            options=_OPTIONS,
            invoker=invoker,
            idle=idle,
            now=self.now,
        )

    def now(self) -> datetime:
        """Return the time by this host's clock."""
        return self.world.loop.utc_now() + self._offset

    async def run(self, name: str, argument: Any) -> bool:
        """Call one of the app's functions; whether it succeeded."""
        _current.set(self.app)
        if self.world.is_poisoned(name, argument):
            return False
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
