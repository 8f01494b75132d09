"""File shares and tables in ARM, with their stored access policies.

Sources: learn.microsoft.com/rest/api/storagerp/file-shares and …/table (create, get, update, delete), with
SignedIdentifier and TableSignedIdentifier. Changes take effect in the data plane at once, and the other
way around.
"""

import re
from datetime import UTC
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm.protocol import (
    ArmError,
    Call,
    invalid_content,
    invalid_value,
    read_json,
    reject_unknown,
    timestamp,
)
from local.storage import access_policies, file_service
from local.storage.errors import Refusal
from local.storage.sas.admission import policy_key
from local.storage.times import moment
from local.tenant.model import AccessPolicy, Share, SignedIdentifier, Tables

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")  # "Understanding the Table service data model"
_SHARE_MEMBERS = frozenset({"signedIdentifiers", "metadata", "shareQuota", "accessTier", "enabledProtocols"})
_TABLE_MEMBERS = frozenset({"signedIdentifiers"})


async def get_share(call: Call) -> Response:
    return _share(call, _found_share(call))


async def create_share(call: Call) -> Response:
    """Create a share. An existing one stays unchanged (200 instead of 201)."""
    properties = await _properties(call, _SHARE_MEMBERS)
    identifiers = _identifiers(properties, "file")
    name = call.names["share"]
    if name in call.account.shares:
        return _share(call, call.account.shares[name])
    try:
        share = file_service.create(call.account, name)
    except Refusal as refusal:
        raise ArmError(400, refusal.code, "The specified resource name is not valid.") from None
    _change_share(call, share, properties, identifiers)
    return _share(call, share, status=201)


async def update_share(call: Call) -> Response:
    """Update the given properties of a share; `signedIdentifiers` replaces all its policies."""
    properties = await _properties(call, _SHARE_MEMBERS)
    share = _found_share(call)
    _change_share(call, share, properties, _identifiers(properties, "file"))
    return _share(call, share)


async def delete_share(call: Call) -> Response:
    existed = call.names["share"] in call.account.shares
    file_service.delete(call.account, call.names["share"])
    return Response(status_code=200 if existed else 204)


async def get_table(call: Call) -> Response:
    return _table(call, await _found_table(call))


async def create_table(call: Call) -> Response:
    """Create a table. An existing one is updated."""
    properties = await _properties(call, _TABLE_MEMBERS)
    identifiers = _identifiers(properties, "table")
    name = call.names["table"]
    if not _TABLE_NAME.fullmatch(name) or name.lower() == "tables":
        raise ArmError(400, "InvalidResourceName", "The specified resource name is not valid.")
    tables = _tables(call)
    found = await tables.table_name(call.account.name, name)
    if found is None:
        await tables.create_table(call.account.name, name)
    _change_policies(call, ("table", name), identifiers)
    return _table(call, found or name)


async def update_table(call: Call) -> Response:
    properties = await _properties(call, _TABLE_MEMBERS)
    name = await _found_table(call)
    _change_policies(call, ("table", name), _identifiers(properties, "table"))
    return _table(call, name)


async def delete_table(call: Call) -> Response:
    name = await _found_table(call)
    await _tables(call).delete_table(call.account.name, name)
    call.account.policies.pop(policy_key("table", name), None)
    return Response(status_code=204)


def _found_share(call: Call) -> Share:
    share = call.account.shares.get(call.names["share"])
    if share is None:
        raise ArmError(404, "ShareNotFound", "The specified share does not exist.")
    return share


async def _found_table(call: Call) -> str:
    name = await _tables(call).table_name(call.account.name, call.names["table"])
    if name is None:
        raise ArmError(404, "TableNotFound", "The table specified does not exist.")
    return name


def _tables(call: Call) -> Tables:
    if call.cloud.tables is None:
        raise ArmError(503, "ServerBusy", "The table service does not respond.")
    return call.cloud.tables


async def _properties(call: Call, known: frozenset[str]) -> dict[str, Any]:
    """Return `properties` of the request, empty without a body. Raises ArmError (400)."""
    if not await call.request.body():
        return {}
    body = await read_json(call.request)
    reject_unknown(body, frozenset({"properties"}), of="Resource")
    properties = body.get("properties", {})
    if not isinstance(properties, dict):
        raise invalid_content("The member 'properties' must be an object.")
    reject_unknown(properties, known, of="Properties")
    return properties


