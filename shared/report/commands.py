"""Azure CLI commands that a person can paste, for one storage account. None of them holds a secret."""

import re
import shlex

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_ACCOUNT_ID = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[\w.()-]{1,90})"
    r"/providers/Microsoft\.Storage/storageAccounts/(?P<account>[a-z0-9]{3,24})",
    re.IGNORECASE,
)
_KEY_NAME = re.compile(r"key[12]")


def show_key(account_id: str | None, key_name: str | None) -> str | None:
    """Return the command that prints a key's present value; None if the arguments name no key."""
    target = _target(account_id, key_name)
    if target is None:
        return None
    query = f"[?keyName=='{key_name}'].value"
    return f'az storage account keys list {target} --query "{query}" --output tsv'


def renew_key(account_id: str | None, key_name: str | None) -> str | None:
    """Return the command that regenerates a key, as Sasquash would; None if the arguments name no key."""
    target = _target(account_id, key_name)
    return target and f"az storage account keys renew {target} --key {key_name} --output none"


def _target(account_id: str | None, key_name: str | None) -> str | None:
    match = _ACCOUNT_ID.fullmatch(account_id or "")
    if match is None or not _KEY_NAME.fullmatch(key_name or ""):
        return None
    group = shlex.quote(match["group"])  # parentheses are allowed in its name
    return f"--subscription {match['subscription']} --resource-group {group} --account-name {match['account']}"
