"""The one request in which a leaked token is sent, against a data plane that remembers all it was asked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.storage.blob import UserDelegationKey, generate_blob_sas, generate_container_sas
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas

from shared.actions import liveness
from shared.actions.liveness import CannotBeAsked, LivenessCheck, PrincipalExists, question_for
from shared.domain.account import AccountFacts, SasPolicy
from shared.domain.revocation import Liveness
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.sas import Leak, Service, extract_leaks
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


@pytest.fixture
def plane() -> Plane:
    return Plane()


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


# What is asked


def container() -> str:
    token = generate_container_sas(
        ACCOUNT, "models", user_delegation_key=delegation_key(), permission="rl", expiry=END
    )
    return f"{BLOB}/models/resnet.ckpt?{token}"


def directory(path: str) -> str:
    """Only the Data Lake client makes these; who signed it makes no difference to what is asked."""
    token = container().partition("?")[2].replace("sr=c", f"sr=d&sdd={len(path.split('/'))}")
    return f"https://{ACCOUNT}.dfs.core.windows.net/models/{path}/deeper/x.bin?{token}"


def snapshot() -> str:
    token = generate_blob_sas(
        ACCOUNT,
        "models",
        "a.bin",
        snapshot="2026-11-20T00:00:00.0000000Z",
        user_delegation_key=delegation_key(),
        permission="r",
        expiry=END,
    )
    return f"{BLOB}/models/a.bin?snapshot=2026-11-20T00:00:00.0000000Z&{token}"


def share() -> str:
    token = generate_share_sas(
        ACCOUNT, "team", None, user_delegation_key=delegation_key("f"), permission="r", expiry=END
    )
    return f"{FILE}/team/docs/a.txt?{token}"


def file() -> str:
    token = generate_file_sas(
        ACCOUNT,
        "team",
        ["docs", "a b.txt"],
        None,
        user_delegation_key=delegation_key("f"),
        permission="r",
        expiry=END,
    )
    return f"{FILE}/team/docs/a%20b.txt?{token}"


def queue() -> str:
    token = generate_queue_sas(
        ACCOUNT, "jobs", None, user_delegation_key=delegation_key("q"), permission="r", expiry=END
    )
    return f"{QUEUE}/jobs/messages?{token}"


def table() -> str:
    """No client library makes these yet; who signed it makes no difference to what is asked."""
    of_queue = queue().partition("?")[2].replace("sks=q", "sks=t")
    return f"{TABLE}/People(PartitionKey='a',RowKey='b')?tn=people&{of_queue}"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (blob(), f"GET {BLOB}/models/resnet.ckpt?comp=metadata"),
        (blob("data/a b+c?.bin"), f"GET {BLOB}/models/data/a%20b%2Bc%3F.bin?comp=metadata"),
        (snapshot(), f"GET {BLOB}/models/a.bin?comp=metadata"),
        (container(), f"GET {BLOB}/models/sasquash{ID}?comp=metadata"),
        (directory("data/2026"), f"GET {BLOB}/models/data/2026/sasquash{ID}?comp=metadata"),
        (file(), f"GET {FILE}/team/docs/a%20b.txt?comp=metadata"),
        (share(), f"GET {FILE}/team/sasquash{ID}?comp=metadata"),
        (queue(), f"GET {QUEUE}/jobs?comp=metadata"),
        (table(), f"GET {TABLE}/People(PartitionKey='sasquash{ID}',RowKey='sasquash{ID}')"),
    ],
    ids=["blob", "odd name", "snapshot", "container", "directory", "file", "share", "queue", "table"],
)
async def test_token_is_sent_once_where_it_brings_back_nothing_of_the_customers(
    plane: Plane, text: str, asked: str
) -> None:
    await ask(plane, text)

    [request] = plane.requests
    separator = "&" if "?" in asked else "?"
    assert f"{request.method} {request.url}" == f"{asked}{separator}{leak(text).token}"
    assert plane.closed == 1


def test_root_of_a_container_is_a_directory_too() -> None:
    credential = leak(directory("data")).credential
    in_root = replace(
        credential, parameters=tuple((n, "0" if n == "sdd" else value) for n, value in credential.parameters)
    )

    assert question_for(in_root, samples.account(), name="x", now=NOW).url == f"{BLOB}/models/x?comp=metadata"


@pytest.mark.parametrize(
    "host",
    [f"{ACCOUNT}-secondary.blob.core.windows.net", f"{ACCOUNT}.privatelink.blob.core.windows.net", "cdn.example"],
)
async def test_token_goes_to_the_account_s_own_endpoint_and_never_to_the_host_that_leaked(
    plane: Plane, host: str
) -> None:
    await ask(plane, blob().replace(f"{ACCOUNT}.blob.core.windows.net", host))

    assert [urlsplit(request.url).netloc for request in plane.requests] == [f"{ACCOUNT}.blob.core.windows.net"]


@pytest.mark.parametrize("endpoint", [None, "http://robustmodels.blob.core.windows.net/"])
async def test_without_an_https_endpoint_the_token_stays_here(plane: Plane, endpoint: str | None) -> None:
    account = replace(samples.account(), endpoints={Service.BLOB: endpoint} if endpoint else {})

    answer = await ask(plane, blob(), account=account)

    assert (answer.alive, answer.said) == (None, "It was not tried: robustmodels has no blob service.")
    assert plane.requests == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (with_parameter(blob(), sduoid=ISSUER), "bound to a user"),
        (with_parameter(blob(), skdutid=TENANT), "bound to a user"),
        (with_parameter(blob(), srh="x-ms-meta-a"), "bound to the headers or the query"),
        (with_parameter(blob(), srq="comp"), "bound to the headers or the query"),
        (with_parameter(blob(), st="2026-11-21T10:00:01Z"), "not valid before 2026-11-21 10:00 UTC"),
        (blob().replace("skt=2026-11-20T00%3A00%3A00Z", "skt=2026-11-22"), "not valid before 2026-11-22 00:00 UTC"),
        (snapshot().replace("snapshot=2026-11-20T00:00:00.0000000Z&", ""), "lost the snapshot"),
        (blob().replace("sr=b", "sr=bv"), "lost the versionid"),
        (blob().replace("/models/resnet.ckpt", "/"), "lost the path"),
        (container().replace("/models/resnet.ckpt", "/"), "lost the path"),
        (directory("data/2026").replace("/models/data/2026/deeper/x.bin", "/models/data"), "lost the path"),
        (blob().replace("resnet.ckpt", "a/../../b"), "can't be sent as it is"),
        (blob().replace("resnet.ckpt", "./a"), "can't be sent as it is"),
    ],
)
async def test_token_that_would_be_refused_for_want_of_what_the_leak_does_not_show_is_not_sent(
    plane: Plane, text: str, why: str
) -> None:
    answer = await ask(plane, text)

    assert (answer.at, answer.alive) == (NOW, None)
    assert answer.said.startswith("It was not tried: ")
    assert why in answer.said
    assert plane.requests == []


def test_token_that_has_begun_is_asked() -> None:
    begun = leak(with_parameter(blob(), st="2026-11-21T10:00:00Z")).credential

    assert question_for(begun, samples.account(), name="x", now=NOW).url == f"{BLOB}/models/resnet.ckpt?comp=metadata"
    with pytest.raises(CannotBeAsked):
        question_for(begun, samples.account(), name="x", now=NOW - timedelta(seconds=1))


# What the answer means


@pytest.mark.parametrize(
    ("status", "code", "alive"),
    [
        (200, "", True),
        (404, "BlobNotFound", True),
        (404, "ContainerNotFound", True),
        (403, "AuthorizationPermissionMismatch", True),
        (403, "AuthorizationSourceIPMismatch", True),
        (403, "AuthorizationProtocolMismatch", True),
        (403, "AuthenticationFailed", False),
        (403, "AuthorizationFailure", None),
        (403, "AccountIsDisabled", None),
        (400, "InvalidQueryParameterValue", None),
        (409, "PublicAccessNotPermitted", None),
        (307, "", None),
        (500, "InternalError", None),
        (503, "ServerBusy", None),
    ],
)
async def test_answer_says_whether_the_token_lives(plane: Plane, status: int, code: str, alive: bool | None) -> None:
    plane.says = (status, code)

    answer = await ask(plane, blob())

    assert answer.alive is alive
    assert f"{status} {code}".strip() in answer.said
    assert len(plane.requests) == 1


@pytest.mark.parametrize("error", [ServiceRequestError("no route"), ServiceResponseError("reset")])
async def test_no_answer_says_nothing_and_the_token_is_not_sent_again(plane: Plane, error: AzureError) -> None:
    plane.says = error

    answer = await ask(plane, blob())

    assert answer.alive is None
    assert type(error).__name__ in answer.said
    assert len(plane.requests) == 1
    assert plane.closed == 1


async def test_what_azure_refuses_is_not_called_harmless(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")

    assert "reported with another path than the one that it was signed for" in (await ask(plane, blob())).said


async def test_refusal_names_the_path_at_which_it_was_tried(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")
    answer = await ask(plane, blob())

    assert "at /models/resnet.ckpt (" in answer.said
    assert answer.path == "models/resnet.ckpt"


async def test_path_in_a_refusal_is_no_link_and_no_command_and_short(plane: Plane) -> None:
    plane.says = (403, "AuthenticationFailed")
    said = (await ask(plane, blob(f"`rm` \u202e http://evil.example/{'x' * 900}"))).said

    assert not any(text in said for text in ("`", "\u202e", "http://", "x" * 101))


@pytest.mark.parametrize(
    ("policy", "alive"),
    [
        (SasPolicy(timedelta(hours=1), blocks=True), None),
        (SasPolicy(timedelta(hours=1), blocks=False), False),
        (SasPolicy(timedelta(hours=1), blocks=False, blocks_unbound=True), None),
    ],
)
async def test_token_that_the_sas_expiration_policy_refuses_is_not_called_invalid(
    plane: Plane, policy: SasPolicy, alive: bool | None
) -> None:
    """The token has no start, and the response, as one of the table service, no reason."""
    plane.says = (403, "AuthenticationFailed")

    answer = await ask(plane, blob(), account=replace(samples.account(), sas_policy=policy))

    assert answer.alive is alive
    assert ("SAS expiration policy" in answer.said) is (alive is None)


# The issuer


@pytest.mark.parametrize(
    ("answer", "alive", "said"),
    [
        (True, True, "and its issuer exists in our tenant."),
        (False, None, f"but its issuer ({ISSUER.lower()}) is not in our tenant, or no longer."),
        (
            Blocked("Looking up failed: 403: lacks Application.Read.All. See docs/rights.md."),
            None,
            "but whether its issuer exists could not be checked: Looking up failed: 403: lacks "
            "Application.Read.All. See docs/rights.md.",
        ),
        (
            TransientFailure("Graph is away."),
            None,
            "but whether its issuer exists could not be checked: Graph is away.",
        ),
    ],
)
async def test_what_azure_accepts_lives_if_its_issuer_exists(
    plane: Plane, answer: bool | SasquashError, alive: bool | None, said: str
) -> None:
    answer = await ask(plane, blob(), issuer=exists(answer))

    assert answer.alive is alive
    assert answer.said == f"Azure accepted its signature (404 BlobNotFound), {said}"


@pytest.mark.parametrize("answer", [True, False, Blocked("no right")])
async def test_token_that_azure_refuses_is_invalid_for_every_issuer(
    plane: Plane, answer: bool | SasquashError
) -> None:
    plane.says = (403, "AuthenticationFailed")

    assert (await ask(plane, blob(), issuer=exists(answer))).alive is False


async def nobody_asks(object_id: str) -> bool:
    raise AssertionError(f"{object_id} was looked up")


async def test_issuer_of_another_tenant_is_not_looked_up_in_ours(plane: Plane) -> None:
    other = blob(key=delegation_key(tenant="00000000-0000-4000-8000-000000000000"))

    answer = await ask(plane, other, issuer=nobody_asks)

    assert answer.alive is True
    assert answer.said.endswith("and its issuer is of another tenant than ours.")


@pytest.mark.parametrize("issuer", ["me", "../me", ISSUER[:-1], f"{{{ISSUER}}}", ISSUER.replace("-", "")])
async def test_issuer_that_is_no_guid_is_not_looked_up(plane: Plane, issuer: str) -> None:
    credential = leak(blob()).credential
    forged = replace(
        credential, parameters=tuple((n, issuer if n == "skoid" else value) for n, value in credential.parameters)
    )

    answer = await check(plane, nobody_asks).ask(forged, "sig=x", samples.account())

    assert answer.alive is None
    assert answer.said.endswith("but it names no valid issuer id.")


async def test_lookup_that_never_ends_is_ended(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(object_id: str) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(liveness, "_ISSUER_TIMEOUT", 0.01)

    answer = await ask(plane, blob(), issuer=silent)

    assert answer.alive is None
    assert "could not be checked within" in answer.said


# The secret


def leaky(plane: Plane) -> None:
    plane.says = ServiceResponseError(f"cut off: {blob()}")


def accepting(plane: Plane) -> None:
    plane.says = (404, "BlobNotFound")


@pytest.mark.parametrize("behave", [leaky, accepting])
async def test_leaked_token_is_in_no_log_and_no_answer(
    plane: Plane, caplog: pytest.LogCaptureFixture, behave: Callable[[Plane], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    behave(plane)

    answer = await ask(plane, blob())

    [signature] = parse_qs(urlsplit(plane.requests[0].url).query)["sig"]
    for text in (repr(answer), caplog.text):
        assert "sig=" not in text
        assert signature not in text
