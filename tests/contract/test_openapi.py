"""docs/openapi.yaml has the routes and schemas of the app, and its examples are real."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

import httpx
import pytest

from shared.api.auth.access_tokens import Role
from shared.api.revocations import requests
from shared.domain import report as findings
from shared.domain.alert import AlertSource
from shared.domain.caller import Caller
from shared.domain.execution import KeyDistributionOutcome, Outcome, Verification
from shared.domain.readiness import Check
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.errors import Blocked
from shared.persistence.readiness import DrillOutcome
from shared.sas import Kind, Service, Severity, key_sha256
from shared.sources.parsing import Result
from shared.watch.signers import SignedBy
from tests.support import openapi_schemas, samples
from tests.support.api_requests import MemoryRevocations, awaiting
from tests.support.entra import token
from tests.support.http_functions import App, Ledger, hosting
from tests.support.openapi import FILE, described, document
from tests.support.samples import NOW

READER = {
    "preferred_username": "reader@contoso.com",
    "oid": "f36c87e7-fca8-412c-8f70-575907292a83",
    "roles": ["Sasquash.Reader"],
}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """`part`, or the component that it refers to."""
    if "$ref" not in part:
        return part
    found: Any = document()
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolved(found)


def enumerated(schema: str) -> list[str]:
    values: list[str] = document()["components"]["schemas"][schema]["enum"]
    return values


# Routes


def routes_of_the_app() -> set[tuple[str, str]]:
    with hosting(App(MemoryRevocations())) as app:
        routes: list[Any] = list(app.routes)
        return {
            (m, r.path.removeprefix("/api").replace("?}", "}")) for r in routes for m in r.methods if m != "HEAD"
        }  # Starlette's own


def test_document_has_exactly_the_routes_of_the_app() -> None:
    assert {(method, path) for method, path, _ in operations()} == routes_of_the_app()


def test_only_health_and_console_are_public() -> None:
    public = [path for _, path, operation in operations() if operation.get("security") == []]

    assert public == ["/desk/{file}", "/health"]
    assert document()["security"] == [{"entra": []}]


# Schemas


def test_schemas_of_responses_are_generated_from_the_structs() -> None:
    _, _, generated = FILE.read_text().partition(openapi_schemas.MARKER)

    assert generated == openapi_schemas.generated(), "run `make openapi`"


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ("State", State),
        ("Reason", Reason),
        ("ActionKind", ActionKind),
        ("Check", Check),
        ("DrillOutcome", DrillOutcome),
        ("Outcome", Outcome),
        ("KeyDistributionOutcome", KeyDistributionOutcome),
        ("Result", Result),
        ("AlertSource", AlertSource),
        ("Severity", Severity),
        ("SignedBy", SignedBy),
        ("Service", Service),
    ],
)
def test_enum_has_the_values_of_the_code(schema: str, code: type[StrEnum]) -> None:
    assert enumerated(schema) == sorted(code)


def test_order_of_a_lockdown_has_the_targets_of_the_code() -> None:
    order = document()["components"]["schemas"]["LockdownOrder"]

    assert sorted(order["properties"]["target"]["enum"]) == sorted(Lockdown)


def test_kind_of_a_record_is_a_credential_or_another_subject() -> None:
    kind = document()["components"]["schemas"]["Summary"]["properties"]["kind"]

    assert set(kind["enum"]) == {*Kind, "alert", "order", "other_service", "unreadable_report"}


# Examples


def requests_shown() -> Iterator[Any]:
    for method, path, operation in operations():
        body = resolved(operation.get("requestBody", {}))
        for name, example in body.get("content", {}).get("application/json", {}).get("examples", {}).items():
            yield pytest.param(method, path, example["value"], id=f"{path} {name}")


def record_shown() -> Revocation:
    """The record of the first example, after its key was regenerated."""
    text = next(iter(requests_shown())).values[2]["text"]
    [reported] = findings.in_text(
        text,
        source="github",
        url="https://github.com/contoso/x/README.md",
        detected_at=NOW - timedelta(seconds=20),
        reported_by=Caller("ravn@contoso.com", "f8e50806-86c7-4607-84e9-50394e5b33e6", is_person=True),
        reason="Found in a public repository",
    )
    record = replace(
        Revocation.of(reported.finding, now=NOW),
        account=samples.account(),
        key_name="key2",
        key_sha256=key_sha256(samples.KEYS["key2"]),
        attributed_at=NOW,
        decided_by="rule lives longer than a day",
        plan=samples.plan(),
        execution=samples.execution(samples.verification_token()),
        verification=Verification(Outcome.PROVEN, NOW, ("blob: a token signed by the old key was refused 3 times.",)),
    )
    return record.reach(State.PROVEN, now=NOW + timedelta(seconds=1), detail="It is refused.")


@pytest.fixture
def revocations() -> MemoryRevocations:
    shown = record_shown()
    return MemoryRevocations({shown.fingerprint: shown})


@pytest.fixture
async def client(revocations: MemoryRevocations) -> AsyncIterator[httpx.AsyncClient]:
    with hosting(App(revocations)) as app:
        transport = httpx.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {token(roles=list(Role))}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://x/api", headers=headers) as made:
            yield made


@pytest.mark.parametrize(("method", "path", "body"), list(requests_shown()))
async def test_example_request_is_accepted(
    client: httpx.AsyncClient, revocations: MemoryRevocations, method: str, path: str, body: object
) -> None:
    record = {
        "/revocations/{id}/retry": samples.revocation().reach(State.FAILED, now=NOW, detail=""),
        "/revocations/{id}/undo-lockdown": samples.revocation().reach(State.CLOSED, now=NOW, detail=""),
    }.get(path, awaiting())
    revocations.records[record.fingerprint] = record

    answer = await client.request(
        method, path.replace("{id}", record.fingerprint).replace("{source}", "wiz"), json=body
    )

    assert answer.is_success, answer.text


@pytest.mark.parametrize("path", ["/revocations", "/revocations/{id}", "/readiness", "/sas"])
async def test_example_response_is_the_real_one(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path.replace("{id}", record_shown().fingerprint))

    shown = document()["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert answer.json() == shown


@pytest.mark.parametrize(("ledger", "status"), [(Ledger(), "200"), (Ledger(Blocked("No right.")), "503")])
async def test_example_of_health_is_the_real_one(ledger: Ledger, status: str) -> None:
    with hosting(App(MemoryRevocations(), ledger)) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="https://x") as made:
            answer = await made.get("/api/health")

    shown = document()["paths"]["/health"]["get"]["responses"][status]["content"]["application/json"]["example"]
    assert (answer.status_code, answer.json()) == (int(status), shown)


async def in_chunks() -> AsyncIterator[bytes]:
    yield b"text=hello"


REPORT = {"text": "hello", "reason": "x"}
PROBLEMS: dict[str, dict[str, Any]] = {
    "BadRequest": {"json": REPORT | {"reason": ""}},
    "Unauthorized": {"json": REPORT, "headers": {"Authorization": f"Bearer {token(exp=1)}"}},
    "Forbidden": {
        "url": f"/revocations/{'ab' * 32}/approve",
        "json": {},
        "headers": {"Authorization": f"Bearer {token(**READER)}"},
    },
    "NotFound": {"url": "/revocations/7/reject", "json": {"reason": "x"}},
    "LengthRequired": {"content": in_chunks()},
    "TooLarge": {"content": b" " * 1024 * 1025, "headers": {"Content-Type": "application/json"}},
    "UnsupportedMediaType": {"content": b"text=hello"},
}


@pytest.mark.parametrize("name", PROBLEMS)
async def test_example_problem_is_the_real_one(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post(**({"url": "/revocations"} | PROBLEMS[name]))

    assert (
        answer.json() == document()["components"]["responses"][name]["content"]["application/problem+json"]["example"]
    )


async def test_example_of_a_text_without_a_credential_is_the_real_one(client: httpx.AsyncClient) -> None:
    answer = await client.post("/revocations", json=REPORT)

    response = document()["paths"]["/revocations"]["post"]["responses"]["422"]
    assert answer.json() == response["content"]["application/problem+json"]["example"]


def test_every_example_problem_is_tested() -> None:
    responses = document()["components"]["responses"]
    shown = {name for name, r in responses.items() if "example" in r["content"]["application/problem+json"]}

    assert shown == set(PROBLEMS)


@pytest.mark.parametrize(
    "name", ["Report", "KeyOrder", "PolicyOrder", "DelegationOrder", "LockdownOrder", "SasExpirationBlockOrder"]
)
def test_submission_has_the_fields_of_the_code(name: str) -> None:
    code = requests.ReportRequest if name == "Report" else requests.OrderRequest

    assert list(document()["components"]["schemas"][name]["properties"]) == list(code.__annotations__)


def test_example_record_matches_its_schema() -> None:
    responses = document()["paths"]["/revocations/{id}"]["get"]["responses"]

    described("Revocation", json.loads(json.dumps(responses["200"]["content"]["application/json"]["example"])))
