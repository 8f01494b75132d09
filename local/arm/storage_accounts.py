"""The storage resource provider: storage accounts and their keys.

Shapes: learn.microsoft.com/rest/api/storagerp/storage-accounts (get properties, list, list keys, regenerate
key, revoke user delegation keys, update), api-version 2026-09-01; the older versions that are accepted have the same
members.
"""

import base64
import binascii
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from local.arm import account_settings, network_rules, sas_policy
from local.arm.protocol import (
    ArmError,
    Call,
    invalid_content,
    invalid_value,
    read_json,
    reject_unknown,
    timestamp,
)
from local.entra.tokens import ARM
from local.tenant import tags
from local.tenant.model import LOCATION, Account, now

VERSIONS = (
    "2019-06-01",
    "2021-01-01",
    "2021-02-01",
    "2021-04-01",
    "2021-06-01",
    "2021-08-01",
    "2021-09-01",
    "2022-05-01",
    "2022-09-01",
    "2023-01-01",
    "2023-04-01",
    "2023-05-01",
    "2024-01-01",
    "2025-01-01",
    "2025-06-01",
    "2025-08-01",
    "2026-04-01",
    "2026-09-01",
)
PAGE_SIZE = 100

_SECONDARY_LOCATION = "northeurope"  # the region paired with LOCATION
_WEB_ZONE = "z6"  # LOCATION's zone in the host names of static web sites
_KEY_NAMES = ("key1", "key2", "kerb1", "kerb2")
_UPDATABLE = frozenset(
    {"allowSharedKeyAccess", "allowBlobPublicAccess", "publicNetworkAccess", "networkAcls", "sasPolicy"}
)


def endpoints(account: Account, *, secondary: bool) -> dict[str, str]:
    """Return the endpoints of the account as in ARM. The secondary ones of RA-GRS have no file service."""
    name = f"{account.name}-secondary" if secondary else account.name
    services = ("dfs", "blob", "queue", "table") if secondary else ("dfs", "blob", "queue", "table", "file")
    return {service: f"https://{name}.{service}.core.windows.net/" for service in services} | {
        "web": f"https://{name}.{_WEB_ZONE}.web.core.windows.net/"
    }


async def list_accounts(call: Call) -> Response:
    """List the storage accounts of the subscription or of a resource group, PAGE_SIZE per page."""
    after = _read_skip_token(call.request.query_params.get("$skiptoken"))
    accounts = sorted(
        (
            account
            for account in call.cloud.accounts.values()
            if call.resource_group in (None, account.resource_group) and account.name > after
        ),
        key=lambda account: account.name,
    )
    page = accounts[:PAGE_SIZE]
    body: dict[str, Any] = {"value": [describe(account) for account in page]}
    if len(accounts) > PAGE_SIZE:
        token = base64.urlsafe_b64encode(page[-1].name.encode()).decode()
        version = quote(call.request.query_params["api-version"])
        body["nextLink"] = f"{ARM}{call.request.url.path}?api-version={version}&$skiptoken={quote(token)}"
    return JSONResponse(body)


