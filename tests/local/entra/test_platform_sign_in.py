"""The platform's sign-in in front of the app: which requests reach the app, and which tokens it accepts."""

from dataclasses import replace

import pytest
from starlette.requests import Request

from local.entra.platform_sign_in import PlatformSignIn
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import API_ID_URI, AZURE_CLI, CONSOLE_CLIENT_ID, Cloud


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory(), users=identities.users())


@pytest.fixture
def platform(cloud: Cloud) -> PlatformSignIn:
    return PlatformSignIn(Entra(cloud))


def status(platform: PlatformSignIn, path: str, token: str = "") -> int:
    """The status of the platform's refusal, 200 where the app gets the request."""
    headers = [(b"host", b"func.azurewebsites.net")]
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "scheme": "https",
    }
    refusal = platform.refusal(Request(scope))
    return 200 if refusal is None else refusal.status_code


def test_token_of_the_registration_passes(platform: PlatformSignIn, cloud: Cloud) -> None:
    token = platform.entra.mint(cloud.identities["approver"], audience=API_ID_URI, client=AZURE_CLI)

    assert status(platform, "/api/revocations", token) == 200


def test_token_of_version_1_is_refused(platform: PlatformSignIn, cloud: Cloud) -> None:
    """azure-docs#76602: an issuer that ends in /v2.0 refuses tokens of version 1, the default of a registration."""
    ours = cloud.registrations[CONSOLE_CLIENT_ID]
    cloud.registrations[CONSOLE_CLIENT_ID] = replace(ours, token_version=None)
    token = platform.entra.mint(cloud.identities["approver"], audience=API_ID_URI, client=AZURE_CLI)

    assert status(platform, "/api/revocations", token) == 401


def test_token_for_another_resource_is_refused(platform: PlatformSignIn, cloud: Cloud) -> None:
    token = platform.entra.mint(cloud.identities["approver"], audience="https://management.azure.com")

    assert status(platform, "/api/revocations", token) == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/health", 200),
        ("/api/intake/github", 200),
        ("/runtime/webhooks/eventgrid", 200),
        ("/api/desk", 200),
        ("/api/desk/api.js", 200),
        ("/api/desks", 401),
        ("/api/revocations", 401),
        ("/api/readiness", 401),
        ("/", 401),
    ],
)
def test_only_excluded_paths_need_no_token(platform: PlatformSignIn, path: str, expected: int) -> None:
    assert status(platform, path) == expected
