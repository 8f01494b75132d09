"""Governance of the accounts: management locks, deny assignments, permissions, diagnostic settings.

Also their owners: role assignments, tags of the resource group, the security contact.

Shapes: learn.microsoft.com/rest/api, "Management Locks - List At Subscription Level", "Deny Assignments - List",
"Permissions - List For Resource", "Diagnostic Settings - List", "Role Assignments - List For Scope",
"Resource Groups - Get", "Security Contacts - Get".
"""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm.protocol import ArmError, Call
from local.tenant.model import LOCATION, SUBSCRIPTION_ID, Account, Cloud, DenyAssignment, Identity

LOCK_VERSIONS = ("2016-09-01", "2020-05-01")
AUTHORIZATION_VERSIONS = ("2018-07-01", "2022-04-01")
GROUP_VERSIONS = ("2020-06-01", "2021-04-01", "2022-09-01")
CONTACT_VERSIONS = ("2020-01-01-preview", "2023-12-01-preview")
DIAGNOSTIC_VERSIONS = ("2021-05-01-preview",)
EVERYONE = "00000000-0000-0000-0000-000000000000"
_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"


async def list_locks(call: Call) -> Response:
    """List every lock of the subscription and its resources."""
    return _listed(
        [
            {
                "id": f"{account.id}/providers/Microsoft.Authorization/locks/{level.lower()}",
                "type": "Microsoft.Authorization/locks",
                "name": level.lower(),
                "properties": {"level": level},
            }
            for account in call.cloud.accounts.values()
            for level in account.locks
        ]
    )


async def list_deny_assignments(call: Call) -> Response:
    """List every deny assignment of the subscription."""
    return _listed([_described(each) for each in call.cloud.deny_assignments])


async def list_permissions(call: Call) -> Response:
    """List the permissions of the caller on the resource, as one role."""
    actions = sorted(right for right in call.identity.rights if right.startswith("Microsoft."))
    return _listed([{"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}])


async def list_diagnostic_settings(call: Call) -> Response:
    """List the diagnostic settings of a service of the account."""
    service = call.names["service"].lower()
    categories = call.account.logged.get(service, ())
    if not categories:
        return _listed([])
    logs = [
        {
            "category": category,
            "categoryGroup": None,
            "enabled": True,
            "retentionPolicy": {"enabled": False, "days": 0},
        }
        for category in categories
    ]
    workspace = f"{_SUBSCRIPTION}/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/contoso"
    properties: dict[str, Any] = {"workspaceId": workspace, "logs": logs, "metrics": []}
    parent = f"{call.account.id}/{service}Services/default"
    setting = {
        "id": f"{parent}/providers/Microsoft.Insights/diagnosticSettings/to-workspace",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-workspace",
        "properties": properties,
    }
    return _listed([setting])


async def list_role_assignments(call: Call) -> Response:
    """List assignments at the scope of the account and above. Supports only `$filter=atScope()`."""
    if call.request.query_params.get("$filter") != "atScope()":
        raise ArmError(400, "UnsupportedQuery", "The filter is not supported. Supported filters are 'atScope()'.")
    definitions = f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    return _listed(
        [
            {
                "id": f"{each.scope}/providers/Microsoft.Authorization/roleAssignments/{number}",
                "type": "Microsoft.Authorization/roleAssignments",
                "name": str(number),
                "properties": {
                    "roleDefinitionId": f"{definitions}/{each.role}",
                    "principalId": each.principal,
                    "principalType": each.kind,
                    "scope": each.scope,
                },
            }
            for number, each in enumerate(call.cloud.role_assignments)
            if f"{call.account.id.lower()}/".startswith(f"{each.scope.lower().rstrip('/')}/")
        ]
    )


async def get_resource_group(call: Call) -> Response:
    """Get the resource group with its tags."""
    scope = f"{_SUBSCRIPTION}/resourceGroups/{call.resource_group}"
    return JSONResponse(
        {
            "id": scope,
            "name": call.resource_group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": LOCATION,
            "tags": call.cloud.scope_tags.get(scope.lower(), {}),
            "properties": {"provisioningState": "Succeeded"},
        }
    )


async def get_security_contact(call: Call) -> Response:
    """Get the security contact of Defender for Cloud. Raises ArmError (404) if there is none."""
    if not call.cloud.security_contact:
        raise ArmError(404, "ResourceNotFound", "Security contact 'default' was not found.")
    properties = {"emails": call.cloud.security_contact, "isEnabled": True, "notificationsByRole": {"state": "Off"}}
    contact = f"{_SUBSCRIPTION}/providers/Microsoft.Security/securityContacts/default"
    return JSONResponse(
        {"id": contact, "name": "default", "type": "Microsoft.Security/securityContacts", "properties": properties}
    )


async def get_blob_service(call: Call) -> Response:
    """Get the properties of the blob service of the account."""
    properties = {
        "cors": {"corsRules": []},
        "deleteRetentionPolicy": {"enabled": False},
        "isVersioningEnabled": False,
        **call.account.blob_service,
    }
    return JSONResponse(
        {"id": f"{call.account.id}/blobServices/default", "name": "default", "properties": properties}
    )


async def list_containers(call: Call) -> Response:
    """List the containers of the account with their public access levels."""
    assert call.cloud.tables is not None, "there is no data plane"
    levels = await call.cloud.tables.containers(call.account.name)
    parent = f"{call.account.id}/blobServices/default/containers"
    return _listed(
        [
            {"id": f"{parent}/{name}", "name": name, "properties": {"publicAccess": level, "hasLegalHold": False}}
            for name, level in sorted(levels.items())
        ]
    )


def require_not_denied(cloud: Cloud, identity: Identity, account: Account, right: str) -> None:
    """Raise ArmError (403) if a deny assignment denies `identity` the right on the account."""
    for each in cloud.deny_assignments:
        applies = each.principal in (EVERYONE, identity.object_id) and identity.object_id not in each.excluded
        if applies and account.id.lower().startswith(each.scope.lower()) and any(_is(p, right) for p in each.actions):
            raise ArmError(
                403,
                "DenyAssignmentAuthorizationFailed",
                f"The client '{identity.client_id}' has permission to perform action '{right}' on scope "
                f"'{account.id}'; however, the access is denied because of the deny assignment with name "
                f"'{each.name}' at scope '{each.scope}'.",
            )


def _described(each: DenyAssignment) -> dict[str, Any]:
    kind = "SystemDefined" if each.principal == EVERYONE else "ServicePrincipal"
    return {
        "id": f"{each.scope}/providers/Microsoft.Authorization/denyAssignments/{each.id}",
        "type": "Microsoft.Authorization/denyAssignments",
        "name": each.id,
        "properties": {
            "denyAssignmentName": each.name,
            "permissions": [
                {"actions": list(each.actions), "notActions": [], "dataActions": [], "notDataActions": []}
            ],
            "scope": each.scope,
            "doNotApplyToChildScopes": False,
            "principals": [{"id": each.principal, "type": kind}],
            "excludePrincipals": [{"id": excluded, "type": "ServicePrincipal"} for excluded in each.excluded],
            "isSystemProtected": True,
        },
    }


def _is(pattern: str, right: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), right, re.IGNORECASE) is not None


def _listed(rows: list[dict[str, Any]]) -> Response:
    return JSONResponse({"value": rows})
