"""The activity log: what was changed through ARM, and by whom.

Shapes and rules: MicrosoftDocs/azure-monitor-docs, "Azure Activity Log event schema" (Administrative category: the
start and the success or failure of each write, delete or action are recorded), and Azure/azure-rest-api-specs,
Microsoft.Insights 2015-04-01, activityLogs_API.json. Only the start has the request: no source says that a success
has it. The log is complete at once and has one page.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm.protocol import ArmError, Call, timestamp
from local.tenant.model import SUBSCRIPTION_ID, TENANT_ID, ActivityEvent, now

VERSIONS = ("2015-04-01",)
_KEPT = 10_000
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z"
_FILTER = re.compile(
    rf"eventTimestamp ge '(?P<since>{_TIME})'(?: and eventTimestamp le '(?P<until>{_TIME})')?"
    r" and resourceUri eq '(?P<resource>/[^']+)'"
)
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_EVENTS = {"Started": ("BeginRequest", "Begin request")}


async def list_activity(call: Call) -> Response:
    """List the activity on a resource in a time. Supports only that of the filters."""
    match = _FILTER.fullmatch(call.request.query_params.get("$filter", ""))
    if match is None:
        raise ArmError(400, "BadRequest", "The $filter is not valid: eventTimestamp and resourceUri are required.")
    since = datetime.fromisoformat(match["since"])
    until = datetime.fromisoformat(match["until"]) if match["until"] else None
    found = [
        each
        for each in call.cloud.activity
        if each.resource.lower() == match["resource"].lower()
        and each.at >= since
        and (until is None or each.at <= until)
    ]
    return JSONResponse({"value": [_described(each) for each in found]})


@contextmanager
def recorded(call: Call, operation: str, body: bytes) -> Iterator[None]:
    """Record the operation inside: its start, and whether it succeeded."""
    path: str = call.request.scope["path"].rstrip("/")
    identity, client = call.identity, call.request.client
    given = call.request.headers.get("x-ms-correlation-request-id", "")
    person = next((user for user in call.cloud.users.values() if user.object_id == identity.object_id), None)
    start = ActivityEvent(
        at=now(),
        # An action is performed on the resource that it is posted to.
        resource=path.rpartition("/")[0] if call.request.method == "POST" else path,
        operation=operation,
        caller=person.user_principal_name if person is not None else identity.object_id,
        status="Started",
        object_id=identity.object_id,
        client_id=identity.client_id,
        operation_id=str(uuid.uuid4()),
        correlation_id=given or str(uuid.uuid4()),
        address=client.host if client is not None else "",
        body=body.decode(errors="replace"),
    )
    log = call.cloud.activity
    log.append(start)
    status = "Failed"
    try:
        yield
        status = "Succeeded"
    finally:
        log.append(replace(start, at=now(), status=status, body=""))
        del log[: max(0, len(log) - _KEPT)]


def _described(event: ActivityEvent) -> dict[str, Any]:
    name, shown = _EVENTS.get(event.status, ("EndRequest", "End request"))
    body = {"requestbody": event.body} if event.body else {}
    return {
        "authorization": {"action": event.operation, "scope": event.resource},
        "caller": event.caller,
        "claims": {"appid": event.client_id, _OBJECT_ID: event.object_id}
        | ({_UPN: event.caller} if "@" in event.caller else {}),
        "correlationId": event.correlation_id,
        "eventName": {"value": name, "localizedValue": shown},
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "eventTimestamp": timestamp(event.at),
        "httpRequest": {"clientIpAddress": event.address},
        "level": "Informational",
        "operationId": event.operation_id,
        "operationName": {"value": event.operation, "localizedValue": event.operation},
        "properties": body,
        "resourceId": event.resource,
        "status": {"value": event.status, "localizedValue": event.status},
        "subStatus": {"value": "", "localizedValue": ""},
        "submissionTimestamp": timestamp(event.at),
        "subscriptionId": SUBSCRIPTION_ID,
        "tenantId": TENANT_ID,
    }
