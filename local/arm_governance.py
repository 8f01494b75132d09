"""What governs the accounts: management locks, deny assignments, the caller's permissions, diagnostic settings.

Shapes: learn.microsoft.com/rest/api, "Management Locks - List At Subscription Level", "Deny Assignments - List",
"Permissions - List For Resource", "Diagnostic Settings - List".
"""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm_protocol import ArmError, Call
from local.model import SUBSCRIPTION_ID, Account, Cloud, DenyAssignment, Identity

LOCK_VERSIONS = ("2016-09-01", "2020-05-01")
AUTHORIZATION_VERSIONS = ("2018-07-01", "2022-04-01")
DIAGNOSTIC_VERSIONS = ("2021-05-01-preview",)
EVERYONE = "00000000-0000-0000-0000-000000000000"
_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"


async def list_locks(call: Call) -> Response:
    """Every lock of the subscription, whatever it was put on."""
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
    """Every deny assignment of the subscription."""
    return _listed([_described(each) for each in call.cloud.deny_assignments])


async def list_permissions(call: Call) -> Response:
    """What the caller may do on the resource, all in one role."""
    actions = sorted(right for right in call.identity.rights if right.startswith("Microsoft."))
    return _listed([{"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}])


async def list_diagnostic_settings(call: Call) -> Response:
    """What a service of the account logs, and where to."""
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


def require_not_denied(cloud: Cloud, identity: Identity, account: Account, right: str) -> None:
    """Raise ArmError (403) if a deny assignment keeps `identity` from `right` on the account."""
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
