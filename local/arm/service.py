"""Azure Resource Manager: the stand-in for management.azure.com.

It has the operations that the product and a person trying it out use: subscriptions, storage accounts
(`arm_storage`), their shares and tables (`arm_policies`), and the product's own Resource Graph query
(`resource_graph`). Everything else is refused as ARM refuses what it does not know. Ids and types are matched without
regard to case, as ARM does.
"""

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.arm import governance, policies, resource_graph, sentinel, storage_accounts
from local.arm.protocol import ArmError, Call, require_api_version
from local.entra.tokens import ARM, ARM_CLASSIC, Entra, Forbidden, Reason, Unauthorized
from local.tenant.model import SUBSCRIPTION_ID, TENANT_ID, Account, Cloud

AUDIENCES = (ARM, ARM_CLASSIC)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_GROUP = _SUBSCRIPTION + r"/resourceGroups/(?P<group>[^/]+)"
_ACCOUNTS = r"/providers/Microsoft\.Storage/storageAccounts"
_ACCOUNT = _GROUP + _ACCOUNTS + r"/(?P<account>[^/]+)"
_SUBSCRIPTION_VERSIONS = ("2016-06-01", "2019-06-01", "2019-11-01", "2020-01-01", "2021-01-01", "2022-12-01")

_UNAUTHORIZED = {
    Reason.MISSING: ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
    Reason.MALFORMED: ("InvalidAuthenticationToken", "The access token is invalid."),
    Reason.EXPIRED: ("ExpiredAuthenticationToken", "The access token expiry is in the past."),
    Reason.AUDIENCE: (
        "InvalidAuthenticationTokenAudience",
        "The access token has been obtained for wrong audience or resource. It should exactly match with one "
        f"of the allowed audiences '{ARM_CLASSIC}/','{ARM_CLASSIC}','{ARM}/','{ARM}'.",
    ),
    Reason.UNKNOWN_IDENTITY: (
        "InvalidAuthenticationToken",
        "The access token is invalid: its principal is unknown.",
    ),
}


