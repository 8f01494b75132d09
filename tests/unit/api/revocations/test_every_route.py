"""What holds for every route: who may call it, what it answers if a call fails, and what is in no answer."""

import logging

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.revocations.requests import PageQuery
from shared.errors import AccountBusy, Blocked, InvalidRequest, TransientFailure
from tests.support import samples
from tests.support.api_requests import MemoryRevocations, request, said
from tests.support.entra import NAME, OBJECT_ID, KeyServer, token
from tests.support.responder_routes import APPROVER, READER, REPORT, RESPONDER, ROUTES, responder

# Who may


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("roles", [(), ("Other.Role",), READER, RESPONDER, APPROVER])
async def test_route_requires_one_of_its_roles(name: str, roles: tuple[str, ...]) -> None:
    route, method, body, may = ROUTES[name]
    service = MemoryRevocations()

    answer = await route(responder(service))(request(method, body=body, fingerprint="ab" * 32, roles=roles))

    assert (answer.status_code != 403) == (roles in may)
    assert bool(service.asked) == (roles in may)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize(
    ("authorization", "error"),
    [("", None), ("Basic eDp5", None), (f"Bearer {token(exp=1)}", "invalid_token"), ("Bearer x", "invalid_token")],
    ids=["none", "another scheme", "expired", "malformed"],
)
async def test_route_requires_a_valid_token(name: str, authorization: str, error: str | None) -> None:
    route, method, body, _ = ROUTES[name]
    service = MemoryRevocations()

    answer = await route(responder(service))(
        request(method, body=body, fingerprint="ab" * 32, headers={"authorization": authorization})
    )

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert ("error=" in answer.headers["WWW-Authenticate"]) == (error is not None)
    assert service.asked == []


@pytest.mark.parametrize("name", ROUTES)
async def test_principal_headers_are_not_trusted(name: str) -> None:
    route, method, body, _ = ROUTES[name]
    forged = {
        "authorization": "",
        "x-ms-client-principal": "eyJyb2xlcyI6WyJTYXNxdWFzaC5BcHByb3ZlciJdfQ==",
        "x-ms-client-principal-id": OBJECT_ID,
        "x-ms-client-principal-name": NAME,
        "x-ms-token-aad-access-token": token(),
    }

    answer = await route(responder(MemoryRevocations()))(
        request(method, body=body, fingerprint="ab" * 32, headers=forged)
    )

    assert answer.status_code == 401


async def test_caller_is_authorized_before_the_body_is_read() -> None:
    refused = request(raw=b"not json", roles=READER, headers={"content-type": "text/plain"})

    assert (await responder(MemoryRevocations()).submit(refused)).status_code == 403


@pytest.mark.parametrize("name", [name for name, (_, method, _, _) in ROUTES.items() if method == "POST"])
async def test_chunked_body_is_411(name: str) -> None:
    """It does not reach the app (azure-functions-host 4.1037, tried)."""
    route, method, _, _ = ROUTES[name]
    chunked = {"content-length": "", "transfer-encoding": "chunked"}
    service = MemoryRevocations()

    answer = await route(responder(service))(request(method, raw=b"", fingerprint="ab" * 32, headers=chunked))

    assert (answer.status_code, said(answer)["code"]) == (411, "length_required")
    assert service.asked == []


async def test_unavailable_signing_keys_are_503() -> None:
    server = KeyServer()
    server.fails = ServiceRequestError("no way")

    answer = await responder(MemoryRevocations(), server).list_revocations(request("GET"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# What goes wrong


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize(
    ("fails", "status"),
    [
        (TransientFailure("No answer."), 503),
        (AccountBusy("Locked.", retry_after=2), 503),
        (Blocked("No right."), 502),
        (InvalidRequest("No such account."), 400),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_error_of_the_service_is_a_problem(name: str, fails: Exception, status: int) -> None:
    route, method, body, _ = ROUTES[name]

    answer = await route(responder(MemoryRevocations(fails=fails)))(request(method, body=body, fingerprint="ab" * 32))

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said(answer)["detail"] == str(fails)


@pytest.mark.parametrize("name", [name for name, (_, method, _, _) in ROUTES.items() if method == "POST"])
async def test_body_without_json_is_refused(name: str) -> None:
    route, method, _, _ = ROUTES[name]
    service = MemoryRevocations()
    api = responder(service)

    answers = [
        await route(api)(request(method, raw=b"{}", fingerprint="ab" * 32, headers={"content-type": "text/plain"})),
        await route(api)(request(method, raw=b"{" + b" " * 1024 * 1024, fingerprint="ab" * 32)),
        await route(api)(request(method, raw=b"{", fingerprint="ab" * 32)),
    ]

    assert [answer.status_code for answer in answers] == [415, 413, 400]
    assert service.asked == []


async def test_unexpected_error_is_raised() -> None:
    class Broken(MemoryRevocations):
        async def page(self, query: PageQuery) -> None:  # type: ignore[override]
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await responder(Broken()).list_revocations(request("GET"))


@pytest.mark.parametrize("name", ROUTES)
async def test_response_is_not_cached(name: str) -> None:
    route, method, body, _ = ROUTES[name]

    answer = await route(responder(MemoryRevocations()))(request(method, body=body, fingerprint="ab" * 32))

    assert answer.headers["Cache-Control"] == "no-store"


# Secrets


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"dry_run": True},
        {"wait": 1},
        {"wait": "x"},
        {"unknown": 1},
        {"reason": "a\nb"},
        {samples.account_sas(): 1},
        {"text": [samples.account_sas()]},
        {"accounts": [samples.account_sas()]},
        {"text": None, "url": samples.account_sas()},
    ],
    ids=str,
)
async def test_leaked_secret_is_in_no_response_and_no_log(
    changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    signature = samples.account_sas().partition("sig=")[2][:30]
    caplog.set_level(logging.DEBUG)

    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | changed))

    assert signature not in answer.get_body().decode()
    assert signature not in str(dict(answer.headers))
    assert signature not in caplog.text


async def test_access_token_is_in_no_response_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    expired = token(exp=1)

    answer = await responder(MemoryRevocations()).read(request("GET", headers={"authorization": f"Bearer {expired}"}))

    for part in expired.split("."):
        assert part not in answer.get_body().decode() + str(dict(answer.headers)) + caplog.text
