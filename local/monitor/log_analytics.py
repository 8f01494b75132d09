"""Log Analytics: answers the product's queries of storage logs, from the requests that were actually made.

POST /v1{resource id}/query (learn.microsoft.com, "Querying logs for Azure resources"), of an account or of all in a
subscription ("Manage access to Log Analytics workspaces": resource-context), or POST /v1/workspaces/{id}/query, of a
workspace with the storage logs of all (workspace-context: all of its tables). Those of the copy of the history are in
`history_queries`, those of access policies in `policy_queries`, that of the SAS in use, the only one that regards the
`timespan` of its request, in `sas_queries`. Any other query is refused as a syntax error: this stand-in does not
parse KQL.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.entra.tokens import Entra, Forbidden, Unauthorized
from local.monitor import history_queries, policy_queries, sas_queries
from local.tenant.model import HISTORY_WORKSPACE, STORAGE_WORKSPACE, SUBSCRIPTION_ID, Cloud, StorageLogLine

AUDIENCE = "https://api.loganalytics.io"
_RIGHTS = tuple(
    f"Microsoft.Insights/logs/Storage{service}Logs/read" for service in ("Blob", "Queue", "Table", "File")
)
_RESOURCE = re.compile(
    r"/v1/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+/providers/Microsoft\.Storage/storageAccounts/([a-z0-9]+)/query",
    re.IGNORECASE,
)
# "Manage access to Log Analytics workspaces": the action of Log Analytics Reader for queries of all tables.
_WHOLE_WORKSPACE = "Microsoft.OperationalInsights/workspaces/query/*/read"
_OF_ALL = f"/v1/workspaces/{STORAGE_WORKSPACE}/query"
_RIGHTS_OF = {_OF_ALL: (_WHOLE_WORKSPACE,)}
_SUBSCRIPTION = f"/v1/subscriptions/{SUBSCRIPTION_ID}/query"
_LINES = (
    r"union isfuzzy=true StorageBlobLogs, StorageQueueLogs, StorageTableLogs, StorageFileLogs"
    r" \| where AuthenticationHash (?:contains '(?P<hash>[0-9a-f]{64})'|startswith '(?P<key>key[12])\('"
    r"(?: and AuthenticationHash !contains '(?P<without>[0-9a-f]{64})'"
    r" and not\(UserAgentHeader startswith '(?P<ours>[a-z]+)'\))?)"
)
_SERVED = r" \| extend Served = toint\(StatusCode\) < 400"
_TOTALS = re.compile(
    _LINES + _SERVED + r", After = TimeGenerated > datetime\((?P<ended>[0-9T:.-]+Z)\)"
    r" \| summarize Requests = count\(\), Served = countif\(Served\), ServedAfter = countif\(Served and After\),"
    r" Writes = countif\(Served and Category == 'StorageWrite'\),"
    r" Deletes = countif\(Served and Category == 'StorageDelete'\),"
    r" BytesOut = sum\(iff\(Served, ResponseBodySize, long\(0\)\)\),"
    r" First = min\(TimeGenerated\), Last = max\(TimeGenerated\)"
)
_OBJECTS = re.compile(
    _LINES + _SERVED + r" \| where Served"
    r" \| summarize Requests = count\(\), Written = countif\(Category != 'StorageRead'\) by Object = ObjectKey"
    r" \| order by Written desc, Requests desc \| take 20"
)
_CLIENTS = re.compile(
    _LINES
    + r" \| summarize Requests = count\(\) by Address = replace_regex\(CallerIpAddress, @'(?P<port>[^']+)', ''\),"
    r" Agent = substring\(UserAgentHeader, 0, 120\) \| top 10 by Requests desc"
)

type _Rows = list[list[Any]]
type _Table = tuple[list[tuple[str, str]], _Rows]


def app(cloud: Cloud, entra: Entra) -> Starlette:
    """Return api.loganalytics.io for `cloud`."""

    async def query(request: Request) -> Response:
        of_workspace = request.scope["path"] == f"/v1/workspaces/{HISTORY_WORKSPACE}/query"
        try:
            for right in history_queries.RIGHTS if of_workspace else _RIGHTS_OF.get(request.scope["path"], _RIGHTS):
                entra.authorize(request, audiences=(AUDIENCE,), right=right)
        except Unauthorized as error:
            return _error(401, "AuthorizationRequiredError", str(error))
        except Forbidden as error:
            return _error(403, "InsufficientAccessError", f"The provided credentials lack access: {error.right}")
        if of_workspace:
            return await workspace(request)
        match = _RESOURCE.fullmatch(request.scope["path"])
        account = cloud.accounts.get(match[1].lower()) if match else None
        if account is None and request.scope["path"].lower() not in (_SUBSCRIPTION, _OF_ALL):
            return _error(404, "PathNotFoundError", "The requested path does not exist")
        body = json_text.parse(await request.body())
        lines = [line for line in cloud.storage_log if account is None or line.account == account.name]
        asked = body if isinstance(body, dict) else {}
        table = _sas_in_use(asked, lines, cloud) or _answer(str(asked.get("query")), lines)
        if table is None:
            return _error(400, "BadArgumentError", "The request had some invalid properties: a syntax error.")
        return _result(table)

    async def workspace(request: Request) -> Response:
        body = json_text.parse(await request.body())
        found = history_queries.answer(cloud, str(body.get("query")) if isinstance(body, dict) else "")
        if found is None:
            return _error(400, "BadArgumentError", "The request had some invalid properties: a syntax error.")
        return _result(found)

    return Starlette(routes=[Route("/{path:path}", query, methods=["POST"])])


def _sas_in_use(body: dict[str, Any], lines: Sequence[StorageLogLine], cloud: Cloud) -> _Table | None:
    """Return the result of the query of the SAS in use; None if it is another one, or not of a period."""
    try:
        since, until = (datetime.fromisoformat(each) for each in str(body.get("timespan")).split("/"))
    except ValueError:
        return None
    return sas_queries.answer(str(body.get("query")), lines, cloud.accounts, since=since, until=until)


def _result(table: _Table) -> Response:
    columns, rows = table
    described = [{"name": name, "type": kind} for name, kind in columns]
    return JSONResponse({"tables": [{"name": "PrimaryResult", "columns": described, "rows": rows}]})


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def _answer(kql: str, lines: Sequence[StorageLogLine]) -> _Table | None:
    """Return the result of a query; None if it is not one of the product's."""
    written = policy_queries.answer(kql, lines)
    if written is not None:
        return written
    questions: tuple[tuple[re.Pattern[str], Callable[[list[StorageLogLine], re.Match[str]], _Table]], ...] = (
        (_TOTALS, _totals),
        (_OBJECTS, _objects),
        (_CLIENTS, _clients),
    )
    for pattern, answer in questions:
        match = pattern.fullmatch(kql)
        if match is not None:
            return answer([line for line in lines if _fits(line, match)], match)
    return None