type _Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class _Operation:
    """One operation: where it is, what it asks for, what answers.

    `right` None: the handler itself decides what the caller may see.
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


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """management.azure.com over `cloud`."""

    async def endpoint(request: Request) -> Response:
        try:
            response = await _answer(cloud, entra, request)
        except Unauthorized as error:
            code, message = _UNAUTHORIZED[error.reason]
            response = _error(401, {"code": code, "message": message})
            response.headers["www-authenticate"] = error.challenge
        except Forbidden as error:
            response = _error(403, _authorization_failed(error, request))
        except ArmError as error:
            response = _error(error.status, error.body)
        response.headers.update(_correlation(request))
        return response

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=_METHODS)])


async def _answer(cloud: Cloud, entra: Entra, request: Request) -> Response:
    identity = entra.authenticate(request, audiences=AUDIENCES)
    operation, names = _find(request)
    require_api_version(request, operation.resource_type, operation.versions)
    unknown = set(request.query_params) - operation.parameters - {"api-version"}
    if unknown:
        raise ArmError(400, "InvalidParameter", f"Unknown query parameter '{min(unknown)}'.")
    if "subscription" in names:
        _require_subscription(names["subscription"])
    if operation.right is not None and not identity.may(operation.right):
        raise Forbidden(identity, operation.right)
    group = _require_group(cloud, names["group"]) if "group" in names else None
    account = _require_account(cloud, names["account"], group or "") if "account" in names else None
    if account is not None and operation.method != "GET" and "ReadOnly" in account.locks:
        raise ArmError(
            409,
            "ScopeLocked",
            f"The scope '{account.id}' cannot perform write operation because following scope(s) are locked: "
            f"'{account.id}'. Please remove the lock and try again.",
        )
    if account is not None and operation.right is not None:
        governance.require_not_denied(cloud, identity, account, operation.right)
    call = Call(cloud=cloud, identity=identity, request=request, resource_group=group, found=account, names=names)
    return await operation.handler(call)


def _find(request: Request) -> tuple[_Operation, dict[str, str]]:
    """The operation of the request, and the names in its path."""
    path: str = request.scope["path"]
    allowed: list[str] = []
    for operation in _OPERATIONS:
        match = operation.path.fullmatch(path)
        if match is None:
            continue
        if operation.method == request.method:
            return operation, match.groupdict()
        allowed.append(operation.method)
    if allowed:
        raise ArmError(
            405, "MethodNotAllowed", f"The HTTP method '{request.method}' is not supported on the resource."
        )
    raise ArmError(404, "InvalidResourceType", f"The resource type could not be found for '{path}'.")


def _require_subscription(name: str) -> None:
    if not _is_guid(name):
        raise ArmError(
            400,
            "InvalidSubscriptionId",
            f"The provided subscription identifier '{name}' is malformed or invalid.",
        )
    if name.lower() != SUBSCRIPTION_ID:
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def _require_group(cloud: Cloud, name: str) -> str:
    groups = {account.resource_group.lower(): account.resource_group for account in cloud.accounts.values()}
    if name.lower() not in groups:
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return groups[name.lower()]


def _require_account(cloud: Cloud, name: str, group: str) -> Account:
    account = cloud.accounts.get(name.lower())
    if account is None or account.resource_group != group:
        raise ArmError(
            404,
            "ResourceNotFound",
            f"The Resource 'Microsoft.Storage/storageAccounts/{name}' under resource group '{group}' was not "
            "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        )
    return account


async def _list_subscriptions(call: Call) -> Response:
    may = call.identity.may("Microsoft.Resources/subscriptions/read")
    return JSONResponse({"value": [_SUBSCRIPTION_BODY] if may else []})


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


def _on_subscriptions(path: str, *, right: str | None, handler: _Handler) -> _Operation:
    kind = "Microsoft.Resources/subscriptions"
    return _Operation("GET", _pattern(path), kind, _SUBSCRIPTION_VERSIONS, right, handler)


def _on_accounts(method: str, path: str, action: str, handler: _Handler, *parameters: str) -> _Operation:
    kind = "Microsoft.Storage/storageAccounts"
    right = f"{kind}/{action}"
    return _Operation(method, _pattern(path), kind, storage_accounts.VERSIONS, right, handler, frozenset(parameters))


def _on_parts(method: str, path: str, kind: str, handler: _Handler, *parameters: str) -> _Operation:
    """An operation on a share or table, whose right is one of its own."""
    action = {"GET": "read", "DELETE": "delete"}.get(method, "write")
    right = f"{kind}/{action}"
    return _Operation(method, _pattern(path), kind, storage_accounts.VERSIONS, right, handler, frozenset(parameters))


def _on_governance(
    path: str, kind: str, versions: tuple[str, ...], handler: _Handler, *parameters: str
) -> _Operation:
    return _Operation("GET", _pattern(path), kind, versions, f"{kind}/read", handler, frozenset(parameters))


def _on_sentinel(method: str, action: str, handler: _Handler) -> _Operation:
    kind = "Microsoft.SecurityInsights/incidents"
    return _Operation(method, _pattern(_INCIDENT), kind, sentinel.VERSIONS, f"{kind}/{action}", handler)


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

_OPERATIONS = (
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
        governance.ACTIVITY_VERSIONS,
        governance.list_activity,
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
    _Operation(
        method="POST",
        path=_pattern(r"/providers/Microsoft\.ResourceGraph/resources"),
        resource_type="Microsoft.ResourceGraph/resources",
        versions=resource_graph.VERSIONS,
        right=None,
        handler=resource_graph.query,
    ),
)


def _error(status: int, body: dict[str, object]) -> Response:
    return JSONResponse({"error": body}, status_code=status)


def _authorization_failed(error: Forbidden, request: Request) -> dict[str, object]:
    scope: str = request.scope["path"]
    if request.method == "POST":
        scope = scope.rpartition("/")[0]  # an action is performed over the resource that it is posted to
    return {
        "code": "AuthorizationFailed",
        "message": (
            f"The client '{error.identity.client_id}' with object id '{error.identity.object_id}' does not "
            f"have authorization to perform action '{error.right}' over scope '{scope}' or the scope is "
            "invalid. If access was recently granted, please refresh your credentials."
        ),
    }


def _correlation(request: Request) -> dict[str, str]:
    """The ids that ARM puts on every answer; a correlation id that the client sent comes back."""
    given = request.headers.get("x-ms-correlation-request-id", "")
    request_id = str(uuid.uuid4())
    headers = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": given if _is_guid(given) else request_id,
        "cache-control": "no-cache",
    }
    client_id = request.headers.get("x-ms-client-request-id", "")
    if _is_guid(client_id) and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        headers["x-ms-client-request-id"] = client_id
    return headers


def _is_guid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None
