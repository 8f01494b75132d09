"""App registrations, service principals, and the app roles that they are assigned.

microsoftgraph/microsoft-graph-docs-contrib, api-reference/v1.0/api: application-list, -post-applications, -get,
-update, serviceprincipal-list, -post-serviceprincipals, -get, -post-approleassignments, -list-approleassignments,
-list-approleassignedto. A client may be pre-authorized for scopes only in a request after the one that defines them
(microsoft-graph-docs#20177). The app roles of Graph have the ids of "Microsoft Graph permissions reference".
"""

import re
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.model.directory import GRAPH_APP, GRAPH_PRINCIPAL

_STARTS = re.compile(r"startswith\(displayName,'([^']*)'\)")
_APP_ID = re.compile(r"appId eq '([^']+)'")
_NAME = re.compile(r"servicePrincipalNames/any\(c:c eq '([^']+)'\)")
_WRITABLE = frozenset(  # resources/application, as far as the Azure CLI writes it
    {
        "api",
        "appRoles",
        "displayName",
        "identifierUris",
        "keyCredentials",
        "optionalClaims",
        "signInAudience",
        "spa",
        "web",
    }
)
_ROLES = {
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "SecurityAlert.Create.All": "06870c4c-7370-4a2a-ad10-239a337af816",
    "SecurityAlert.Read.All": "472e4a4d-bb4a-4026-98d1-0b0d74cb74a5",
    "SecurityAlert.ReadWrite.All": "ed4fca05-be46-441f-9803-1873825f8fdb",
    "SecurityIncident.ReadWrite.All": "34bf0e97-1971-4929-b999-9e2442d941d7",
    "Sites.Selected": "883ea226-0bf2-4a8f-9f9d-92c9162a727d",
    "User.ReadBasic.All": "97235f07-e226-4f63-ace3-39588e11d3a1",
}
_GRAPH: dict[str, Any] = {
    "id": GRAPH_PRINCIPAL,
    "appId": GRAPH_APP,
    "displayName": "Microsoft Graph",
    "servicePrincipalNames": [GRAPH_APP, "https://graph.microsoft.com"],
    "appRoles": [
        {"id": role, "value": value, "allowedMemberTypes": ["Application"], "isEnabled": True}
        for value, role in _ROLES.items()
    ],
}


# Applications


async def list_applications(call: Call) -> Response:
    query = parameters(call.request, "filter")
    return JSONResponse({"value": [each for each in _applications(call).values() if _is_wanted(each, query)]})


async def get_application(call: Call) -> Response:
    parameters(call.request, "select")
    return JSONResponse(_application(call))


async def create_application(call: Call) -> Response:
    body = await read_json(call.request)
    _check(body, {"id": "", "appId": "", "api": {}})
    if not body.get("displayName"):
        raise _bad("A value is required for property 'displayName' of resource 'Application'.")
    made = {
        "id": str(uuid.uuid4()),
        "appId": str(uuid.uuid4()),
        "identifierUris": [],
        "appRoles": [],
        "api": {},
    } | body
    _applications(call)[made["id"]] = made
    return JSONResponse(made, 201)


async def update_application(call: Call) -> Response:
    """Properties that the body does not name stay; those of a complex one, such as `api`, too."""
    body, found = await read_json(call.request), _application(call)
    _check(body, found)
    for name, value in body.items():
        found[name] = found.get(name, {}) | value if isinstance(value, dict) else value
    return Response(status_code=204)


def _applications(call: Call) -> dict[str, dict[str, Any]]:
    return call.cloud.directory.applications


def _application(call: Call) -> dict[str, Any]:
    """By object id or by `appId='…'`, as the path names it."""
    wanted = call.name("application")
    for each in _applications(call).values():
        if wanted in (each["id"], each["appId"]):
            return each
    raise _not_found(wanted)


def _check(body: dict[str, Any], before: dict[str, Any]) -> None:
    unknown = sorted(set(body) - _WRITABLE)
    if unknown:
        raise _bad(f"Invalid property '{unknown[0]}'.")
    for uri in body.get("identifierUris", ()):
        if uri != f"api://{before['appId']}":
            raise _bad("Values of identifierUris property must use a verified domain of the organization.")
    known = {scope["id"] for scope in before["api"].get("oauth2PermissionScopes", ())}
    for client in body.get("api", {}).get("preAuthorizedApplications", ()):
        if not set(client["delegatedPermissionIds"]) <= known:
            raise _bad("Property PreAuthorizedApplication references a permission that cannot be found.")


