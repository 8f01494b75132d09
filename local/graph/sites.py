"""SharePoint sites, their lists and columns, and the permissions of applications on a site.

microsoftgraph/microsoft-graph-docs-contrib, api-reference/v1.0/api: site-getbypath, list-list, list-create,
list-list-columns, list-post-columns, site-list-permissions, site-post-permissions, site-update-permission. "Cannot
define a 'name' for a list": microsoft-graph-docs#2663. The list of permissions leaves their roles out, and the single
permission has them (pnp/powershell#917). The type of a column is one property, as in resources/columndefinition.
"""

import re
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from local.entra.tokens import GRAPH
from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.model.directory import SharePointList, Site

_BY_PATH = re.compile(r"(?P<host>[^:]+):(?P<path>/.+?):?")
_TYPES = frozenset({"boolean", "choice", "currency", "dateTime", "lookup", "number", "personOrGroup", "text"})
_COLUMN = _TYPES | {"name", "displayName", "description", "indexed", "enforceUniqueValues", "required", "hidden"}
_LIST = frozenset({"displayName", "description", "list", "columns"})
_ROLES = frozenset({"read", "write", "manage", "fullcontrol"})
_PAGE = 20


async def get_site(call: Call) -> Response:
    parameters(call.request, "select")
    wanted = call.name("site")
    for key, each in call.cloud.directory.sites.items():
        match = _BY_PATH.fullmatch(wanted)
        by_path = match is not None and (match["host"], match["path"]) == (key.partition(",")[0], each.path)
        if wanted == key or by_path:
            return JSONResponse({"id": key, "name": each.path.rpartition("/")[2]})
    raise GraphError(404, "itemNotFound", "Requested site could not be found")


async def list_lists(call: Call) -> Response:
    """In pages: each but the last has a link to the next one."""
    query = parameters(call.request, "select", "skiptoken")
    found = [each.shown for each in _site(call).lists.values()]
    start = int(query.get("skiptoken", "0"))
    body: dict[str, Any] = {"value": found[start : start + _PAGE]}
    if start + _PAGE < len(found):
        body["@odata.nextLink"] = f"{GRAPH}/v1.0/sites/{call.name('site')}/lists?$skiptoken={start + _PAGE}"
    return JSONResponse(body)


async def create_list(call: Call) -> Response:
    body, site = await read_json(call.request), _site(call)
    if "name" in body:
        raise _bad(
            "Cannot define a 'name' for a list as it is assigned by the server. Instead, provide 'displayName'"
        )
    unknown = sorted(set(body) - _LIST)
    if unknown or not body.get("displayName"):
        raise _bad(f"The property '{unknown[0] if unknown else 'displayName'}' is not valid.")
    if any(each.shown["displayName"] == body["displayName"] for each in site.lists.values()):
        raise GraphError(409, "nameAlreadyExists", "A list with the specified title already exists in this Web site.")
    made = SharePointList({"id": str(uuid.uuid4()), "name": body["displayName"].replace(" ", "")} | body)
    made.columns += [_column(each) for each in made.shown.pop("columns", ())]
    site.lists[made.shown["id"]] = made
    return JSONResponse(made.shown, 201)


async def list_columns(call: Call) -> Response:
    parameters(call.request, "select")
    return JSONResponse({"value": [{"name": "Title", "text": {}}, *_list(call).columns]})


async def create_column(call: Call) -> Response:
    column, found = _column(await read_json(call.request)), _list(call)
    if any(each["name"] == column["name"] for each in found.columns):
        raise GraphError(409, "nameAlreadyExists", f'A duplicate field name "{column["name"]}" was found.')
    found.columns.append(column)
    return JSONResponse(column, 201)


async def list_permissions(call: Call) -> Response:
    return JSONResponse({"value": [{**each, "roles": []} for each in _site(call).permissions]})


async def get_permission(call: Call) -> Response:
    return JSONResponse(_permission(call))


async def create_permission(call: Call) -> Response:
    body, site = await read_json(call.request), _site(call)
    _check_roles(body)
    granted = body.get("grantedToIdentities")
    if not granted or any(set(each) != {"application"} or not each["application"].get("id") for each in granted):
        raise _bad("One of the provided arguments is not acceptable.")
    site.permissions.append({"id": uuid.uuid4().hex, "roles": body["roles"], "grantedToIdentitiesV2": granted})
    return JSONResponse(site.permissions[-1], 201)


async def update_permission(call: Call) -> Response:
    body, found = await read_json(call.request), _permission(call)
    _check_roles(body)
    found["roles"] = body["roles"]
    return JSONResponse(found)


def _site(call: Call) -> Site:
    found = call.cloud.directory.sites.get(call.name("site"))
    if found is None:
        raise GraphError(404, "itemNotFound", "Requested site could not be found")
    return found


def _list(call: Call) -> SharePointList:
    found = _site(call).lists.get(call.name("list"))
    if found is None:
        raise GraphError(404, "itemNotFound", "The specified list was not found")
    return found


def _permission(call: Call) -> dict[str, Any]:
    for each in _site(call).permissions:
        if each["id"] == call.name("permission"):
            return each
    raise GraphError(404, "itemNotFound", "Item not found")


def _column(body: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(body) - _COLUMN)
    if unknown or not body.get("name") or len(set(body) & _TYPES) != 1:
        raise _bad(f"The column '{body.get('name')}' is not valid: {unknown or 'a name and one type are needed'}.")
    if body.get("enforceUniqueValues") and not body.get("indexed"):
        raise _bad("A column with unique values must be indexed.")
    return {"id": str(uuid.uuid4()), **body}


def _check_roles(body: dict[str, Any]) -> None:
    if not body.get("roles") or not set(body["roles"]) <= _ROLES:
        raise _bad("The property 'roles' is not valid.")


def _bad(message: str) -> GraphError:
    return GraphError(400, "invalidRequest", message)
