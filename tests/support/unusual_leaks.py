"""Leaks that cannot be attributed to a key, and leaks with another action than a key regeneration. Text as found."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from azure.storage.blob import (
    BlobSasPermissions,
    ContainerSasPermissions,
    UserDelegationKey,
    generate_blob_sas,
    generate_container_sas,
)

from local.tenant.model import new_storage_key
from tests.support.leaks import account_sas, later


def expired(account: str, key: str) -> str:
    return account_sas(account, key, expiry=datetime.now(UTC) - timedelta(hours=1))


def altered(account: str, key: str) -> str:
    """A token with a changed expiry, which its signature does not cover."""
    return re.sub(r"\bse=20", "se=21", account_sas(account, key))


def forged(account: str, _key: str) -> str:
    return account_sas(account, new_storage_key())


def of_unknown_version(account: str, key: str) -> str:
    return re.sub(r"\bsv=[0-9-]+", "sv=2099-01-01", account_sas(account, key))


def without_path(account: str, key: str) -> str:
    query = generate_blob_sas(
        account, "models", "m.ckpt", account_key=key, permission=BlobSasPermissions(write=True), expiry=later()
    )
    return f"https://{account}.blob.core.windows.net/?{query}"


def without_host(account: str, key: str) -> str:
    return account_sas(account, key).partition("?")[2]


def under_a_policy(account: str, key: str) -> str:
    query = generate_container_sas(account, "models", account_key=key, policy_id="partners")
    return f"https://{account}.blob.core.windows.net/models?{query}"


def user_delegation_sas(account: str, _key: str) -> str:
    delegation = UserDelegationKey()  # type: ignore[no-untyped-call]
    delegation.signed_oid = delegation.signed_tid = "1f21f8fc-2f07-4d06-b01b-c510fc4ef197"
    delegation.signed_start = quote("2026-11-21T00:00:00Z", safe=":")
    delegation.signed_expiry = "2099-11-22T00:00:00Z"
    delegation.signed_service, delegation.signed_version = "b", "2021-12-02"
    delegation.value = new_storage_key()
    query = generate_container_sas(
        account,
        "models",
        user_delegation_key=delegation,
        permission=ContainerSasPermissions(read=True, write=True),
        expiry=later(),
    )
    return f"https://{account}.blob.core.windows.net/models?{query}"