def _fits(line: StorageLogLine, match: re.Match[str]) -> bool:
    known = line.authentication_hash.lower()
    if match["hash"]:
        return match["hash"] in known
    excluded = match["without"] and (match["without"] in known or line.agent.startswith(match["ours"]))
    return known.startswith(f"{match['key']}(") and not excluded


def _totals(lines: list[StorageLogLine], match: re.Match[str]) -> _Table:
    ended = datetime.fromisoformat(match["ended"])
    served = [line for line in lines if line.status < 400]
    times = [_time(line.at) for line in lines]
    columns = [(name, "long") for name in ("Requests", "Served", "ServedAfter", "Writes", "Deletes", "BytesOut")]
    row = [
        len(lines),
        len(served),
        sum(line.at > ended for line in served),
        sum(line.category == "StorageWrite" for line in served),
        sum(line.category == "StorageDelete" for line in served),
        sum(line.response_size for line in served),
        min(times, default=None),
        max(times, default=None),
    ]
    return [*columns, ("First", "datetime"), ("Last", "datetime")], [row]


def _objects(lines: list[StorageLogLine], _match: re.Match[str]) -> _Table:
    served = [line for line in lines if line.status < 400]
    requests = Counter(line.object_key for line in served)
    written = Counter(line.object_key for line in served if line.category != "StorageRead")
    order = sorted(requests, key=lambda key: (-written[key], -requests[key]))[:20]
    columns = [("Object", "string"), ("Requests", "long"), ("Written", "long")]
    return columns, [[key, requests[key], written[key]] for key in order]


def _clients(lines: list[StorageLogLine], match: re.Match[str]) -> _Table:
    who = Counter((re.sub(match["port"], "", line.address), line.agent[:120]) for line in lines)
    columns = [("Address", "string"), ("Agent", "string"), ("Requests", "long")]
    return columns, [[address, agent, number] for (address, agent), number in who.most_common(10)]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
