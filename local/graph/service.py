"""Microsoft Graph: the stand-in for graph.microsoft.com, v1.0.

Users and service principals are here; `people`, `mail`, `sharepoint_list`, `security` and `incidents` have the other
operations of applications, each of which requires its app role. `applications` and `sites` have those of the people
who set a tenant up, each of which requires a delegated scope (`delegated`). Errors are in OData's shape with Graph's
codes (learn.microsoft.com/graph/errors).
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from local.entra.tokens import GRAPH, Entra, Forbidden, Reason, Unauthorized
from local.graph import applications, delegated, incidents, mail, security, sharepoint_list, sites
from local.graph import people as graph_people
from local.graph.delegated import Permission
from local.graph.protocol import Call, GraphError, RequestIds, parameters
from local.tenant.model import Cloud

AUDIENCES = (GRAPH,)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ALERTS = "/v1.0/security/alerts_v2"
_CREATE_ALERT = "/beta/security/alerts_v2/createAlert"
_INCIDENTS = "/v1.0/security/incidents"
_ITEMS = "/v1.0/sites/{site}/lists/{list}/items"
_APPLICATIONS = "/v1.0/applications"
_PRINCIPALS = "/v1.0/servicePrincipals"
_PRINCIPAL = _PRINCIPALS + "/{app}"
_SITE = "/v1.0/sites/{site}"
_READ_BASIC = "User.ReadBasic.All"
_READ_APPS = "Application.Read.All"
_READ_MEMBERS = "GroupMember.Read.All"
_MEMBERS = "/v1.0/groups/{group}/transitiveMembers/graph.user"
_BASIC_PROFILE = ("id", "displayName", "givenName", "surname", "mail", "userPrincipalName")
_BEYOND_BASIC_PROFILE = (
    "accountEnabled",
    "businessPhones",
    "companyName",
    "createdDateTime",
    "department",
    "jobTitle",
    "mobilePhone",
    "officeLocation",
    "otherMails",
    "preferredLanguage",
    "proxyAddresses",
    "userType",
)
_SERVICE_PRINCIPAL = ("id", "accountEnabled", "appId", "displayName", "servicePrincipalType")

_UNAUTHORIZED = {
    Reason.MISSING: "Access token is empty.",
    Reason.MALFORMED: "IDX10511: Signature validation failed.",
    Reason.EXPIRED: "Lifetime validation failed, the token is expired.",
    Reason.AUDIENCE: "Access token validation failure. Invalid audience.",
    Reason.UNKNOWN_IDENTITY: "The identity of the calling application could not be established.",
}
# Each workload behind Graph has its own code and message for a missing role.
_FORBIDDEN = {
    _READ_BASIC: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    _READ_MEMBERS: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    _READ_APPS: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    mail.ROLE: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    sharepoint_list.ROLE: ("accessDenied", "Access denied"),
    incidents.CREATE: ("Forbidden", "Missing application roles."),
    incidents.WRITE: ("Forbidden", "Missing application roles."),
    security.READ: ("Forbidden", "Missing application roles."),
    security.WRITE: ("Forbidden", "Missing application roles."),
}

type _Handler = Callable[[Call], Awaitable[Response]]


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return graph.microsoft.com for `cloud`."""

    def route(method: str, path: str, role: str, handler: _Handler) -> Route:
        async def answer(request: Request) -> Response:
            identity = entra.authorize(request, audiences=AUDIENCES, right=role)
            return await handler(Call(cloud=cloud, identity=identity, request=request))

        return Route(path, _with_errors(answer), methods=[method])

    def of_person(method: str, path: str, permission: Permission, handler: _Handler) -> Route:
        async def answer(request: Request) -> Response:
            identity = entra.authenticate(request, audiences=AUDIENCES)
            permission.require(entra, identity, request)
            return await handler(Call(cloud=cloud, identity=identity, request=request))

        return Route(path, _with_errors(answer), methods=[method])

    async def get_principal(request: Request) -> Response:
        """By an application with its app role, or by a person."""
        identity = entra.authenticate(request, audiences=AUDIENCES)
        call = Call(cloud=cloud, identity=identity, request=request)
        if entra.scopes(request) is None:
            entra.authorize(request, audiences=AUDIENCES, right=_READ_APPS)
            return await _get_service_principal(call)
        delegated.READ_DIRECTORY.require(entra, identity, request)
        return await applications.get_principal(call)

    routes = [
        route("GET", "/v1.0/users/{user}", _READ_BASIC, _get_user),
        Route(_PRINCIPAL, _with_errors(get_principal), methods=["GET"]),
        route("GET", "/v1.0/servicePrincipals/{app}/owners", _READ_APPS, graph_people.list_owners),
        route("GET", _MEMBERS, _READ_MEMBERS, graph_people.list_members),
        route("POST", "/v1.0/users/{user}/sendMail", mail.ROLE, mail.send_mail),
        route("GET", _ITEMS, sharepoint_list.ROLE, sharepoint_list.list_items),
        route("POST", _ITEMS, sharepoint_list.ROLE, sharepoint_list.create_item),
        route("GET", _ITEMS + "/{item}", sharepoint_list.ROLE, sharepoint_list.get_item),
        route("PATCH", _ITEMS + "/{item}/fields", sharepoint_list.ROLE, sharepoint_list.update_fields),
        route("POST", _CREATE_ALERT, incidents.CREATE, incidents.create_alert),
        route("GET", _INCIDENTS, incidents.WRITE, incidents.list_incidents),
        route("GET", _INCIDENTS + "/{incident}", incidents.WRITE, incidents.get_incident),
        route("PATCH", _INCIDENTS + "/{incident}", incidents.WRITE, incidents.update_incident),
        route("POST", _INCIDENTS + "/{incident}/comments", incidents.WRITE, incidents.comment),
        route("GET", _ALERTS, security.READ, security.list_alerts),
        route("GET", _ALERTS + "/{alert}", security.READ, security.get_alert),
        route("PATCH", _ALERTS + "/{alert}", security.WRITE, security.update_alert),
        route("POST", _ALERTS + "/{alert}/comments", security.WRITE, security.comment),
        of_person("GET", _APPLICATIONS, delegated.READ_DIRECTORY, applications.list_applications),
        of_person("POST", _APPLICATIONS, delegated.REGISTER, applications.create_application),
        *(
            of_person(method, path, permission, handler)
            for path in (_APPLICATIONS + "/{application}", _APPLICATIONS + "(appId='{application}')")
            for method, permission, handler in (
                ("GET", delegated.READ_DIRECTORY, applications.get_application),
                ("PATCH", delegated.REGISTER, applications.update_application),
            )
        ),
        of_person("GET", _PRINCIPALS, delegated.READ_DIRECTORY, applications.list_principals),
        of_person("POST", _PRINCIPALS, delegated.REGISTER, applications.create_principal),
        of_person("GET", _PRINCIPAL + "/appRoleAssignments", delegated.READ_DIRECTORY, applications.list_assignments),
        of_person("POST", _PRINCIPAL + "/appRoleAssignments", delegated.ASSIGN, applications.create_assignment),
        *(
            of_person("GET", path + "/appRoleAssignedTo", delegated.READ_DIRECTORY, applications.list_assigned_to)
            for path in (_PRINCIPAL, _PRINCIPALS + "(appId='{app}')")
        ),
        of_person("GET", _SITE + "/lists", delegated.READ_SITES, sites.list_lists),
        of_person("POST", _SITE + "/lists", delegated.MANAGE_LISTS, sites.create_list),
        of_person("GET", _SITE + "/lists/{list}/columns", delegated.READ_SITES, sites.list_columns),
        of_person("POST", _SITE + "/lists/{list}/columns", delegated.MANAGE_LISTS, sites.create_column),
        of_person("GET", _SITE + "/permissions", delegated.GRANT_SITES, sites.list_permissions),
        of_person("POST", _SITE + "/permissions", delegated.GRANT_SITES, sites.create_permission),
        of_person("GET", _SITE + "/permissions/{permission}", delegated.GRANT_SITES, sites.get_permission),
        of_person("PATCH", _SITE + "/permissions/{permission}", delegated.GRANT_SITES, sites.update_permission),
        of_person("GET", "/v1.0/sites/{site:path}", delegated.READ_SITES, sites.get_site),
    ]

    async def unknown(request: Request) -> Response:
        entra.authenticate(request, audiences=AUDIENCES)
        if any(known.matches(request.scope)[0] is Match.PARTIAL for known in routes):
            raise GraphError(
                405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."
            )
        segment = request.scope["path"].rpartition("/")[2]
        raise GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")

    return Starlette(routes=[*routes, Route("/{path:path}", _with_errors(unknown), methods=_METHODS)])


