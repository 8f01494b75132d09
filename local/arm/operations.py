"""The operations of ARM: path, api-versions, right and handler of each. Handlers of subscriptions are here, too."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from local.arm import activity, governance, policies, resource_graph, sentinel, storage_accounts
from local.arm.protocol import ArmError, Call
from local.tenant.model import MANAGEMENT_GROUP, SUBSCRIPTION_ID, TENANT_ID

_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_GROUP = _SUBSCRIPTION + r"/resourceGroups/(?P<group>[^/]+)"
_ACCOUNTS = r"/providers/Microsoft\.Storage/storageAccounts"
_ACCOUNT = _GROUP + _ACCOUNTS + r"/(?P<account>[^/]+)"
_SUBSCRIPTION_VERSIONS = ("2016-06-01", "2019-06-01", "2019-11-01", "2020-01-01", "2021-01-01", "2022-12-01")

type _Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """One operation: its path, the right that it needs, its handler.

    `right` None: the handler decides what the caller may see.
    """

    method: str
    path: re.Pattern[str]
    resource_type: str
    versions: tuple[str, ...]
    right: str | None
    handler: _Handler
    parameters: frozenset[str] = frozenset()


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(path + "/?", re.IGNORECASE)


async def _list_subscriptions(call: Call) -> Response:
    may = call.identity.may("Microsoft.Resources/subscriptions/read")
    others = [
        _SUBSCRIPTION_BODY | {"id": f"/subscriptions/{one}", "subscriptionId": one, "displayName": name}
        for one, name in call.cloud.other_subscriptions.items()
    ]
    return JSONResponse({"value": [_SUBSCRIPTION_BODY, *others] if may else []})


async def _list_descendants(call: Call) -> Response:
    """List what is below the tenant's only management group (Management Groups - Get Descendants)."""
    group = call.names["management_group"]
    if group.lower() != MANAGEMENT_GROUP:
        raise ArmError(404, "NotFound", f"'/providers/Microsoft.Management/managementGroups/{group}' not found")
    parent = {"id": f"/providers/Microsoft.Management/managementGroups/{MANAGEMENT_GROUP}"}
    below = {"id": f"{parent['id']}-below", "type": "Microsoft.Management/managementGroups"}
    subscription = {"id": f"/subscriptions/{SUBSCRIPTION_ID}", "type": "/subscriptions"}
    names = ((below, f"{MANAGEMENT_GROUP}-below"), (subscription, SUBSCRIPTION_ID))
    value = [{**one, "name": name, "properties": {"displayName": "Contoso", "parent": parent}} for one, name in names]
    return JSONResponse({"value": value})


async def _get_subscription(call: Call) -> Response:
    tags = call.cloud.scope_tags.get(f"/subscriptions/{SUBSCRIPTION_ID}".lower())
    return JSONResponse(_SUBSCRIPTION_BODY | ({"tags": tags} if tags else {}))


_SUBSCRIPTION_BODY = {
    "id": f"/subscriptions/{SUBSCRIPTION_ID}",
    "authorizationSource": "RoleBased",
    "managedByTenants": [],
    "subscriptionId": SUBSCRIPTION_ID,
    "tenantId": TENANT_ID,
    "displayName": "Contoso",
    "state": "Enabled",
    "subscriptionPolicies": {
        "locationPlacementId": "Public_2014-09-01",
        "quotaId": "EnterpriseAgreement_2014-09-01",
        "spendingLimit": "Off",
    },
}


def _on_subscriptions(path: str, *, right: str | None, handler: _Handler) -> Operation:
    kind = "Microsoft.Resources/subscriptions"
    return Operation("GET", _pattern(path), kind, _SUBSCRIPTION_VERSIONS, right, handler)


def _on_accounts(method: str, path: str, action: str, handler: _Handler, *parameters: str) -> Operation:
    kind = "Microsoft.Storage/storageAccounts"
    right = f"{kind}/{action}"
    return Operation(method, _pattern(path), kind, storage_accounts.VERSIONS, right, handler, frozenset(parameters))


def _on_parts(method: str, path: str, kind: str, handler: _Handler, *parameters: str) -> Operation:
    """Return an operation on a share or a table, which has its own right."""
    action = {"GET": "read", "DELETE": "delete"}.get(method, "write")
    right = f"{kind}/{action}"
    return Operation(method, _pattern(path), kind, storage_accounts.VERSIONS, right, handler, frozenset(parameters))


def _on_governance(path: str, kind: str, versions: tuple[str, ...], handler: _Handler, *parameters: str) -> Operation:
    return Operation("GET", _pattern(path), kind, versions, f"{kind}/read", handler, frozenset(parameters))


def _on_sentinel(method: str, action: str, handler: _Handler) -> Operation:
    kind = "Microsoft.SecurityInsights/incidents"
    return Operation(method, _pattern(_INCIDENT), kind, sentinel.VERSIONS, f"{kind}/{action}", handler)


_INCIDENT = (
    _SUBSCRIPTION + r"/resourceGroups/[^/]+/providers/Microsoft\.OperationalInsights/workspaces/[^/]+"
    r"/providers/Microsoft\.SecurityInsights/incidents/(?P<incident>[^/]+)"
)
_AUTHORIZATION = r"/providers/Microsoft\.Authorization"
_DIAGNOSTICS = r"/providers/Microsoft\.Insights/diagnosticSettings"
_SHARES = "Microsoft.Storage/storageAccounts/fileServices/shares"
_SHARE = _ACCOUNT + r"/fileServices/default/shares/(?P<share>[^/]+)"
_TABLES = "Microsoft.Storage/storageAccounts/tableServices/tables"
_TABLE = _ACCOUNT + r"/tableServices/default/tables/(?P<table>[^/]+)"
_REVOKE = "revokeUserDelegationKeys"

