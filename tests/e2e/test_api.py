"""The responders' API of a deployed app, with tokens of the tenant: roles and results."""

import json

import pytest

from local.network.hostnames import APP_HOST
from local.tenant.model import Account
from tests.support.api_calls import call
from tests.support.cloud_clients import browser
from tests.support.deployment import Deployment
from tests.support.leaks import account_sas
from tests.support.openapi import document
from tests.support.raw_http import chunked, exchange
from tests.support.schemathesis import disagreements

UNKNOWN = "ab" * 32

OPERATIONS = [
    (method.upper(), path.replace("{id}", UNKNOWN).replace("{source}", "wiz"))
    for path, item in document()["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and operation.get("security") != []
]
FOR_APPROVERS = [f"/revocations/{UNKNOWN}/{act}" for act in ("approve", "reject", "undo-lockdown")]
FOR_RESPONDERS = ["/revocations", f"/revocations/{UNKNOWN}/retry"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_every_route_but_health_requires_a_token(deployment: Deployment, method: str, path: str) -> None:
    answer = await call(deployment, None, method, path, {})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_health_is_public(deployment: Deployment) -> None:
    answer = await call(deployment, None, "GET", "/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_head_of_health_has_no_body(deployment: Deployment) -> None:
    """azure-functions-host 4.1037, tried: a method that a function does not accept is 404, HEAD too."""
    answer = await call(deployment, None, "HEAD", "/health")

    assert (answer.status_code, answer.content) == (200, b"")


async def test_home_page_of_the_host_is_off(deployment: Deployment) -> None:
    """azure-functions-host 4.1037, tried: without AzureWebJobsDisableHomepage it is a page of 150 KB."""
    answer = await exchange(deployment.cloud.hosts[0], "GET / HTTP/1.1")

    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("path", ["/api/intake/trufflehog", "/api/revocations"])
async def test_chunked_report_is_not_taken_for_an_empty_one(deployment: Deployment, path: str) -> None:
    """azure-functions-host 4.1037, tried: the body of a chunked request does not reach the function."""
    who = "REPORTER" if "intake" in path else "RESPONDER"
    token = deployment.cloud.environment[f"SASQUASH_TOKEN_{who}"]
    head = f"POST {path} HTTP/1.1\nTransfer-Encoding: chunked\nAuthorization: Bearer {token}"
    answer = await exchange(deployment.cloud.hosts[0], head, chunked(b'{"Raw": "a leak"}'))

    assert (answer.status, json.loads(answer.body)["code"]) == (411, "length_required")


@pytest.mark.parametrize(("who", "status"), [("READER", 200), (None, 401)])
async def test_token_of_the_registration_passes_the_sign_in_of_the_platform(
    deployment: Deployment, who: str | None, status: int
) -> None:
    headers = {"Authorization": f"Bearer {deployment.cloud.environment[f'SASQUASH_TOKEN_{who}']}"} if who else {}
    async with browser(deployment.cloud) as client:
        answer = await client.get(f"https://{APP_HOST}/api/revocations", headers=headers)

    assert answer.status_code == status
    assert ("realm=" in answer.headers.get("www-authenticate", "")) == (status == 401)


@pytest.mark.parametrize(
    ("who", "path"),
    [
        *(("READER", path) for path in FOR_APPROVERS + FOR_RESPONDERS),
        *(("RESPONDER", path) for path in FOR_APPROVERS),
    ],
)
async def test_insufficient_role_is_refused(deployment: Deployment, who: str, path: str) -> None:
    assert (await call(deployment, who, "POST", path, {})).status_code == 403


async def test_responder_can_not_order(deployment: Deployment) -> None:
    order = {"account": "nobodysaccount", "action": "account_key", "target": "key1", "reason": "x"}

    assert (await call(deployment, "RESPONDER", "POST", "/revocations", order)).status_code == 403


@pytest.mark.parametrize("who", ["READER", "RESPONDER", "APPROVER"])
async def test_every_role_reads_records(deployment: Deployment, who: str) -> None:
    assert (await call(deployment, who, "GET", "/revocations?limit=1")).status_code == 200
    assert (await call(deployment, who, "GET", f"/revocations/{UNKNOWN}")).status_code == 404


async def test_token_for_another_audience_is_refused(deployment: Deployment) -> None:
    token = deployment.cloud.entra.mint(
        deployment.cloud.model.identities["approver"], audience="https://management.azure.com"
    )

    assert (await call(deployment, token, "GET", "/revocations")).status_code == 401


async def test_report_revokes_and_its_record_names_the_reporter(deployment: Deployment) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key2"])
    report = {"text": f"see {leaked}", "reason": "Found in a wiki", "wait": 60}

    answer = await call(deployment, "RESPONDER", "POST", "/revocations", report)

    [record] = answer.json()["revocations"]
    assert (answer.status_code, record["state"]) in [(200, "proven"), (200, "closed")], record["detail"]
    assert deployment.rotations(account) == ["key2"]
    read = (await call(deployment, "READER", "GET", f"/revocations/{record['id']}")).json()
    assert read["reported_by"]["name"] == "responder@contoso.com"
    assert read["history"][0]["state"] == "received"
    assert leaked.partition("sig=")[2] not in answer.text


async def test_dry_run_returns_the_plan_and_changes_nothing(deployment: Deployment) -> None:
    account = await deployment.account()
    report = {
        "text": account_sas(account.name, account.keys["key2"]),
        "reason": "Preview",
        "dry_run": True,
    }

    answer = await call(deployment, "RESPONDER", "POST", "/revocations", report)

    [record] = answer.json()["revocations"]
    assert (answer.status_code, record["plan"]["target"]) == (200, "key2")
    assert deployment.rotations(account) == []
    assert await deployment.record(record["id"]) is None


async def test_records_are_listed_by_account(deployment: Deployment) -> None:
    account = await deployment.account()
    [fingerprint] = await deployment.report(account_sas(account.name, account.keys["key1"]))
    await deployment.settled(fingerprint)

    answer = await call(deployment, "READER", "GET", f"/revocations?account={account.name}")

    assert [record["id"] for record in answer.json()["revocations"]] == [fingerprint]


async def test_responses_to_generated_requests_match_openapi(deployment: Deployment) -> None:
    model = deployment.cloud.model
    model.accounts["robustmodels"] = Account("robustmodels", "examples", {})  # the account of the examples
    await model.keys_changed()
    token = deployment.cloud.environment["SASQUASH_TOKEN_APPROVER"]

    found = await disagreements(f"{deployment.cloud.hosts[0]}/api", token=token, examples=5)

    assert not found, found