# Service principals


async def list_principals(call: Call) -> Response:
    query = parameters(call.request, "filter")
    return JSONResponse({"value": [each for each in _principals(call).values() if _is_wanted(each, query)]})


async def get_principal(call: Call) -> Response:
    return JSONResponse(_principal(call, call.name("app")))


async def create_principal(call: Call) -> Response:
    body = await read_json(call.request)
    app_id = body.get("appId")
    application = next((each for each in _applications(call).values() if each["appId"] == app_id), None)
    if application is None:
        raise _bad(f"The appId '{app_id}' of the service principal does not reference a valid application object.")
    if any(each["appId"] == app_id for each in _principals(call).values()):
        text = "The service principal cannot be created because the service principal name is already in use."
        raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", text)
    names = [app_id, *application["identifierUris"]]
    made = {"id": str(uuid.uuid4()), "displayName": application["displayName"], "servicePrincipalNames": names} | body
    call.cloud.directory.principals[made["id"]] = made
    return JSONResponse(made, 201)


async def list_assignments(call: Call) -> Response:
    """The app roles that a principal has."""
    return _assignments(call, "principalId")


async def list_assigned_to(call: Call) -> Response:
    """The app roles of a principal that others have."""
    return _assignments(call, "resourceId")


def _assignments(call: Call, end: str) -> Response:
    wanted = _principal(call, call.name("app"))["id"]
    return JSONResponse({"value": [each for each in call.cloud.directory.assignments if each[end] == wanted]})


async def create_assignment(call: Call) -> Response:
    body = await read_json(call.request)
    if set(body) != {"principalId", "resourceId", "appRoleId"} or body["principalId"] != call.name("app"):
        raise _bad("One or more properties are invalid.")
    _principal(call, body["principalId"])
    resource = _principal(call, body["resourceId"])
    if body["appRoleId"] not in {role["id"] for role in resource.get("appRoles", ())}:
        raise _bad("Permission being assigned was not found on application.")
    known = call.cloud.directory.assignments
    if any(all(each[name] == body[name] for name in body) for each in known):
        raise _bad("Permission being assigned already exists on the object")
    known.append({"id": uuid.uuid4().hex, **body})
    return JSONResponse(known[-1], 201)


def _principals(call: Call) -> dict[str, dict[str, Any]]:
    """Graph's own, those of registrations, and those of managed identities."""
    people = {user.object_id for user in call.cloud.users.values()}
    managed = {
        each.object_id: {
            "id": each.object_id,
            "appId": each.client_id,
            "displayName": each.name,
            "servicePrincipalType": "ManagedIdentity",
            "servicePrincipalNames": [each.client_id],
        }
        for each in call.cloud.identities.values()
        if each.object_id not in people
    }
    return {GRAPH_PRINCIPAL: _GRAPH} | managed | call.cloud.directory.principals


def _principal(call: Call, wanted: str) -> dict[str, Any]:
    """By object id or by `appId='…'`. Raises GraphError (404)."""
    for each in _principals(call).values():
        if wanted in (each["id"], f"appId='{each['appId']}'", each["appId"]):
            return each
    raise _not_found(wanted)


def _is_wanted(entity: dict[str, Any], query: dict[str, str]) -> bool:
    """Whether `$filter` has it. Raises GraphError for a filter that is not implemented."""
    text = query.get("filter", "")
    if not text:
        return True
    if match := _STARTS.fullmatch(text):
        return str(entity["displayName"]).lower().startswith(match[1].lower())
    if match := _APP_ID.fullmatch(text):
        return bool(entity["appId"] == match[1].lower())
    if match := _NAME.fullmatch(text):
        return match[1] in entity["servicePrincipalNames"]
    raise _bad("Invalid filter clause")


def _bad(message: str) -> GraphError:
    return GraphError(400, "Request_BadRequest", message)


def _not_found(name: str) -> GraphError:
    text = f"Resource '{name}' does not exist or one of its queried reference-property objects are not present."
    return GraphError(404, "Request_ResourceNotFound", text)
