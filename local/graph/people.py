"""Members of a group and owners of an app.

learn.microsoft.com/graph/api: group-list-transitivemembers, serviceprincipal-list-owners.
"""

from starlette.responses import JSONResponse, Response

from local.entra.tokens import GRAPH
from local.graph.protocol import Call, GraphError, parameters
from local.tenant.model import Cloud, Group, User

_PROFILE = frozenset({"id", "displayName", "mail", "userPrincipalName"})


async def list_members(call: Call) -> Response:
    """List the users of a group and of its nested groups, each once. The cast to users is an advanced query."""
    query = parameters(call.request, "select", "top", "count")
    if call.request.headers.get("consistencylevel") != "eventual" or query.get("count") != "true":
        message = "Request with $count=true and the header 'ConsistencyLevel: eventual' is needed for an OData cast."
        raise GraphError(400, "Request_UnsupportedQuery", message)
    group = call.cloud.groups.get(call.name("group").lower())
    if group is None:
        raise GraphError(404, "Request_ResourceNotFound", f"Resource '{call.name('group')}' does not exist.")
    wanted = _users_of(call.cloud, group, seen=set())
    return _users(call, wanted, query)


async def list_owners(call: Call) -> Response:
    """List the users that own an app."""
    return _users(
        call, call.cloud.app_owners.get(call.name("app").lower(), ()), parameters(call.request, "select", "top")
    )


def _users_of(cloud: Cloud, group: Group, *, seen: set[str]) -> list[str]:
    if group.object_id in seen:
        return []
    seen.add(group.object_id)
    found = list(group.users)
    for inner in group.groups:
        if inner in cloud.groups:
            found += _users_of(cloud, cloud.groups[inner], seen=seen)
    return list(dict.fromkeys(found))


def _users(call: Call, ids: list[str] | tuple[str, ...], query: dict[str, str]) -> Response:
    selected = frozenset(query.get("select", "").split(",")) - {""} or _PROFILE
    if selected - _PROFILE:
        raise GraphError(400, "BadRequest", f"Could not find a property named '{min(selected - _PROFILE)}'.")
    by_id = {user.object_id: user for user in call.cloud.users.values()}
    top = int(query.get("top", "100"))
    people = [_described(by_id[each], selected) for each in ids if each in by_id][:top]
    return JSONResponse({"@odata.context": f"{GRAPH}/v1.0/$metadata#users", "value": people})


def _described(user: User, selected: frozenset[str]) -> dict[str, object]:
    profile = {
        "id": user.object_id,
        "displayName": user.display_name,
        "mail": user.mail,
        "userPrincipalName": user.user_principal_name,
    }
    return {"@odata.type": "#microsoft.graph.user"} | {name: profile[name] for name in profile if name in selected}
