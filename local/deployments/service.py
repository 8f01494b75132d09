"""The deployments of management.azure.com, and the resources that they make.

Sources: Azure/azure-rest-api-specs, resources 2025-04-01 (deployments.json, resources.json): "Deployments - Create Or
Update", "Validate", "What If", "List" and their forms at a resource group; "Deployment Operations - List";
"Resource Groups"; "Resources - List By Resource Group" with its filters; web 2024-11-01 (sites, serverfarms). The
caller may deploy what its right to write deployments covers; rights on each resource type are not checked.

Everything else passes on to the operations of `local.arm`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.arm.protocol import ArmError
from local.arm.service import AUDIENCES
from local.deployments import groups, operations
from local.deployments.state import SUBSCRIPTION, Call, Deployments, Handler
from local.entra.tokens import Entra, Forbidden, Unauthorized
from local.tenant.model import SUBSCRIPTION_ID

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_GROUP = rf"{_SUBSCRIPTION}/resourceGroups/(?P<group>[^/]+)"
_OF_GROUP = rf"{_SUBSCRIPTION}(/resourceGroups/(?P<group>[^/]+))?"
_DEPLOYMENTS = r"/providers/Microsoft\.Resources/deployments"
_NAME = rf"{_DEPLOYMENTS}/(?P<name>[-\w._()]{{1,64}})"


@dataclass(frozen=True)
class _Operation:
    """`right` is below Microsoft.Resources, None if everyone may."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    right: str | None


class DeploymentService:
    """An ASGI app for management.azure.com; `otherwise` answers what is no operation here."""

    def __init__(self, entra: Entra, state: Deployments, *, otherwise: ASGIApp) -> None:
        self._entra = entra
        self._state = state
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        for operation in _OPERATIONS:
            match = operation.path.fullmatch(scope["path"])
            if match is not None and operation.method == scope["method"]:
                call = Call(self._state, request, match.groupdict())
                if self._is_ours(call):
                    response = await self._answer(operation, call)
                    return await response(scope, receive, send)
        return await self._otherwise(scope, receive, send)

    def _is_ours(self, call: Call) -> bool:
        """Whether the group or resource of the path was deployed; those of monitored accounts are of `local.arm`."""
        if call.names.get("resource"):
            return self._state.resources.find(call.names["resource"]) is not None
        return (
            "name" in call.names or call.scope == SUBSCRIPTION or self._state.resources.find(call.scope) is not None
        )

    async def _answer(self, operation: _Operation, call: Call) -> Response:
        try:
            self._authorize(operation, call.request)
            _require_version(call.request)
            _require_subscription(call.names)
            return await operation.handler(call)
        except Unauthorized as error:
            body = {"code": "InvalidAuthenticationToken", "message": error.reason.value}
            return JSONResponse({"error": body}, 401, {"www-authenticate": error.challenge})
        except Forbidden as error:
            client = error.identity.object_id
            message = f"The client '{client}' does not have authorization to perform action '{error.right}'."
            return JSONResponse({"error": {"code": "AuthorizationFailed", "message": message}}, 403)
        except ArmError as error:
            return JSONResponse({"error": error.body}, error.status)

    def _authorize(self, operation: _Operation, request: Request) -> None:
        """Raises Unauthorized or Forbidden."""
        identity = self._entra.authenticate(request, audiences=AUDIENCES)
        if operation.right is not None and not identity.may(f"Microsoft.Resources/{operation.right}"):
            raise Forbidden(identity, f"Microsoft.Resources/{operation.right}")


def _require_version(request: Request) -> None:
    if not _API_VERSION.fullmatch(request.query_params.get("api-version", "")):
        raise ArmError(400, "MissingApiVersionParameter", "The api-version query parameter is required.")


def _require_subscription(names: Mapping[str, str]) -> None:
    subscription = names.get("subscription", SUBSCRIPTION_ID)
    if subscription.lower() != SUBSCRIPTION_ID:
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' was not found.")


def _operation(method: str, path: str, handler: Handler, right: str | None = None) -> _Operation:
    return _Operation(method, re.compile(path, re.IGNORECASE), handler, right)


_GROUPS = "subscriptions/resourceGroups"
_OPERATIONS = (
    _operation("GET", "/tenants", groups.tenants),
    _operation("GET", rf"{_SUBSCRIPTION}/locations", groups.locations, "subscriptions/locations/read"),
    _operation("GET", rf"{_SUBSCRIPTION}/providers/Microsoft\.Storage/skus", groups.skus),
    _operation("GET", rf"{_SUBSCRIPTION}/resourceGroups", groups.groups, f"{_GROUPS}/read"),
    _operation("GET", _GROUP, groups.read_group, f"{_GROUPS}/read"),
    _operation("HEAD", _GROUP, groups.read_group, f"{_GROUPS}/read"),
    _operation("DELETE", _GROUP, groups.delete_group, f"{_GROUPS}/delete"),
    _operation("GET", rf"{_GROUP}/resources", groups.resources, f"{_GROUPS}/read"),
    _operation("GET", rf"(?P<resource>{_GROUP}/providers/[^/]+/[^/]+/[^/]+)", groups.read, f"{_GROUPS}/read"),
    _operation("DELETE", rf"(?P<resource>{_GROUP}/providers/[^/]+/[^/]+/[^/]+)", groups.delete, f"{_GROUPS}/delete"),
    _operation("GET", rf"{_OF_GROUP}{_DEPLOYMENTS}/?", operations.list_all, "deployments/read"),
    _operation("GET", rf"{_OF_GROUP}{_NAME}", operations.read, "deployments/read"),
    _operation("PUT", rf"{_OF_GROUP}{_NAME}", operations.create, "deployments/write"),
    _operation("POST", rf"{_OF_GROUP}{_NAME}/validate", operations.validate, "deployments/validate/action"),
    _operation("POST", rf"{_OF_GROUP}{_NAME}/whatIf", operations.what_if, "deployments/whatIf/action"),
    _operation("GET", rf"{_OF_GROUP}{_NAME}/operations", operations.operations, "deployments/operations/read"),
)
