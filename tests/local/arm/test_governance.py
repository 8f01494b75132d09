"""Locks, deny assignments, permissions and diagnostic settings in ARM: listed and applied."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from local.arm import service
from local.entra.tokens import ARM, Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, DenyAssignment
from tests.support.asgi import client

SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
EVERYONE = "00000000-0000-0000-0000-000000000000"
AUTHORIZATION = "providers/Microsoft.Authorization"


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud(identities=identities.directory())
    made.accounts["models"] = Account("models", "group")
    return made


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return cloud.accounts["models"]


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    entra = Entra(cloud)
    async with client(service.app(cloud, entra), "management.azure.com") as opened:
        opened.headers["Authorization"] = f"Bearer {entra.mint(cloud.identities['responder'], audience=ARM)}"
        yield opened


async def listed(api: httpx.AsyncClient, path: str, version: str) -> list[dict[str, Any]]:
    answer = await api.get(f"{path}?api-version={version}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["value"]
    return rows


async def test_lock_is_listed_with_its_scope(api: httpx.AsyncClient, account: Account) -> None:
    account.locks.append("ReadOnly")

    [lock] = await listed(api, f"{SUBSCRIPTION}/{AUTHORIZATION}/locks", "2020-05-01")

    assert lock["id"] == f"{account.id}/{AUTHORIZATION}/locks/readonly"
    assert lock["properties"] == {"level": "ReadOnly"}


async def test_deny_assignment_is_listed_and_applied(api: httpx.AsyncClient, cloud: Cloud, account: Account) -> None:
    cloud.deny_assignments.append(
        DenyAssignment("d1", "stack", account.id, ("Microsoft.Storage/storageAccounts/listKeys/action",), EVERYONE)
    )

    [denial] = await listed(api, f"{SUBSCRIPTION}/{AUTHORIZATION}/denyAssignments", "2022-04-01")
    keys = await api.post(f"{account.id}/listKeys?api-version=2026-09-01")

    assert denial["properties"]["principals"] == [{"id": EVERYONE, "type": "SystemDefined"}]
    assert (keys.status_code, keys.json()["error"]["code"]) == (403, "DenyAssignmentAuthorizationFailed")


async def test_deny_assignment_does_not_apply_to_excluded_principals(
    api: httpx.AsyncClient, cloud: Cloud, account: Account
) -> None:
    us = cloud.identities["responder"].object_id
    cloud.deny_assignments.append(
        DenyAssignment("d1", "stack", account.id, ("Microsoft.Storage/*",), EVERYONE, excluded=(us,))
    )

    assert (await api.post(f"{account.id}/listKeys?api-version=2026-09-01")).status_code == 200


async def test_permissions_are_the_callers_own(api: httpx.AsyncClient, cloud: Cloud, account: Account) -> None:
    [role] = await listed(api, f"{account.id}/{AUTHORIZATION}/permissions", "2022-04-01")

    rights = cloud.identities["responder"].rights
    assert set(role["actions"]) == {right for right in rights if right.startswith("Microsoft.")}


async def test_diagnostic_settings_are_those_of_the_service(api: httpx.AsyncClient, account: Account) -> None:
    account.logged["blob"] = ("StorageRead",)
    settings = "providers/Microsoft.Insights/diagnosticSettings"

    [blob] = await listed(api, f"{account.id}/blobServices/default/{settings}", "2021-05-01-preview")
    queue = await listed(api, f"{account.id}/queueServices/default/{settings}", "2021-05-01-preview")

    assert [log["category"] for log in blob["properties"]["logs"]] == ["StorageRead"]
    assert queue == []


@pytest.mark.parametrize("path", ["locks", "denyAssignments"])
async def test_listing_requires_the_right(cloud: Cloud, path: str) -> None:
    entra = Entra(cloud)
    async with client(service.app(cloud, entra), "management.azure.com") as api:
        api.headers["Authorization"] = f"Bearer {entra.mint(cloud.identities['intake'], audience=ARM)}"
        version = "2020-05-01" if path == "locks" else "2022-04-01"
        answer = await api.get(f"{SUBSCRIPTION}/{AUTHORIZATION}/{path}?api-version={version}")

    assert answer.status_code == 403
