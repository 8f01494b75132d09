"""The stand-in for GitHub's API: errors of invalid requests, and the permissions that each operation requires."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest

from local.reporters.github import GitHub
from local.reporters.reports import REPOSITORY, github_alert
from local.tenant.model import Cloud
from local.tenant.senders import (
    GITHUB_APP,
    GITHUB_CLOSING_APP,
    GITHUB_CLOSING_INSTALLATION,
    GITHUB_INSTALLATION,
)
from shared.sas import extract_leaks
from tests.support import samples
from tests.support.asgi import client

ALERT = f"/repos/{REPOSITORY}/secret-scanning/alerts/1"
TOKENS = f"/app/installations/{GITHUB_INSTALLATION}/access_tokens"
CLOSING_TOKENS = f"/app/installations/{GITHUB_CLOSING_INSTALLATION}/access_tokens"
READ = {"secret_scanning_alerts": "read", "contents": "read"}
WRITE = {"secret_scanning_alerts": "write"}


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    text = samples.account_sas()
    github_alert(made, text, extract_leaks(text)[0])
    return made


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    async with client(GitHub(cloud).app, "api.github.com") as opened:
        yield opened


def app_token(cloud: Cloud, *, app: str = GITHUB_APP, **changed: Any) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iat": now - 60, "exp": now + 540, "iss": app} | changed
    return {"Authorization": f"Bearer {jwt.encode(claims, cloud.senders.github_key(app), algorithm='RS256')}"}


async def token(api: httpx.AsyncClient, cloud: Cloud, **permissions: str) -> dict[str, str]:
    body = {"permissions": permissions or READ, "repositories": ["robust-models"]}
    answer = await api.post(TOKENS, headers=app_token(cloud), json=body)
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def closing_token(api: httpx.AsyncClient, cloud: Cloud) -> dict[str, str]:
    body = {"permissions": WRITE, "repositories": ["robust-models"]}
    answer = await api.post(CLOSING_TOKENS, headers=app_token(cloud, app=GITHUB_CLOSING_APP), json=body)
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_app_finds_its_installation_and_gets_a_token_that_reads(api: httpx.AsyncClient, cloud: Cloud) -> None:
    installation = await api.get(f"/repos/{REPOSITORY}/installation", headers=app_token(cloud))
    alert = await api.get(ALERT, headers=await token(api, cloud))

    assert installation.json()["id"] == GITHUB_INSTALLATION
    assert alert.json()["secret"] == samples.account_sas().partition("?")[2]


@pytest.mark.parametrize(
    "changed",
    [{"iss": "another"}, {"exp": 1}, {"exp": int(datetime.now(UTC).timestamp()) + 3600}],
)
async def test_jwt_not_signed_by_the_app_or_not_valid_now_is_refused(
    api: httpx.AsyncClient, cloud: Cloud, changed: dict[str, Any]
) -> None:
    answer = await api.post(TOKENS, headers=app_token(cloud, **changed), json={})

    assert answer.status_code == 401


@pytest.mark.parametrize("authorization", [None, "Bearer ghs_made_up", "Bearer a.b.c"])
async def test_request_without_a_token_shows_nothing(api: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    assert (await api.get(ALERT, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"permissions": {"secret_scanning_alerts": "admin"}},
        {"permissions": {"secret_scanning_alerts": "write"}},
        {"permissions": {"contents": "write"}},
        {"permissions": {"administration": "read"}},
        {"permissions": []},
        {"repositories": ["another"]},
        {"repositories": "robust-models"},
    ],
)
async def test_access_token_beyond_the_apps_permissions_is_refused(
    api: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any]
) -> None:
    assert (await api.post(TOKENS, headers=app_token(cloud), json=body)).status_code == 422


async def test_each_app_has_its_own_key_installation_and_permissions(api: httpx.AsyncClient, cloud: Cloud) -> None:
    """docs.github.com, "Generating an installation access token": of the App's own installation."""
    other = app_token(cloud, app=GITHUB_CLOSING_APP)
    forged = app_token(cloud, iss=GITHUB_CLOSING_APP)

    assert (await api.post(TOKENS, headers=other, json={})).status_code == 404
    assert (await api.post(CLOSING_TOKENS, headers=forged, json={})).status_code == 401
    assert (
        await api.post(CLOSING_TOKENS, headers=other, json={"permissions": {"contents": "read"}})
    ).status_code == 422
    assert (await api.get(ALERT, headers=await closing_token(api, cloud))).json()["number"] == 1