def _identifiers(properties: dict[str, Any], service: str) -> tuple[SignedIdentifier, ...] | None:
    """Return the stored access policies in `properties`; None if it has none. Raises ArmError (400)."""
    given = properties.get("signedIdentifiers")
    if given is None:
        return None
    if not isinstance(given, list):
        raise invalid_content("The member 'signedIdentifiers' must be a list.")
    try:
        return access_policies.valid((_identifier(item, service) for item in given), service)
    except Refusal:
        raise invalid_value("signedIdentifiers") from None


def _identifier(item: object, service: str) -> SignedIdentifier:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise invalid_content("Each of 'signedIdentifiers' must be an object with an 'id'.")
    reject_unknown(item, frozenset({"id", "accessPolicy"}), of="SignedIdentifier")
    policy = item.get("accessPolicy")
    if policy is None:
        return SignedIdentifier(item["id"], None)
    if not isinstance(policy, dict) or not all(isinstance(text, str) for text in policy.values()):
        raise invalid_content("The member 'accessPolicy' must be an object of strings.")
    reject_unknown(policy, frozenset({"startTime", "expiryTime", "permission"}), of="AccessPolicy")
    if service == "table" and "permission" not in policy:
        raise invalid_content("The member 'permission' of a table's 'accessPolicy' is required.")
    start, expiry = (_seven_digits(policy.get(name)) for name in ("startTime", "expiryTime"))
    return SignedIdentifier(item["id"], AccessPolicy(start, expiry, policy.get("permission")))


def _change_policies(call: Call, key: tuple[str, str], identifiers: tuple[SignedIdentifier, ...] | None) -> None:
    if identifiers is not None:
        call.account.policies[policy_key(*key)] = identifiers


def _change_share(
    call: Call, share: Share, properties: dict[str, Any], identifiers: tuple[SignedIdentifier, ...] | None
) -> None:
    metadata = properties.get("metadata")
    if metadata is not None:
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise invalid_value("metadata")
        share.metadata = {f"x-ms-meta-{name}": text for name, text in metadata.items()}
    _change_policies(call, ("file", share.name), identifiers)
    file_service.change(share)


def _share(call: Call, share: Share, *, status: int = 200) -> Response:
    identifiers = call.account.policies.get(policy_key("file", share.name), ())
    return JSONResponse(
        {
            "id": f"{call.account.id}/fileServices/default/shares/{share.name}",
            "name": share.name,
            "type": "Microsoft.Storage/storageAccounts/fileServices/shares",
            "etag": share.etag,
            "properties": {
                "leaseStatus": "Unlocked",
                "leaseState": "Available",
                "accessTier": "TransactionOptimized",
                "enabledProtocols": "SMB",
                "shareQuota": file_service.QUOTA,
                "lastModifiedTime": timestamp(share.last_modified),
                "metadata": {name.removeprefix("x-ms-meta-"): text for name, text in share.metadata.items()},
                "signedIdentifiers": [_json(identifier) for identifier in identifiers],
            },
        },
        status,
    )


def _table(call: Call, name: str) -> Response:
    identifiers = call.account.policies.get(policy_key("table", name), ())
    return JSONResponse(
        {
            "id": f"{call.account.id}/tableServices/default/tables/{name}",
            "name": name,
            "type": "Microsoft.Storage/storageAccounts/tableServices/tables",
            "properties": {
                "tableName": name,
                "signedIdentifiers": [_json(identifier) for identifier in identifiers],
            },
        }
    )


def _json(identifier: SignedIdentifier) -> dict[str, Any]:
    policy = identifier.policy
    if policy is None:
        return {"id": identifier.id}
    members = {
        "startTime": _seven_digits(policy.start),
        "expiryTime": _seven_digits(policy.expiry),
        "permission": policy.permission,
    }
    return {"id": identifier.id, "accessPolicy": {name: text for name, text in members.items() if text}}


def _seven_digits(text: str | None) -> str | None:
    """Return a time as ARM shows it; other text unchanged, to be validated later."""
    when = moment(text)
    return timestamp(when.astimezone(UTC)) if when is not None else text
