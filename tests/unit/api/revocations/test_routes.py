"""Each route: its call of the service, and its response."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api.revocations.requests import OrderRequest, PageQuery, ReportRequest
from shared.domain.approval import AtDeadline
from shared.domain.caller import Caller
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.support import samples
from tests.support.api_requests import MemoryRevocations, awaiting, request, said
from tests.support.entra import NAME, OBJECT_ID, Clock, token
from tests.support.responder_routes import APPROVAL, BECAUSE, ORDER, READER, REPORT, ROUTES, responder
from tests.support.samples import NOW

ME = Caller(NAME, OBJECT_ID, is_person=True)


def holding(record: Revocation) -> MemoryRevocations:
    return MemoryRevocations({record.fingerprint: record})


def in_state(state: State) -> Revocation:
    return samples.revocation().reach(state, now=NOW, detail="So it is.")


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