async def test_secret_is_hidden_on_request(api: httpx.AsyncClient, cloud: Cloud) -> None:
    """github.blog changelog, 2025-05-20: `hide_secret`, by default false, omits "the secret literal value"."""
    headers = await token(api, cloud)

    assert (await api.get(f"{ALERT}?hide_secret=true", headers=headers)).json()["secret"] is None
    assert (await api.get(f"{ALERT}?hide_secret=false", headers=headers)).json()["secret"]
    assert (await api.get(f"{ALERT}?hide=true", headers=headers)).status_code == 422


async def test_another_owner_has_not_installed_the_app(api: httpx.AsyncClient, cloud: Cloud) -> None:
    assert (await api.get("/repos/fabrikam/x/installation", headers=app_token(cloud))).status_code == 404


async def test_token_without_the_permission_is_refused(api: httpx.AsyncClient, cloud: Cloud) -> None:
    only_alerts = await token(api, cloud, secret_scanning_alerts="read")
    [place] = (await api.get(f"{ALERT}/locations", headers=only_alerts)).json()
    blob = f"/repos/{REPOSITORY}/git/blobs/{place['details']['blob_sha']}"

    assert (await api.get(blob, headers=only_alerts)).status_code == 403
    assert (await api.patch(ALERT, headers=only_alerts, json={"state": "open"})).status_code == 403
    assert (await api.get(blob, headers=await token(api, cloud, contents="read"))).status_code == 200


async def test_blob_is_returned_in_base64_or_raw(api: httpx.AsyncClient, cloud: Cloud) -> None:
    headers = await token(api, cloud)
    [place] = (await api.get(f"{ALERT}/locations", headers=headers)).json()
    blob = f"/repos/{REPOSITORY}/git/blobs/{place['details']['blob_sha']}"
    raw = await api.get(blob, headers=headers | {"Accept": "application/vnd.github.raw+json"})

    assert (await api.get(blob, headers=headers)).json()["encoding"] == "base64"
    assert raw.text.splitlines()[place["details"]["start_line"] - 1] == samples.account_sas()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "closed"},
        {"state": "resolved"},
        {"state": "resolved", "resolution": "fixed"},
        {"state": "resolved", "resolution": "revoked", "resolution_comment": "x" * 281},
        {"state": "resolved", "resolution": "revoked", "more": 1},
        {"state": "open", "resolution_comment": "x"},
    ],
)
async def test_invalid_update_changes_nothing(api: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any]) -> None:
    headers = await closing_token(api, cloud)

    assert (await api.patch(ALERT, headers=headers, json=body)).status_code == 422
    assert cloud.alerts.github[0].state == "open"


async def test_comment_of_a_resolved_alert_cannot_be_updated(api: httpx.AsyncClient, cloud: Cloud) -> None:
    """github/rest-api-description, secret-scanning/update-alert: "Cannot be updated or deleted"."""
    headers = await closing_token(api, cloud)
    for comment in ("First.", "Second."):
        body = {"state": "resolved", "resolution": "revoked", "resolution_comment": comment}
        await api.patch(ALERT, headers=headers, json=body)

    assert cloud.alerts.github[0].comment == "First."


async def test_every_error_has_githubs_shape(api: httpx.AsyncClient) -> None:
    answers = [
        await api.get("/nothing"),
        await api.get(ALERT, headers={"User-Agent": ""}),
        await api.get(ALERT, headers={"X-GitHub-Api-Version": "2020-01-01"}),
        await api.get(ALERT),
    ]

    assert [answer.status_code for answer in answers] == [404, 403, 400, 401]
    assert all(answer.json()["status"] == str(answer.status_code) for answer in answers)
