"""Who may report to the intake, and who is named as the caller."""

import json
from datetime import timedelta

import pytest

from shared.api.auth.access_tokens import Role
from tests.support.entra import OBJECT_ID, token
from tests.support.intake import (
    BASIC,
    GITHUB_SECRET,
    LEAK,
    Place,
    Tool,
    by_github,
    generic,
    github_payload,
    leaked,
    request,
    said,
    signed,
)
from tests.support.samples import NOW

HOOK = {
    "eventType": "ms.vss-alerts.alert-created-event",
    "resource": {
        "alertId": 7,
        "alertType": "Secret",
        "repositoryUrl": "https://dev.azure.com/contoso/shop/_git/web",
        "state": "Active",
    },
    "resourceContainers": {"project": {"id": "0d8e2a50-4a59-4f0e-8a4b-2f4d3f6f7a10"}},
}


@pytest.mark.parametrize(
    "source",
    ["", "unknown", "github ", "GITHUB", "../wiz", "wiz/x"],
)
async def test_unknown_source_is_404(source: str) -> None:
    answer = await Place().intake().receive(signed(source, generic(LEAK)))

    assert (answer.status_code, said(answer)["code"]) == (404, "no_such_source")


@pytest.mark.parametrize(
    ("source", "setting"),
    [
        ("github", "github_webhook_secret"),
        ("azure-devops", "azure_devops_password"),
        ("wiz", "intake_senders"),
    ],
)
async def test_source_without_a_secret_is_404(source: str, setting: str) -> None:
    answer = await Place(settings={setting: ""}).intake().receive(signed(source, generic(LEAK)))

    assert answer.status_code == 404


@pytest.mark.parametrize("source", ["wiz", "trufflehog", "gitleaks", "sarif", "cloudevents"])
async def test_sender_with_another_key_is_refused_before_parsing(source: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, b"\xff not even text", key=b"x" * 32))

    assert (answer.status_code, answer.headers["WWW-Authenticate"][:7]) == (401, "Bearer ")
    assert here.topic.sent == []


async def test_changed_github_body_is_refused() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    good = by_github(github_payload())
    body = good.get_body() + b" "
    altered = request("github", body, **dict(good.headers) | {"content-length": str(len(body))})

    answer = await here.intake().receive(altered)

    assert (answer.status_code, here.queue.sent, here.topic.sent) == (401, [], [])


async def test_azure_devops_hook_with_its_password_is_accepted() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    answer = await here.intake().receive(request("azure-devops", json.dumps(HOOK).encode(), authorization=BASIC))

    assert (answer.status_code, said(answer)["items"][0]["alert"][:20]) == (202, "Azure DevOps alert 7")


@pytest.mark.parametrize("source", ["defender", "trufflehog", "wiz"])
async def test_app_with_reporter_role_may_report(source: str) -> None:
    body = {"defender": b'{"id": "dc1"}', "trufflehog": json.dumps({"Raw": LEAK}).encode()}.get(source, generic(LEAK))
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))

    answer = await here.intake().receive(
        request(source, body, authorization=f"Bearer {token(roles=[Role.REPORTER])}")
    )

    assert (answer.status_code, len(here.topic.events)) == (202, 1)
    assert here.topic.events[0].data["submitted_by"] == OBJECT_ID


async def test_report_without_an_access_token_names_no_caller() -> None:
    here = Place()
    await here.intake().receive(signed("wiz", generic(LEAK)))

    assert "submitted_by" not in here.topic.events[0].data


async def test_sender_does_not_choose_who_the_caller_is() -> None:
    here = Place()
    finding = {"text": LEAK, "submitted_by": "00000000-0000-4000-8000-00000000000b"}
    body = json.dumps({"findings": [finding], "submitted_by": "00000000-0000-4000-8000-00000000000b"}).encode()
    await here.intake().receive(request("wiz", body, authorization=f"Bearer {token(roles=[Role.REPORTER])}"))

    assert here.topic.events[0].data["submitted_by"] == OBJECT_ID


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REPORTER])
async def test_token_with_another_role_is_refused(role: Role) -> None:
    answer = await Place().intake().receive(request("defender", b"{}", authorization=f"Bearer {token(roles=[role])}"))

    assert (answer.status_code, said(answer)["code"]) == (403, "not_permitted")


async def test_response_has_no_secret_of_the_settings() -> None:
    answer = await Place().intake().receive(request("github", b"{}", x_hub_signature_256="sha256=0"))

    assert GITHUB_SECRET not in answer.get_body().decode()


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=6), NOW + timedelta(minutes=6)])
async def test_replayed_report_is_refused(at: object) -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic(LEAK), at=at))  # type: ignore[arg-type]

    assert (answer.status_code, here.topic.sent) == (401, [])