OPERATIONS = (
    Operation(
        "GET",
        _pattern("/providers/Microsoft.Management/managementGroups/(?P<management_group>[^/]+)/descendants"),
        "Microsoft.Management/managementGroups",
        ("2020-05-01",),
        "Microsoft.Management/managementGroups/descendants/read",
        _list_descendants,
        frozenset({"$skiptoken", "$top"}),
    ),
    _on_subscriptions("/subscriptions", right=None, handler=_list_subscriptions),
    _on_subscriptions(_SUBSCRIPTION, right="Microsoft.Resources/subscriptions/read", handler=_get_subscription),
    _on_accounts("GET", _SUBSCRIPTION + _ACCOUNTS, "read", storage_accounts.list_accounts, "$skiptoken"),
    _on_accounts("GET", _GROUP + _ACCOUNTS, "read", storage_accounts.list_accounts, "$skiptoken"),
    _on_accounts("GET", _ACCOUNT, "read", storage_accounts.get_account, "$expand"),
    _on_accounts("PATCH", _ACCOUNT, "write", storage_accounts.update_account),
    _on_accounts("POST", _ACCOUNT + "/listKeys", "listKeys/action", storage_accounts.list_keys, "$expand"),
    _on_accounts("POST", _ACCOUNT + "/regenerateKey", "regenerateKey/action", storage_accounts.regenerate_key),
    _on_accounts("POST", f"{_ACCOUNT}/{_REVOKE}", f"{_REVOKE}/action", storage_accounts.revoke_user_delegation_keys),
    _on_parts("GET", _SHARE, _SHARES, policies.get_share, "$expand"),
    _on_parts("PUT", _SHARE, _SHARES, policies.create_share, "$expand"),
    _on_parts("PATCH", _SHARE, _SHARES, policies.update_share),
    _on_parts("DELETE", _SHARE, _SHARES, policies.delete_share, "$include"),
    _on_parts("GET", _TABLE, _TABLES, policies.get_table),
    _on_parts("PUT", _TABLE, _TABLES, policies.create_table),
    _on_parts("PATCH", _TABLE, _TABLES, policies.update_table),
    _on_parts("DELETE", _TABLE, _TABLES, policies.delete_table),
    _on_governance(
        _SUBSCRIPTION + r"/providers/Microsoft\.Insights/eventtypes/management/values",
        "Microsoft.Insights/eventtypes/values",
        activity.VERSIONS,
        activity.list_activity,
        "$filter",
    ),
    _on_governance(
        _ACCOUNT + "/blobServices/default",
        "Microsoft.Storage/storageAccounts/blobServices",
        storage_accounts.VERSIONS,
        governance.get_blob_service,
    ),
    _on_governance(
        _ACCOUNT + "/blobServices/default/containers",
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        storage_accounts.VERSIONS,
        governance.list_containers,
    ),
    _on_sentinel("GET", "read", sentinel.get_incident),
    _on_sentinel("PUT", "write", sentinel.put_incident),
    _on_governance(
        _SUBSCRIPTION + _AUTHORIZATION + "/locks",
        "Microsoft.Authorization/locks",
        governance.LOCK_VERSIONS,
        governance.list_locks,
    ),
    _on_governance(
        _SUBSCRIPTION + _AUTHORIZATION + "/denyAssignments",
        "Microsoft.Authorization/denyAssignments",
        governance.AUTHORIZATION_VERSIONS,
        governance.list_deny_assignments,
    ),
    _on_governance(
        _ACCOUNT + _AUTHORIZATION + "/permissions",
        "Microsoft.Authorization/permissions",
        governance.AUTHORIZATION_VERSIONS,
        governance.list_permissions,
    ),
    Operation(
        method="GET",
        path=_pattern(_SUBSCRIPTION + _AUTHORIZATION + "/permissions"),
        resource_type="Microsoft.Authorization/permissions",
        versions=governance.AUTHORIZATION_VERSIONS,
        right=None,  # one's own
        handler=governance.list_permissions,
    ),
    _on_governance(
        _ACCOUNT + _AUTHORIZATION + "/roleAssignments",
        "Microsoft.Authorization/roleAssignments",
        governance.AUTHORIZATION_VERSIONS,
        governance.list_role_assignments,
        "$filter",
    ),
    _on_governance(
        _GROUP,
        "Microsoft.Resources/subscriptions/resourceGroups",
        governance.GROUP_VERSIONS,
        governance.get_resource_group,
    ),
    _on_governance(
        _SUBSCRIPTION + r"/providers/Microsoft\.Security/securityContacts/default",
        "Microsoft.Security/securityContacts",
        governance.CONTACT_VERSIONS,
        governance.get_security_contact,
    ),
    _on_governance(
        _ACCOUNT + r"/(?P<service>blob|queue|table|file)Services/default" + _DIAGNOSTICS,
        "Microsoft.Insights/diagnosticSettings",
        governance.DIAGNOSTIC_VERSIONS,
        governance.list_diagnostic_settings,
    ),
    Operation(
        method="POST",
        path=_pattern(r"/providers/Microsoft\.ResourceGraph/resources"),
        resource_type="Microsoft.ResourceGraph/resources",
        versions=resource_graph.VERSIONS,
        right=None,
        handler=resource_graph.query,
    ),
)
