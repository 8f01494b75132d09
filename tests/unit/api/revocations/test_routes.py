"""Each route: its roles, its call of the service, and its response."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.revocations.requests import OrderRequest, PageQuery, ReportRequest
from shared.api.revocations.routes import Responder
from shared.domain.approval import AtDeadline
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import AccountBusy, Blocked, InvalidRequest, TransientFailure
from tests.support import samples
from tests.support.api_requests import MemoryChecks, MemoryRevocations, awaiting, request, said
from tests.support.entra import NAME, OBJECT_ID, Clock, KeyServer, access_tokens, token
from tests.support.samples import NOW

ME = Caller(NAME, OBJECT_ID, is_person=True)
SOMEBODY = Caller("ravn@contoso.com", "f8e50806-86c7-4607-84e9-50394e5b33e6", is_person=True)
REPORT = {"text": samples.account_sas(), "reason": "Found on GitHub"}
ORDER = {"account": "robustmodels", "action": "account_key", "target": "key2", "reason": "Seen in a screenshot"}
APPROVAL = {"digest": "d" * 64, "reason": "The owner agrees"}
BECAUSE = {"reason": "The lock is gone"}

READER, RESPONDER, APPROVER = ("Sasquash.Reader",), ("Sasquash.Responder",), ("Sasquash.Approver",)

type Route = Callable[[Responder], Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]]

ROUTES: dict[str, tuple[Route, str, object, set[tuple[str, ...]]]] = {
    "list": (lambda api: api.list_revocations, "GET", None, {READER, RESPONDER, APPROVER}),
    "read": (lambda api: api.read, "GET", None, {READER, RESPONDER, APPROVER}),
    "report": (lambda api: api.submit, "POST", REPORT, {RESPONDER, APPROVER}),
    "dry run": (lambda api: api.submit, "POST", REPORT | {"dry_run": True}, {RESPONDER, APPROVER}),
    "order": (lambda api: api.submit, "POST", ORDER, {APPROVER}),
    "approve": (lambda api: api.approve, "POST", APPROVAL, {APPROVER}),
    "reject": (lambda api: api.reject, "POST", BECAUSE, {APPROVER}),
    "retry": (lambda api: api.retry, "POST", BECAUSE, {RESPONDER, APPROVER}),
    "undo": (lambda api: api.undo_lockdown, "POST", BECAUSE, {APPROVER}),
}


def responder(service: MemoryRevocations, server: KeyServer | None = None) -> Responder:
    return Responder(
        service,  # type: ignore[arg-type]
        access_tokens(server),
        MemoryChecks(),  # type: ignore[arg-type]
        clock=lambda: NOW,
        at_deadline=AtDeadline.ESCALATE,
    )


def holding(record: Revocation) -> MemoryRevocations:
    return MemoryRevocations({record.fingerprint: record})


def in_state(state: State) -> Revocation:
    return samples.revocation().reach(state, now=NOW, detail="So it is.")


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


# Reports


async def test_accepted_report_has_its_record_and_location() -> None:
    service = MemoryRevocations()

    answer = await responder(service).submit(request(body=REPORT))

    [fingerprint] = service.records
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/revocations/{fingerprint}"
    assert [record["id"] for record in said(answer)["revocations"]] == [fingerprint]
    assert service.callers == [ME, ME]


async def test_several_credentials_are_several_records() -> None:
    text = f"{samples.account_sas()}\n{samples.blob_sas()}"

    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | {"text": text}))

    assert len(said(answer)["revocations"]) == 2
    assert "Location" not in answer.headers


@pytest.mark.parametrize("more", [{}, {"dry_run": True}, {"wait": 1}])
async def test_text_without_a_credential_is_422(more: dict[str, object]) -> None:
    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | {"text": "hello"} | more))

    assert (answer.status_code, said(answer)["code"]) == (422, "no_credential_found")


async def test_dry_run_returns_records_and_creates_none() -> None:
    service = MemoryRevocations()

    answer = await responder(service).submit(request(body=REPORT | {"dry_run": True, "wait": 10}))

    assert answer.status_code == 200
    assert len(said(answer)["revocations"]) == 1
    assert service.records == {}
    assert "Location" not in answer.headers


async def test_settled_report_is_200() -> None:
    service = MemoryRevocations()

    answer = await responder(service).submit(request(body=REPORT | {"wait": 2.5}))

    assert (answer.status_code, service.asked[-1]) == (200, 2.5)
    assert said(answer)["revocations"][0]["state"] == "proven"


async def test_unsettled_report_is_202() -> None:
    answer = await responder(MemoryRevocations(settles=False)).submit(request(body=REPORT | {"wait": 2.5}))

    assert answer.status_code == 202
    assert said(answer)["revocations"][0]["state"] == "contained"


async def test_wait_includes_the_time_of_the_report() -> None:
    clock = Clock()

    class Slow(MemoryRevocations):
        async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
            clock.advance(timedelta(seconds=20))
            return await super().report(request, caller=caller)

    for wait, left in ((30, 10), (5, 0)):
        service = Slow()
        api = replace(responder(service), clock=clock)
        await api.submit(request(body=REPORT | {"wait": wait}))
        assert service.asked[-1] == left


async def test_report_without_wait_does_not_wait() -> None:
    service = MemoryRevocations()

    await responder(service).submit(request(body=REPORT))

    assert all(isinstance(asked, ReportRequest) for asked in service.asked)


async def test_record_shows_what_comes_at_its_deadline_by_the_setting_of_now() -> None:
    record = replace(in_state(State.AWAITING_APPROVAL), deadline=NOW, at_deadline=AtDeadline.REVOKE)

    answer = await responder(holding(record)).read(request("GET", fingerprint=record.fingerprint))

    assert said(answer)["at_deadline"] == "escalate"


# Orders


async def test_order_is_accepted_and_awaits_approval() -> None:
    service = MemoryRevocations()

    answer = await responder(service).submit(request(body=ORDER))

    assert answer.status_code == 202
    assert service.asked == [OrderRequest("robustmodels", ActionKind.ACCOUNT_KEY, "key2", "Seen in a screenshot")]
    assert service.callers == [ME]
    [record] = said(answer)["revocations"]
    assert (record["state"], record["kind"]) == ("awaiting_approval", "order")
    assert answer.headers["Location"] == f"/api/revocations/{record['id']}"


# Reading


async def test_record_has_its_history() -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).read(request("GET", fingerprint=record.fingerprint, roles=READER))

    assert answer.status_code == 200
    assert said(answer)["id"] == record.fingerprint
    assert said(answer)["history"] == [
        {
            "at": "2026-11-21T10:00:00Z",
            "who": "sasquash",
            "state": "received",
            "what": "Reported by github.",
            "evidence": "",
            "correlation_id": None,
            "link": {
                "chain": "20261121T100000000000",
                "line": 1,
                "previous": "",
                "sha256": "ada87761eb52d4eba2630f774acae258446846565097c627d51dddbae489c910",
            },
        }
    ]


async def test_record_has_the_last_check_of_its_history() -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).read(request("GET", fingerprint=record.fingerprint, roles=READER))

    assert said(answer)["history_check"]["integrity"] == "unconfirmed"


async def test_history_is_checked_now_where_that_is_asked_for() -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).read(
        request("GET", query="?verify=true", fingerprint=record.fingerprint, roles=READER)
    )

    assert said(answer)["history_check"]["integrity"] == "intact"


@pytest.mark.parametrize("query", ["?verify=yes", "?verify=", "?verify=true&verify=false", "?check=true"])
async def test_other_query_of_a_record_is_400(query: str) -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).read(
        request("GET", query=query, fingerprint=record.fingerprint, roles=READER)
    )

    assert answer.status_code == 400


@pytest.mark.parametrize("fingerprint", ["ab" * 32, "nonsense"])
async def test_missing_record_is_404(fingerprint: str) -> None:
    answer = await responder(MemoryRevocations()).read(request("GET", fingerprint=fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (404, "no_such_record")


async def test_list_uses_the_query() -> None:
    service = holding(in_state(State.FAILED))

    answer = await responder(service).list_revocations(
        request("GET", query="?state=failed&account=robustmodels&limit=5", roles=READER)
    )

    assert service.asked == [PageQuery(State.FAILED, "robustmodels", 5)]
    assert [record["state"] for record in said(answer)["revocations"]] == ["failed"]
    assert said(answer)["next"] is None


async def test_page_has_the_token_of_the_next_page() -> None:
    one = in_state(State.FAILED)
    service = MemoryRevocations(dict.fromkeys("ab", one))

    answer = await responder(service).list_revocations(request("GET", query="?limit=1"))
    await responder(service).list_revocations(request("GET", query=f"?limit=1&after={said(answer)['next']}"))

    assert service.asked[-1] == PageQuery(limit=1, after="bmV4dA")


async def test_summary_is_a_part_of_the_record() -> None:
    record = in_state(State.FAILED)
    api = responder(holding(record))

    [summary] = said(await api.list_revocations(request("GET")))["revocations"]

    assert summary.items() < said(await api.read(request("GET", fingerprint=record.fingerprint))).items()


# Decisions


@pytest.mark.parametrize(
    ("name", "record", "asked", "state"),
    [
        ("approve", awaiting(), ("d" * 64, "The owner agrees"), "contained"),
        ("reject", awaiting(), ("The lock is gone",), "dismissed"),
        ("retry", in_state(State.FAILED), ("The lock is gone",), "received"),
        ("undo", in_state(State.CLOSED), ("The lock is gone",), "closed"),
    ],
)
async def test_decision_has_the_name_of_the_caller(
    name: str, record: Revocation, asked: tuple[str, ...], state: str
) -> None:
    route, _, body, _ = ROUTES[name]
    service = holding(record)

    answer = await route(responder(service))(request(body=body, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["state"]) == (200, state)
    assert service.asked == [(record.fingerprint, *asked)]
    assert service.callers == [ME]


async def test_late_decision_is_a_conflict() -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).approve(request(body=APPROVAL, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (409, "wrong_state")


async def test_decision_that_requires_a_second_person_is_403_for_the_first() -> None:
    record = awaiting(replace(samples.finding(), reported_by=ME))

    answer = await responder(holding(record)).approve(request(body=APPROVAL, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (403, "not_permitted")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(("roles", "status"), [(["Sasquash.Responder"], 403), (["Sasquash.Approver"], 200)])
async def test_rejection_is_undone_by_an_approver_alone(roles: list[str], status: int) -> None:
    record = awaiting().end(Reason.REJECTED, now=NOW, detail="No.")

    sent = request(body=BECAUSE, fingerprint=record.fingerprint, roles=tuple(roles))
    answer = await responder(holding(record)).retry(sent)

    assert answer.status_code == status


@pytest.mark.parametrize("name", ["approve", "reject"])
async def test_application_is_named_as_one_to_the_service(name: str) -> None:
    """Entra ID, "Access token claims reference": `scp` is "only included for user tokens"."""
    record, service = awaiting(), MemoryRevocations()
    service.records[record.fingerprint] = record
    route, _, body, _ = ROUTES[name]
    app = token(without="scp", roles=["Sasquash.Approver"])

    sent = request(body=body, fingerprint=record.fingerprint, headers={"authorization": f"Bearer {app}"})
    await route(responder(service))(sent)

    assert [caller.is_person for caller in service.callers] == [False]


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
