"""Key distribution for tests: the secret in the local Key Vault, and failures on the way to it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from azure.core.exceptions import AzureError, ServiceResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.keyvault.secrets.aio import SecretClient
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from local.tenant.model import KEY_VAULT
from local.tenant.model.vault import SecretVersion, Vault
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.execution import Execution
from shared.errors import SasquashError
from shared.followup.key_distribution import KeyDistributor
from tests.support import samples
from tests.support.asgi import Transport
from tests.support.samples import KEYS, NOW

NAME = "storage-key"
ID = f"https://{KEY_VAULT}.vault.azure.net/secrets/{NAME}"
TAG, FORMAT = "sasquash-key-vault", "sasquash-key-vault-format"
OLD, NEW, THIRD = KEYS["key2"], samples.key("new"), samples.key("third")


class FaultyTransport(Transport):
    """Sends to the local Key Vault. Requests of `method` meet `instead` in its place, or `after` it has acted."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.instead: ASGIApp | AzureError | asyncio.Event | None = None
        self.method = "GET"
        self.after = False
        self.before: Callable[[HttpRequest], None] = lambda _: None
        self.lines: list[str] = []

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        # The first request to a vault elicits its challenge and does nothing, without its body.
        if "Authorization" in request.headers:
            self.before(request)
            self.lines.append(f"{request.method} {request.url.partition('?')[0]}")
            if self.instead is not None and request.method == self.method:
                return await self._fail(self.instead, request, **options)
        return await super().send(request, **options)

    async def _fail(
        self, instead: ASGIApp | AzureError | asyncio.Event, request: HttpRequest, **options: Any
    ) -> AsyncHttpResponse:
        if self.after:
            await super().send(request, **options)
        if isinstance(instead, AzureError):
            raise instead
        if isinstance(instead, asyncio.Event):
            await instead.wait()
            raise ServiceResponseError("the silence was ended")
        return await Transport(instead).send(request, **options)

    def count(self, method: str) -> int:
        return sum(line.startswith(method) for line in self.lines)


class Arm:
    """Stands for ARM: lists the keys of an account."""

    def __init__(self) -> None:
        self.key2 = NEW
        self.asked = 0
        self.fails: SasquashError | None = None

    async def keys(self, _account: AccountFacts) -> dict[str, AccountKey]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return {"key1": AccountKey(KEYS["key1"], None), "key2": AccountKey(self.key2, None)}


def answering(status: int, body: object = None, **headers: str) -> ASGIApp:
    """An app that answers every request with this status and body."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        await JSONResponse(body or {"error": {"code": "Code", "message": "m"}}, status, names)(scope, receive, send)

    return answer


def distributor_for(client: SecretClient, arm: Arm) -> KeyDistributor:
    def client_for(url: str) -> SecretClient:
        assert url == client.vault_url, "a vault that is not allowed was asked"
        return client

    return KeyDistributor(
        client_for, arm.keys, key_vaults=(KEY_VAULT,), key_vault_suffix="vault.azure.net", clock=lambda: NOW
    )


def account(tag: str = ID, form: str | None = None) -> AccountFacts:
    return samples.account(tags={TAG: tag} | ({FORMAT: form} if form is not None else {}))


def execution(**changed: Any) -> Execution:
    return replace(samples.execution(), **changed)


def put(vault: Vault, value: str = OLD, *, age: float = 0, **properties: Any) -> SecretVersion:
    """A version of the secret, the current one from now on; `age` in seconds."""
    version = SecretVersion(value, **properties)
    version.created -= timedelta(seconds=age)
    vault.add(NAME, version)
    return version


def versions(vault: Vault) -> list[SecretVersion]:
    return vault.secrets[NAME].versions


def shown(vault: Vault) -> list[tuple[str, bool]]:
    """Value and enabled of each version, the oldest first."""
    return [(version.value, version.enabled) for version in versions(vault)]


def connection_string(key: str) -> str:
    return f"DefaultEndpointsProtocol=https;AccountName=robustmodels;AccountKey={key};EndpointSuffix=core.windows.net"


REPLACED = [(OLD, False), (NEW, True)]
