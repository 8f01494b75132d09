"""The SAS expiration policy in ARM, with azure-mgmt-storage. Contract: SasPolicy of the published specification."""

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import SasPolicy, StorageAccountUpdateParameters

from local.entra.service import Entra
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud, now
from tests.support.asgi import Credential, Transport

BLOCK = {"sasExpirationPeriod": "1.12:05:06", "expirationAction": "Block"}
BINDING = {"requireUserBoundUserDelegationSas": True, "requireUserBoundUserDelegationSasAction": "Block"}


async def update(storage: StorageManagementClient, policy: Any) -> None:
    await storage.storage_accounts.update("models", "robustmodels", {"properties": {"sasPolicy": policy}})


async def test_account_has_no_policy_at_first(storage: StorageManagementClient) -> None:
    assert (await storage.storage_accounts.get_properties("models", "robustmodels")).sas_policy is None


async def test_policy_is_set_and_shown(storage: StorageManagementClient) -> None:
    policy = SasPolicy(sas_expiration_period="1.12:05:06", expiration_action="Block")
    parameters = StorageAccountUpdateParameters(sas_policy=policy)
    await storage.storage_accounts.update("models", "robustmodels", parameters)
    found = await storage.storage_accounts.get_properties("models", "robustmodels")
    assert (found.sas_policy.sas_expiration_period, found.sas_policy.expiration_action) == ("1.12:05:06", "Block")


async def test_policy_is_replaced_as_a_whole(storage: StorageManagementClient, account: Account) -> None:
    await update(storage, BLOCK | BINDING)
    await update(storage, BLOCK)
    assert account.properties["sasPolicy"] == BLOCK


@pytest.mark.parametrize("seconds", [0.0, 600.0])
async def test_data_plane_enforces_it_after_the_delay(
    storage: StorageManagementClient, tenant: Cloud, account: Account, seconds: float
) -> None:
    tenant.sas_policy_seconds = seconds
    await update(storage, BLOCK)
    at_once = account.sas_policy(now())
    assert (at_once is None) is (seconds > 0)
    assert account.sas_policy(now() + timedelta(seconds=seconds)) == BLOCK


@pytest.mark.parametrize(
    "policy",
    [
        None,
        "Block",
        {},
        {"sasExpirationPeriod": "1.00:00:00"},
        {"expirationAction": "Log"},
        BLOCK | {"sasExpirationPeriod": "24:00:00"},
        BLOCK | {"sasExpirationPeriod": "P1D"},
        BLOCK | {"sasExpirationPeriod": 1},
        BLOCK | {"expirationAction": "Deny"},
        BLOCK | {"expirationAction": None},
        BLOCK | {"requireUserBoundUserDelegationSas": "true"},
        BLOCK | {"requireUserBoundUserDelegationSasAction": "Audit"},
        BLOCK | {"period": "1.00:00:00"},
    ],
)
async def test_other_policies_are_refused(storage: StorageManagementClient, account: Account, policy: Any) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await update(storage, policy)
    assert caught.value.status_code == 400
    assert "sasPolicy" not in account.properties


async def test_binding_is_unknown_to_older_versions(entra: Entra, tenant: Cloud, transport: Transport) -> None:
    # Microsoft.Storage 2025-06-01, SasPolicy: two members.
    credential = Credential(entra, tenant.identities["responder"])
    async with StorageManagementClient(
        credential, SUBSCRIPTION_ID, transport=transport, retry_total=0, api_version="2025-06-01"
    ) as older:
        await update(older, BLOCK)
        with pytest.raises(HttpResponseError) as caught:
            await update(older, BLOCK | BINDING)
    assert caught.value.status_code == 400


@pytest.mark.parametrize("key", ["key1", "key2"])
async def test_account_with_a_key_without_a_creation_time_takes_no_policy(
    storage: StorageManagementClient, account: Account, key: str
) -> None:
    # azure-docs, sas-expiration-policy.md, "Do I need to rotate the account access keys first?"
    del account.key_created[key]
    with pytest.raises(HttpResponseError) as caught:
        await update(storage, BLOCK)
    assert caught.value.status_code == 400
    assert "sasPolicy" not in account.properties
    shown = (await storage.storage_accounts.get_properties("models", "robustmodels")).key_creation_time
    assert getattr(shown, key) is None
