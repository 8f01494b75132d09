"""A data plane that remembers all it was asked, and leaked user delegation SAS to ask it about."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.storage.blob import UserDelegationKey, generate_blob_sas

from shared.actions.liveness import LivenessCheck, PrincipalExists
from shared.domain.account import AccountFacts
from shared.domain.execution import Liveness
from shared.errors import SasquashError
from shared.sas import Leak, extract_leaks
from tests.support import samples
from tests.support.samples import ACCOUNT, NOW, TENANT

ID = "11111111-2222-4333-8444-555555555555"
ISSUER = "81EE9332-c35d-4c3e-9f21-3f7f99e80623"
BLOB, FILE, QUEUE, TABLE = (
    f"https://{ACCOUNT}.{service}.core.windows.net" for service in ("blob", "file", "queue", "table")
)
END = NOW + timedelta(hours=1)


class _Received:
    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Plane(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Answers every request alike."""

    says: tuple[int, str] | AzureError = (404, "BlobNotFound")
    requests: list[HttpRequest] = field(default_factory=list)
    closed: int = 0

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        self.requests.append(request)
        if isinstance(self.says, AzureError):
            raise self.says
        status, code = self.says

        async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            yield b""

        return AsyncHttpResponseImpl(
            request=request,
            internal_response=_Received(),
            status_code=status,
            reason="",
            content_type=None,
            headers={"x-ms-error-code": code, "Location": "https://evil.example/"},
            stream_download_generator=stream,
            block_size=4096,
        )

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self.closed += 1

    async def __aexit__(self, *args: object) -> None:
        await self.close()


def exists(answer: bool | SasquashError = True) -> PrincipalExists:
    async def answered(object_id: str) -> bool:
        assert object_id == ISSUER
        if isinstance(answer, SasquashError):
            raise answer
        return answer

    return answered


def check(plane: Plane, principal_exists: PrincipalExists | None = None) -> LivenessCheck:
    return LivenessCheck(
        lambda: plane,
        principal_exists=principal_exists or exists(),
        tenant_id=TENANT.upper(),
        clock=lambda: NOW,
        new_id=lambda: ID,
    )


def delegation_key(service: str = "b", *, tenant: str = TENANT, issuer: str = ISSUER) -> UserDelegationKey:
    key = UserDelegationKey()  # type: ignore[no-untyped-call]
    key.signed_oid, key.signed_tid = issuer, tenant
    key.signed_start, key.signed_expiry = "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"
    key.signed_service, key.signed_version = service, "2025-07-05"
    key.value = samples.key("delegation")
    return key


def leak(text: str) -> Leak:
    [found] = extract_leaks(text)
    return found


def blob(name: str = "resnet.ckpt", *, container: str = "models", key: UserDelegationKey | None = None) -> str:
    token = generate_blob_sas(
        ACCOUNT, container, name, user_delegation_key=key or delegation_key(), permission="r", expiry=END
    )
    return f"{BLOB}/{container}/{quote(name)}?{token}"


def with_parameter(url: str, **parameters: str) -> str:
    return url + "".join(f"&{name}={value}" for name, value in parameters.items())


async def ask(
    plane: Plane, text: str, *, account: AccountFacts | None = None, issuer: PrincipalExists | None = None
) -> Liveness:
    found = leak(text)
    assert found.token is not None
    return await check(plane, issuer).ask(found.credential, found.token, account or samples.account())
