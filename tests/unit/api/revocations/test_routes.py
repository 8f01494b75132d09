"""Each route: who may call it, what it has the desk do, and what it answers."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.revocations.requests import OrderRequest, PageQuery, ReportRequest
from shared.api.revocations.routes import Responder
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation, State
from shared.domain.target import ActionKind
from shared.errors import AccountBusy, Blocked, InvalidRequest, TransientFailure
from tests.support import samples
from tests.support.api_requests import MemoryRevocations, awaiting, request, said
from tests.support.entra import NAME, OBJECT_ID, Clock, KeyServer, access_tokens, token
from tests.support.samples import NOW

ME = Caller(NAME, OBJECT_ID)
SOMEBODY = Caller("ravn@contoso.com", "f8e50806-86c7-4607-84e9-50394e5b33e6")
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


def responder(desk: MemoryRevocations, server: KeyServer | None = None) -> Responder:
    return Responder(desk, access_tokens(server), clock=lambda: NOW)  # type: ignore[arg-type]


def holding(record: Revocation) -> MemoryRevocations:
    return MemoryRevocations({record.fingerprint: record})


def in_state(state: State) -> Revocation:
    return samples.revocation().reach(state, now=NOW, detail="So it is.")


# Who may


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("roles", [(), ("Other.Role",), READER, RESPONDER, APPROVER])
async def test_a_route_is_open_to_its_roles_and_to_no_other(name: str, roles: tuple[str, ...]) -> None:
    route, method, body, may = ROUTES[name]
    desk = MemoryRevocations()

    answer = await route(responder(desk))(request(method, body=body, fingerprint="ab" * 32, roles=roles))

    assert (answer.status_code != 403) == (roles in may)
    assert bool(desk.asked) == (roles in may)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize(
    ("authorization", "error"),
    [("", None), ("Basic eDp5", None), (f"Bearer {token(exp=1)}", "invalid_token"), ("Bearer x", "invalid_token")],
    ids=["none", "another scheme", "expired", "malformed"],
)
async def test_without_a_good_token_a_route_is_closed(name: str, authorization: str, error: str | None) -> None:
    route, method, body, _ = ROUTES[name]
    desk = MemoryRevocations()

    answer = await route(responder(desk))(
        request(method, body=body, fingerprint="ab" * 32, headers={"authorization": authorization})
    )

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert ("error=" in answer.headers["WWW-Authenticate"]) == (error is not None)
    assert desk.asked == []


@pytest.mark.parametrize("name", ROUTES)
async def test_headers_that_name_a_principal_are_not_believed(name: str) -> None:
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


async def test_a_body_is_not_looked_at_before_the_caller_is_known() -> None:
    refused = request(raw=b"not json", roles=READER, headers={"content-type": "text/plain"})

    assert (await responder(MemoryRevocations()).submit(refused)).status_code == 403


async def test_when_tokens_cannot_be_checked_it_is_to_be_tried_again() -> None:
    server = KeyServer()
    server.fails = ServiceRequestError("no way")

    answer = await responder(MemoryRevocations(), server).list_revocations(request("GET"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# Reports


async def test_a_report_is_accepted_with_its_record_and_where_that_is() -> None:
    desk = MemoryRevocations()

    answer = await responder(desk).submit(request(body=REPORT))

    [fingerprint] = desk.records
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/revocations/{fingerprint}"
    assert [record["id"] for record in said(answer)["revocations"]] == [fingerprint]
    assert desk.callers == [ME, ME]


async def test_several_credentials_are_several_records() -> None:
    text = f"{samples.account_sas()}\n{samples.blob_sas()}"

    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | {"text": text}))

    assert len(said(answer)["revocations"]) == 2
    assert "Location" not in answer.headers


@pytest.mark.parametrize("more", [{}, {"dry_run": True}, {"wait": 1}])
async def test_a_text_without_a_credential_is_no_report(more: dict[str, object]) -> None:
    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | {"text": "hello"} | more))

    assert (answer.status_code, said(answer)["code"]) == (422, "no_credential_found")


async def test_a_dry_run_shows_the_records_and_makes_none() -> None:
    desk = MemoryRevocations()

    answer = await responder(desk).submit(request(body=REPORT | {"dry_run": True, "wait": 10}))

    assert answer.status_code == 200
    assert len(said(answer)["revocations"]) == 1
    assert desk.records == {}
    assert "Location" not in answer.headers


async def test_what_comes_to_rest_in_time_is_answered_as_done() -> None:
    desk = MemoryRevocations()

    answer = await responder(desk).submit(request(body=REPORT | {"wait": 2.5}))

    assert (answer.status_code, desk.asked[-1]) == (200, 2.5)
    assert said(answer)["revocations"][0]["state"] == "proven"


async def test_what_is_still_under_way_is_answered_as_accepted() -> None:
    answer = await responder(MemoryRevocations(rests=False)).submit(request(body=REPORT | {"wait": 2.5}))

    assert answer.status_code == 202
    assert said(answer)["revocations"][0]["state"] == "contained"


async def test_what_the_report_itself_took_is_waited_for_no_more() -> None:
    clock = Clock()

    class Slow(MemoryRevocations):
        async def report(self, request: ReportRequest, *, caller: Caller) -> tuple[Revocation, ...]:
            clock.advance(timedelta(seconds=20))
            return await super().report(request, caller=caller)

    for wait, left in ((30, 10), (5, 0)):
        desk = Slow()
        api = Responder(desk, access_tokens(), clock=clock)  # type: ignore[arg-type]
        await api.submit(request(body=REPORT | {"wait": wait}))
        assert desk.asked[-1] == left


async def test_without_wait_nothing_is_waited_for() -> None:
    desk = MemoryRevocations()

    await responder(desk).submit(request(body=REPORT))

    assert all(isinstance(asked, ReportRequest) for asked in desk.asked)


# Orders


async def test_an_order_is_accepted_and_waits() -> None:
    desk = MemoryRevocations()

    answer = await responder(desk).submit(request(body=ORDER))

    assert answer.status_code == 202
    assert desk.asked == [OrderRequest("robustmodels", ActionKind.ACCOUNT_KEY, "key2", "Seen in a screenshot")]
    assert desk.callers == [ME]
    [record] = said(answer)["revocations"]
    assert (record["state"], record["kind"]) == ("awaiting_approval", "order")
    assert answer.headers["Location"] == f"/api/revocations/{record['id']}"


# Reading


async def test_a_record_is_read_with_its_history() -> None:
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
        }
    ]


@pytest.mark.parametrize("fingerprint", ["ab" * 32, "nonsense"])
async def test_a_record_that_is_not_there_is_404(fingerprint: str) -> None:
    answer = await responder(MemoryRevocations()).read(request("GET", fingerprint=fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (404, "no_such_record")


async def test_records_are_listed_by_what_the_query_says() -> None:
    desk = holding(in_state(State.FAILED))

    answer = await responder(desk).list_revocations(
        request("GET", query="?state=failed&account=robustmodels&limit=5", roles=READER)
    )

    assert desk.asked == [PageQuery(State.FAILED, "robustmodels", 5)]
    assert [record["state"] for record in said(answer)["revocations"]] == ["failed"]
    assert said(answer)["next"] is None


async def test_a_page_says_where_the_next_one_begins() -> None:
    one = in_state(State.FAILED)
    desk = MemoryRevocations(dict.fromkeys("ab", one))

    answer = await responder(desk).list_revocations(request("GET", query="?limit=1"))
    await responder(desk).list_revocations(request("GET", query=f"?limit=1&after={said(answer)['next']}"))

    assert desk.asked[-1] == PageQuery(limit=1, after="bmV4dA")


async def test_a_list_shows_less_than_a_record() -> None:
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
async def test_a_decision_is_carried_out_in_the_callers_name(
    name: str, record: Revocation, asked: tuple[str, ...], state: str
) -> None:
    route, _, body, _ = ROUTES[name]
    desk = holding(record)

    answer = await route(responder(desk))(request(body=body, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["state"]) == (200, state)
    assert desk.asked == [(record.fingerprint, *asked)]
    assert desk.callers == [ME]


async def test_a_decision_that_comes_too_late_is_a_conflict() -> None:
    record = in_state(State.CLOSED)

    answer = await responder(holding(record)).approve(request(body=APPROVAL, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (409, "wrong_state")


async def test_what_takes_a_second_person_is_not_permitted_to_the_first() -> None:
    record = awaiting(replace(samples.finding(), reported_by=ME))

    answer = await responder(holding(record)).approve(request(body=APPROVAL, fingerprint=record.fingerprint))

    assert (answer.status_code, said(answer)["code"]) == (403, "not_permitted")
    assert "WWW-Authenticate" not in answer.headers


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
async def test_what_the_desk_cannot_do_is_a_problem(name: str, fails: Exception, status: int) -> None:
    route, method, body, _ = ROUTES[name]

    answer = await route(responder(MemoryRevocations(fails=fails)))(request(method, body=body, fingerprint="ab" * 32))

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said(answer)["detail"] == str(fails)


@pytest.mark.parametrize("name", [name for name, (_, method, _, _) in ROUTES.items() if method == "POST"])
async def test_a_body_that_is_no_json_is_refused(name: str) -> None:
    route, method, _, _ = ROUTES[name]
    desk = MemoryRevocations()
    api = responder(desk)

    answers = [
        await route(api)(request(method, raw=b"{}", fingerprint="ab" * 32, headers={"content-type": "text/plain"})),
        await route(api)(request(method, raw=b"{" + b" " * 1024 * 1024, fingerprint="ab" * 32)),
        await route(api)(request(method, raw=b"{", fingerprint="ab" * 32)),
    ]

    assert [answer.status_code for answer in answers] == [415, 413, 400]
    assert desk.asked == []


async def test_what_nobody_foresaw_is_not_hidden() -> None:
    class Broken(MemoryRevocations):
        async def page(self, query: PageQuery) -> None:  # type: ignore[override]
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await responder(Broken()).list_revocations(request("GET"))


@pytest.mark.parametrize("name", ROUTES)
async def test_no_answer_is_kept_on_the_way(name: str) -> None:
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
async def test_what_leaked_is_in_no_answer_and_in_no_log(
    changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    signature = samples.account_sas().partition("sig=")[2][:30]
    caplog.set_level(logging.DEBUG)

    answer = await responder(MemoryRevocations()).submit(request(body=REPORT | changed))

    assert signature not in answer.get_body().decode()
    assert signature not in str(dict(answer.headers))
    assert signature not in caplog.text


async def test_a_token_is_in_no_answer_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    expired = token(exp=1)

    answer = await responder(MemoryRevocations()).read(request("GET", headers={"authorization": f"Bearer {expired}"}))

    for part in expired.split("."):
        assert part not in answer.get_body().decode() + str(dict(answer.headers)) + caplog.text