def _read_skip_token(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ArmError(400, "InvalidSkipToken", "The skip token is invalid.") from None


async def get_account(call: Call) -> Response:
    """Get the properties of an account; `$expand=geoReplicationStats` adds those."""
    body = describe(call.account)
    expand = call.request.query_params.get("$expand")
    if expand is not None and expand.lower() not in ("georeplicationstats", "blobrestorestatus"):
        raise invalid_value("$expand")
    if expand is not None and expand.lower() == "georeplicationstats":
        body["properties"]["geoReplicationStats"] = {
            "status": "Live",
            "lastSyncTime": timestamp(now()),
            "canFailover": True,
        }
    return JSONResponse(body)


async def list_keys(call: Call) -> Response:
    """List the keys of the account; with `$expand=kerb` also its Kerberos keys, if it has any."""
    expand = call.request.query_params.get("$expand")
    if expand not in (None, "kerb"):
        raise invalid_value("$expand")
    keys, created = call.account.listed or (call.account.keys, call.account.key_created)
    return _keys(call.account, keys, created, kerberos=expand == "kerb")


async def regenerate_key(call: Call) -> Response:
    """Regenerate a key. The response lists the new keys; the data plane uses them by then."""
    body = await read_json(call.request)
    reject_unknown(body, frozenset({"keyName"}), of="StorageAccountRegenerateKeyParameters")
    name = body.get("keyName")
    if name not in _KEY_NAMES:
        raise invalid_value("keyName")
    await call.cloud.regenerate(call.account, name)
    account = call.account
    return _keys(account, account.keys, account.key_created, kerberos=name.startswith("kerb"))


def _keys(account: Account, keys: dict[str, str], created: dict[str, datetime], *, kerberos: bool) -> Response:
    shown = keys | (account.kerberos_keys if kerberos else {})
    return JSONResponse(
        {
            "keys": [
                {
                    "creationTime": timestamp(created.get(name, account.created_at)),
                    "keyName": name,
                    "value": value,
                    "permissions": "FULL",
                }
                for name, value in sorted(shown.items(), key=lambda item: _KEY_NAMES.index(item[0]))
            ]
        },
        headers={"cache-control": "no-store"},
    )


async def revoke_user_delegation_keys(call: Call) -> Response:
    """Revoke every user delegation key issued until now. The response has no body."""
    call.account.delegation_keys_revoked_at = now()
    return Response(status_code=200)


async def update_account(call: Call) -> Response:
    """Update what the request names: all of it or nothing. What it leaves out stays."""
    body = await read_json(call.request)
    known = account_settings.MEMBERS | {"tags", "properties"}
    reject_unknown(body, known, of="StorageAccountUpdateParameters")
    members = {
        name: account_settings.valid_member(name, body[name]) for name in account_settings.MEMBERS & body.keys()
    }
    properties = body.get("properties", {})
    if not isinstance(properties, dict):
        raise invalid_content("The member 'properties' must be an object.")
    updatable = _UPDATABLE | account_settings.PROPERTIES
    reject_unknown(properties, updatable, of="StorageAccountPropertiesUpdateParameters")
    version = call.request.query_params["api-version"]
    changed = {name: _valid_property(name, value, version=version) for name, value in properties.items()}
    try:
        call.account.tags = tags.valid(body.get("tags", call.account.tags))
    except tags.InvalidTags as error:
        raise ArmError(400, error.code, str(error)) from None
    policy = changed.pop("sasPolicy", None)
    if policy is not None:
        sas_policy.require_key_times(call.account)
        enforced_from = now() + timedelta(seconds=call.cloud.sas_policy_seconds)
        call.account.set_sas_policy(policy, enforced_from=enforced_from)
    call.account.properties.update(changed)
    call.account.members.update(members)
    return JSONResponse(describe(call.account))


def _valid_property(name: str, value: object, *, version: str) -> Any:
    if name in account_settings.PROPERTIES:
        return account_settings.valid_property(name, value)
    if name == "sasPolicy":
        return sas_policy.valid(value, version=version)
    if name in ("allowSharedKeyAccess", "allowBlobPublicAccess"):
        valid = isinstance(value, bool)
    elif name == "publicNetworkAccess":
        valid = value in ("Enabled", "Disabled", "SecuredByPerimeter")
    else:
        return network_rules.valid(value)
    if not valid:
        raise invalid_value(name)
    return value


def describe(account: Account) -> dict[str, Any]:
    """Return the account as a StorageAccount resource."""
    times = {name: account.key_created.get(name) for name in ("key1", "key2")}
    key_created = {name: None if made is None else timestamp(made) for name, made in times.items()}
    created = timestamp(account.created_at)
    network = network_rules.EMPTY | account.properties.get("networkAcls", {})
    is_readable = account.members["sku"]["name"].startswith("Standard_RA")
    return {
        "kind": "StorageV2",
        "id": account.id,
        "name": account.name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": LOCATION,
        "tags": account.tags,
        "properties": {
            "keyCreationTime": key_created,
            "privateEndpointConnections": [],
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
            "accessTier": "Hot",
            "encryption": {"keySource": "Microsoft.Storage"},
            "provisioningState": "Succeeded",
            "creationTime": created,
            "primaryEndpoints": endpoints(account, secondary=False),
            "primaryLocation": LOCATION,
            "statusOfPrimary": "available",
            **({"secondaryEndpoints": endpoints(account, secondary=True)} if is_readable else {}),
            "secondaryLocation": _SECONDARY_LOCATION,
            "statusOfSecondary": "available",
        }
        | account.properties
        | {"networkAcls": network},
        **account.members,
    }
