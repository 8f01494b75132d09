"""Azure CLI commands that a person can paste, for one storage account. None of them holds a secret."""

import re
import shlex

from shared.domain.target import InvalidTarget, PolicyTarget
from shared.sas import Service

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_ACCOUNT_ID = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[\w.()-]{1,90})"
    r"/providers/Microsoft\.Storage/storageAccounts/(?P<account>[a-z0-9]{3,24})",
    re.IGNORECASE,
)
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_PLAIN_BLOB = re.compile(r"(?!-)[\w.@+= -][\w./@+= -]{0,199}", re.ASCII)
_KEY_NAME = re.compile(r"key[12]")
_PLAIN_POLICY = re.compile(r"[A-Za-z0-9][\w. +=-]{0,63}", re.ASCII)
_POLICY_COMMANDS = {
    Service.BLOB: ("container", "--container-name"),
    Service.QUEUE: ("queue", "--queue-name"),
    Service.TABLE: ("table", "--table-name"),
    Service.FILE: ("share", "--share-name"),
}


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


def expire_policy(account_id: str | None, target: str | None) -> str | None:
    """Return the command that sets a stored access policy's end into the past; None if it can't be written safely."""
    account = _ACCOUNT_ID.fullmatch(account_id or "")
    try:
        policy = PolicyTarget.parse(target or "")
    except InvalidTarget:
        return None
    if account is None or not _PLAIN_POLICY.fullmatch(policy.policy):
        return None
    named = f"--name {shlex.quote(policy.policy)} --expiry 2000-01-01T00:00:00Z"
    return f"{_of_policies('update', account, policy)} {named}"


def list_policies(account_id: str | None, place: PolicyTarget) -> str | None:
    """Return the command that lists the stored access policies where `place` is one; None for an id of no account."""
    account = _ACCOUNT_ID.fullmatch(account_id or "")
    return _of_policies("list", account, place) if account is not None else None


def _of_policies(verb: str, account: re.Match[str], place: PolicyTarget) -> str:
    group, option = _POLICY_COMMANDS[place.service]
    return (
        f"az storage {group} policy {verb} --subscription {account['subscription']} "
        f"--account-name {account['account']} --auth-mode key {option} {shlex.quote(place.resource)}"
    )


def revoke_delegation_keys(account_id: str | None) -> str | None:
    """Return the command that ends every user delegation SAS of the account."""
    match = _ACCOUNT_ID.fullmatch(account_id or "")
    if match is None:
        return None
    return (
        f"az storage account revoke-delegation-keys --subscription {match['subscription']} "
        f"--resource-group {shlex.quote(match['group'])} --name {match['account']}"
    )


def issue_instead(account_id: str | None, container: str, blob: str) -> str | None:
    """Return the command that makes a user delegation SAS which reads one blob for an hour, as who is signed in.

    None if it can't be written safely. REST: "Create a user delegation SAS".
    """
    account = _ACCOUNT_ID.fullmatch(account_id or "")
    if account is None or not _CONTAINER.fullmatch(container) or not _PLAIN_BLOB.fullmatch(blob):
        return None
    return (
        f"az storage blob generate-sas --as-user --auth-mode login --subscription {account['subscription']} "
        f"--account-name {account['account']} --container-name {container} --name {shlex.quote(blob)} "
        "--permissions r --https-only --full-uri --expiry $(date -u -d '+1 hour' +%Y-%m-%dT%H:%MZ)"
    )


def _target(account_id: str | None, key_name: str | None) -> str | None:
    match = _ACCOUNT_ID.fullmatch(account_id or "")
    if match is None or not _KEY_NAME.fullmatch(key_name or ""):
        return None
    group = shlex.quote(match["group"])  # parentheses are allowed in its name
    return f"--subscription {match['subscription']} --resource-group {group} --account-name {match['account']}"
