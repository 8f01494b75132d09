"""The items of one SharePoint list in Graph, in which incidents are filed.

learn.microsoft.com/graph/api/listitem-list, -get, -create, -update. The caller holds Sites.Selected with role
"write" on SHAREPOINT_SITE. The column FindingId is indexed and unique, and the only
one that supports filters.
"""

import re
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from local.entra.tokens import GRAPH
from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.model import SHAREPOINT_LIST, SHAREPOINT_SITE, Incident, now

ROLE = "Sites.Selected"
SINK = "sharepoint"  # Incident.sink

_UNIQUE = "FindingId"
_LINES = frozenset({"Title", _UNIQUE, "Severity", "Status", "Account", "Key"})  # single line: 255 characters
_NOTES = frozenset({"ResourceId", "Source", "Owners", "Summary", "NextStep"})  # multiple lines of text
_DATES = frozenset({"DetectedAt"})
_COLUMNS = _LINES | _NOTES | _DATES
_LONGEST_LINE = 255
_LONGEST_NOTE = 63_999
_PAGE = 200
_LARGEST_PAGE = 5000

_FILTER = re.compile(r"fields/(?P<column>\w+) eq '(?P<value>(?:[^']|'')*)'")
_EXPAND = re.compile(r"fields(?:\(\$?select=(?P<columns>[\w,]+)\))?")
_PROPERTIES = ("id", "createdDateTime", "lastModifiedDateTime", "webUrl", "eTag", "contentType", "fields")
_CONTEXT = f"{GRAPH}/v1.0/$metadata#sites('{quote(SHAREPOINT_SITE)}')/lists('{SHAREPOINT_LIST}')/items"


async def list_items(call: Call) -> Response:
    """List items in the order of their ids; `$filter=fields/FindingId eq '…'`, `$expand=fields`, `$top`."""
    _require_list(call)
    query = parameters(call.request, "expand", "filter", "select", "top", "skiptoken")
    top = _number(query.get("top", str(_PAGE)), low=1)
    after = _number(query.get("skiptoken", "0"), low=0)
    items = [item for item in _items(call) if int(item.item_id) > after]
    if "filter" in query:
        wanted = _filter_value(query["filter"])
        items = [item for item in items if _same(item.fields.get(_UNIQUE), wanted)]
    page = items[: min(top, _LARGEST_PAGE)]
    body: dict[str, Any] = {"@odata.context": _CONTEXT, "value": [_describe(item, query) for item in page]}
    if len(items) > len(page):
        rest = {name: value for name, value in query.items() if name != "skiptoken"}
        rest["skiptoken"] = page[-1].item_id
        search = "&".join(f"${name}={quote(value)}" for name, value in rest.items())
        body["@odata.nextLink"] = f"{GRAPH}{quote(call.request.scope['path'])}?{search}"
    return JSONResponse(body)


async def get_item(call: Call) -> Response:
    """Get an item with its fields, which Graph expands by default here."""
    _require_list(call)
    query = parameters(call.request, "expand", "select")
    return JSONResponse(_describe(_item(call), {"expand": "fields"} | query))


async def create_item(call: Call) -> Response:
    """Add an item. 400 invalidRequest if another one has the same FindingId."""
    _require_list(call)
    parameters(call.request)
    body = await read_json(call.request)
    unknown = set(body) - {"fields", "@odata.type"}
    if unknown:
        raise _invalid(f"The property '{min(unknown)}' is not supported on a new list item.")
    fields = _valid_fields(body.get("fields"))
    _require_unique(call, fields, other_than=None)
    last = max((int(item.item_id) for item in _items(call)), default=0)
    item = Incident(item_id=str(last + 1), sink=SINK, fields=fields)
    call.cloud.incidents.append(item)
    return JSONResponse(_describe(item, {"expand": "fields"}), status_code=201)


async def update_fields(call: Call) -> Response:
    """Update fields; null clears one. `If-Match` with an old ETag is refused with 412."""
    _require_list(call)
    parameters(call.request)
    fields = _valid_fields(await read_json(call.request))
    item = _item(call)
    if call.request.headers.get("if-match", "*") not in ("*", _etag(item)):
        raise GraphError(412, "resourceModified", "ETag does not match current item's value")
    _require_unique(call, fields, other_than=item)
    item.fields.update(fields)
    item.updated_at = now()
    return JSONResponse({"@odata.context": f"{_CONTEXT}('{item.item_id}')/fields/$entity"} | _fields(item, None))


