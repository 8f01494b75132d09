"""Azure Resource Manager: the stand-in for management.azure.com.

It has the operations that the product and its users need: subscriptions, storage accounts (`storage_accounts`), their
shares and tables (`policies`), locks and roles (`governance`), the activity log (`activity`), incidents (`sentinel`),
and the product's Resource Graph query (`resource_graph`). It refuses everything else as ARM refuses unknown
resources. Ids and types are matched case-insensitively, as in ARM.
"""

import re
import uuid

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.arm import activity, governance
from local.arm.operations import OPERATIONS, Operation
from local.arm.protocol import ArmError, Call, require_api_version
from local.entra.tokens import ARM, ARM_CLASSIC, Entra, Forbidden, Reason, Unauthorized
from local.tenant.model import SUBSCRIPTION_ID, Account, Cloud

AUDIENCES = (ARM, ARM_CLASSIC)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

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


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return management.azure.com for `cloud`."""

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
    if operation.right is None or operation.method == "GET":
        return await operation.handler(call)
    with activity.recorded(call, operation.right, await request.body()):
        return await operation.handler(call)


def _find(request: Request) -> tuple[Operation, dict[str, str]]:
    """Return the operation of the request and the names in its path. Raises ArmError (404, 405)."""
    path: str = request.scope["path"]
    allowed: list[str] = []
    for operation in OPERATIONS:
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
