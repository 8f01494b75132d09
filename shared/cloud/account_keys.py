"""Lists the keys of a storage account (ARM: Storage Accounts - List Keys, 2026-09-01)."""

from collections.abc import Iterable

from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccountKey

from shared.cloud.accounts import MAY_BE_REPEATED, AccountRef
from shared.cloud.errors import from_account, translate_errors
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.target import KEY_NAMES
from shared.errors import TransientFailure


async def listed_keys(client: StorageManagementClient, account: AccountRef | AccountFacts) -> dict[str, AccountKey]:
    """Return key1 and key2 as ARM has them now, both. Raises AccountGone, TransientFailure or Blocked."""
    doing = f"Listing the keys of {account.name}"
    with translate_errors(doing, meaning=from_account):
        # Typed as "kerb" only, though None is what leaves the Kerberos keys out; the default asks for them.
        result = await client.storage_accounts.list_keys(
            account.resource_group,
            account.name,
            expand=None,  # type: ignore[arg-type]
            retry_on_methods=MAY_BE_REPEATED,
        )
    keys = sas_keys(result.keys_property or [])
    if len(keys) != len(KEY_NAMES):
        raise TransientFailure(f"{doing} brought {len(keys)} of {len(KEY_NAMES)} keys.")
    return keys


def sas_keys(keys: Iterable[StorageAccountKey]) -> dict[str, AccountKey]:
    """Return those of the keys that sign SAS, by name."""
    return {
        str(key.key_name): AccountKey(str(key.value), key.creation_time)
        for key in keys
        if key.key_name in KEY_NAMES and key.value
    }