def _require_list(call: Call) -> None:
    """Require the granted site and list. Others get 404, as if they did not exist."""
    if call.name("site").lower() != SHAREPOINT_SITE:
        raise GraphError(404, "itemNotFound", "Requested site could not be found")
    if call.name("list").lower() != SHAREPOINT_LIST:
        raise GraphError(404, "itemNotFound", "The specified list was not found")


def _items(call: Call) -> list[Incident]:
    return sorted((i for i in call.cloud.incidents if i.sink == SINK), key=lambda item: int(item.item_id))


def _item(call: Call) -> Incident:
    item = next((item for item in _items(call) if item.item_id == call.name("item")), None)
    if item is None:
        raise GraphError(404, "itemNotFound", "The specified item was not found")
    return item


def _filter_value(text: str) -> str:
    match = _FILTER.fullmatch(text.strip())
    if match is None:
        raise GraphError(400, "BadRequest", "Invalid filter clause")
    column = match["column"]
    if column not in _COLUMNS:
        raise _invalid(f"Field '{column}' is not recognized")
    if column != _UNIQUE:
        raise _invalid(
            f"Field '{column}' cannot be referenced in filter or orderby as it is not indexed. Provide the 'Prefer: "
            "HonorNonIndexedQueriesWarningMayFailRandomly' header to allow this, but be warned that such queries "
            "may fail on large lists."
        )
    return match["value"].replace("''", "'")


def _valid_fields(fields: object) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise _invalid("The property 'fields' must be an object.")
    values = {name: value for name, value in fields.items() if name != "@odata.type"}
    for name, value in values.items():
        if name not in _COLUMNS:
            raise _invalid(f"Field '{name}' is not recognized")
        if value is not None and not _fits(name, value):
            raise _invalid(
                f"Invalid value for field '{name}'. Please check the value and try again: text of at most "
                f"{_LONGEST_LINE} characters on one line, {_LONGEST_NOTE} in a note, or a date in ISO 8601."
            )
    return values


def _fits(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if name in _LINES:
        return len(value) <= _LONGEST_LINE and not set(value) & set("\r\n")
    if name in _NOTES:
        return len(value) <= _LONGEST_NOTE
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _require_unique(call: Call, fields: dict[str, Any], *, other_than: Incident | None) -> None:
    wanted = fields.get(_UNIQUE)
    if wanted is None:
        return
    if any(_same(item.fields.get(_UNIQUE), wanted) for item in _items(call) if item is not other_than):
        raise _invalid("One or more fields with unique constraints already has the provided value.")


def _same(one: str | None, other: str) -> bool:
    """Compare as SharePoint does: case-insensitively."""
    return one is not None and one.casefold() == other.casefold()


def _describe(item: Incident, query: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "@odata.etag": _etag(item),
        "createdDateTime": _time(item.created_at),
        "eTag": _etag(item),
        "id": item.item_id,
        "lastModifiedDateTime": _time(item.updated_at),
        "webUrl": f"https://{SHAREPOINT_SITE.partition(',')[0]}/Lists/Sasquash/{item.item_id}_.000",
        "contentType": {"id": "0x0100", "name": "Item"},
    }
    if "expand" in query:
        match = _EXPAND.fullmatch(query["expand"].replace(" ", ""))
        if match is None:
            raise GraphError(400, "BadRequest", "Parsing OData Select and Expand failed.")
        body["fields"] = _fields(item, match["columns"])
    if "select" in query:
        selected = query["select"].split(",")
        if set(selected) - set(_PROPERTIES):
            raise GraphError(400, "BadRequest", "Parsing OData Select and Expand failed.")
        body = {name: body[name] for name in ("@odata.etag", *selected, "fields") if name in body}
    return body


def _fields(item: Incident, columns: str | None) -> dict[str, Any]:
    values = {name: value for name, value in item.fields.items() if value is not None}
    values |= {
        "id": item.item_id,
        "ContentType": "Item",
        "Created": _time(item.created_at),
        "Modified": _time(item.updated_at),
    }
    if columns is not None:
        values = {name: values[name] for name in columns.split(",") if name in values}
    return {"@odata.etag": _etag(item)} | values


def _etag(item: Incident) -> str:
    """Return the ETag: GUID and version of the item, as in SharePoint. The version is the time of the change."""
    guid = uuid.uuid5(uuid.NAMESPACE_OID, f"{SHAREPOINT_LIST}/{item.item_id}")
    return f'"{guid},{int(item.updated_at.timestamp() * 1_000_000)}"'


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _number(text: str, *, low: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < low:
        raise GraphError(400, "BadRequest", f"Invalid value '{text}' for a paging parameter.")
    return int(text)


def _invalid(message: str) -> GraphError:
    return GraphError(400, "invalidRequest", message)
