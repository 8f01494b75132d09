"""Incidents of the Defender portal in Graph.

learn.microsoft.com/graph/api: security-alert-createalert (beta), security-list-incidents, security-incident-get,
security-incident-update, security-incident-post-comments. A created alert gets its own incident with the same name.
An update leaves the properties that it does not name; `customTags` is replaced as a whole. Only Defender's own
experts set `awaitingAction`, and only the service `redirected` (resources/security-incident, incidentStatus values).
"""

import re
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from local.entra.tokens import GRAPH
from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.model import Incident, now

CREATE, WRITE = "SecurityAlert.Create.All", "SecurityIncident.ReadWrite.All"
SINK = "defender"  # Incident.sink

_FILTER = re.compile(r"createdDateTime ge (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)")
_REQUIRED = ("title", "severity", "description", "category", "entityDefinitions")  # createAlertInput
_ALERT = {
    "title": str,
    "severity": str,
    "category": str,
    "mitreTechniques": list,
    "description": str,
    "recommendedActions": str,
    "isExcludedFromCorrelation": bool,
    "entityDefinitions": list,
}
_SEVERITIES = ("informational", "low", "medium", "high")
_STATUSES = ("active", "resolved", "inProgress")
CLASSIFICATIONS = ("unknown", "falsePositive", "truePositive", "informationalExpectedActivity")
DETERMINATIONS = (
    "unknown",
    "apt",
    "malware",
    "securityPersonnel",
    "securityTesting",
    "unwantedSoftware",
    "other",
    "multiStagedAttack",
    "compromisedAccount",
    "phishing",
    "maliciousUserActivity",
    "notMalicious",
    "notEnoughDataToValidate",
    "confirmedUserActivity",
    "lineOfBusinessApplication",
)
_ENUMS = {"status": _STATUSES, "classification": CLASSIFICATIONS, "determination": DETERMINATIONS}
_COMMENT = "microsoft.graph.security.alertComment"
_PAGE, _LONGEST_SKIP = 50, 500
_LONGEST, _LONGEST_ID, _LONGEST_COMMENT = 5000, 1000, 1000


async def create_alert(call: Call) -> Response:
    """Create an alert about an Azure resource, with its incident."""
    body = await read_json(call.request)
    given = body.get("createAlertInput")
    if set(body) != {"createAlertInput"} or not isinstance(given, dict):
        raise _bad("The property 'createAlertInput' is required, and no other is allowed.")
    for name, value in given.items():
        if name not in _ALERT or not isinstance(value, _ALERT[name]):
            raise _bad(f"The property '{name}' is not valid.")
    if not all(given.get(name) for name in _REQUIRED) or given["severity"] not in _SEVERITIES:
        raise _bad(f"{', '.join(_REQUIRED)} are required.")
    if len(given["description"]) > _LONGEST or not all(_is_resource(entity) for entity in given["entityDefinitions"]):
        raise _bad("A property is too long, or an entity is of an unknown kind.")
    number = str(128 + sum(incident.sink == SINK for incident in call.cloud.incidents))
    fields = {"displayName": given["title"], "status": "active", "customTags": [], "comments": [], **given}
    call.cloud.incidents.append(Incident(number, SINK, fields))
    made = {"id": f"da{number}_aml", "incidentId": number, "title": given["title"]}
    return JSONResponse({"@odata.context": f"{GRAPH}/beta/$metadata#security/alerts_v2/$entity"} | made, 201)


async def list_incidents(call: Call) -> Response:
    """List incidents since a given time, the latest first. Supports only that filter; Graph cannot filter by name.

    At most 50 in a page, and no page after the 500th (elastic/integrations#20234, for Graph's security API).
    """
    query = parameters(call.request, "filter", "top", "skip")
    match = _FILTER.fullmatch(query.get("filter", ""))
    if match is None:
        raise _bad("Invalid filter clause.")
    since = datetime.fromisoformat(match[1])
    top, skip = min(int(query.get("top", "50")), _PAGE), int(query.get("skip", "0"))
    if skip > _LONGEST_SKIP:
        raise _bad(f"The limit of '{_LONGEST_SKIP}' for Skip query has been exceeded.")
    found = [i for i in reversed(call.cloud.incidents) if i.sink == SINK and i.created_at >= since]
    return JSONResponse({"value": [_described(incident) for incident in found[skip : skip + top]]})


async def get_incident(call: Call) -> Response:
    """Get an incident."""
    parameters(call.request)
    return JSONResponse(_described(_incident(call)))


async def update_incident(call: Call) -> Response:
    """Update status, tags, classification, determination or assignedTo."""
    incident, body = _incident(call), await read_json(call.request)
    if incident.fields["status"] == "redirected":
        raise _bad("The incident was merged with another one.")
    for name, value in body.items():
        if not _is_valid(name, value):
            raise _bad(f"The property '{name}' cannot be updated, or its value is not valid.")
    incident.fields |= body
    incident.updated_at = now()
    return JSONResponse(_described(incident))


async def comment(call: Call) -> Response:
    """Add a comment to an incident."""
    incident, body = _incident(call), await read_json(call.request)
    text = body.get("comment")
    if body.get("@odata.type") != _COMMENT or not isinstance(text, str) or not 0 < len(text) <= _LONGEST_COMMENT:
        raise _bad("The comment is not valid.")
    incident.fields["comments"].append(text)
    return JSONResponse({"value": [{"comment": known} for known in incident.fields["comments"]]})


def _is_valid(name: str, value: Any) -> bool:
    if name in _ENUMS:
        return value in _ENUMS[name]
    if name == "customTags":
        return isinstance(value, list) and all(isinstance(tag, str) for tag in value)
    return name == "assignedTo" and (value is None or isinstance(value, str))


def _is_resource(entity: Any) -> bool:
    return (
        isinstance(entity, dict)
        and entity.get("entityType") == "azureResource"
        and entity.get("entityIdentifier") == "resourceId"
        and entity.get("role") in ("impacted", "related")
        and 0 < len(str(entity.get("identifierValue", ""))) <= _LONGEST_ID
    )


def _incident(call: Call) -> Incident:
    wanted = call.name("incident")
    for incident in call.cloud.incidents:
        if incident.sink == SINK and incident.item_id == wanted:
            return incident
    raise GraphError(404, "NotFound", "The incident was not found.")


def _described(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.item_id,
        "displayName": incident.fields["displayName"],
        "status": incident.fields["status"],
        "customTags": incident.fields["customTags"],
        "classification": incident.fields.get("classification", "unknown"),
        "determination": incident.fields.get("determination", "unknown"),
        "assignedTo": incident.fields.get("assignedTo"),
        "redirectIncidentId": incident.fields.get("redirectIncidentId"),
        "createdDateTime": f"{incident.created_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def _bad(message: str) -> GraphError:
    return GraphError(400, "BadRequest", message)