def _with_errors(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Add request ids to every response of an operation, and put errors into Graph's shape."""

    async def endpoint(request: Request) -> Response:
        ids = RequestIds.of(request)
        try:
            response = await answer(request)
        except Unauthorized as error:
            message = _UNAUTHORIZED[error.reason]
            response = JSONResponse(ids.error_body("InvalidAuthenticationToken", message), status_code=401)
            response.headers["www-authenticate"] = error.challenge
        except Forbidden as error:
            response = JSONResponse(ids.error_body(*_FORBIDDEN[error.right]), status_code=403)
        except GraphError as error:
            response = JSONResponse(ids.error_body(error.code, error.message), status_code=error.status)
        response.headers.update(ids.headers())
        return response

    return endpoint


async def _get_user(call: Call) -> Response:
    """Get a user by id or user principal name (learn.microsoft.com/graph/api/user-get).

    User.ReadBasic.All covers only the basic profile; other properties are left out of the response.
    """
    selected = _selected(call, _BASIC_PROFILE + _BEYOND_BASIC_PROFILE, type_="user") or _BASIC_PROFILE
    wanted = call.name("user").lower()
    users = call.cloud.users
    user = users.get(wanted) or next((u for u in users.values() if u.object_id == wanted), None)
    if user is None:
        raise _not_found(call.name("user"))
    profile = {
        "id": user.object_id,
        "displayName": user.display_name,
        "givenName": None,
        "surname": None,
        "mail": user.mail,
        "userPrincipalName": user.user_principal_name,
    }
    return _entity(call, "users", {name: profile[name] for name in selected if name in profile})


async def _get_service_principal(call: Call) -> Response:
    """Get an app or managed identity by object id (learn.microsoft.com/graph/api/serviceprincipal-get)."""
    selected = _selected(call, _SERVICE_PRINCIPAL, type_="servicePrincipal") or _SERVICE_PRINCIPAL
    wanted = call.name("app").lower()
    try:
        UUID(wanted)
    except ValueError:
        raise GraphError(400, "Request_BadRequest", f"Invalid object identifier '{call.name('app')}'.") from None
    identity = call.cloud.identity_of(wanted)
    people = {user.object_id for user in call.cloud.users.values()}
    if identity is None or identity.object_id in people:
        raise _not_found(call.name("app"))
    principal = {
        "id": identity.object_id,
        "accountEnabled": True,
        "appId": identity.client_id,
        "displayName": identity.name,
        "servicePrincipalType": "ManagedIdentity",
    }
    return _entity(call, "servicePrincipals", {name: principal[name] for name in selected})


def _selected(call: Call, known: tuple[str, ...], *, type_: str) -> tuple[str, ...]:
    """Return the properties that the query selects, if any. Raises GraphError for one that `type_` lacks."""
    select = parameters(call.request, "select").get("select")
    selected = tuple(select.split(",")) if select else ()
    for name in selected:
        if name not in known:
            message = f"Could not find a property named '{name}' on type 'microsoft.graph.{type_}'."
            raise GraphError(400, "BadRequest", message)
    return selected


def _not_found(name: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


def _entity(call: Call, collection: str, properties: dict[str, object]) -> Response:
    select = parameters(call.request, "select").get("select")
    entity = f"{collection}({select})" if select else collection
    return JSONResponse({"@odata.context": f"{GRAPH}/v1.0/$metadata#{entity}/$entity"} | properties)
