"""Incidents of Microsoft Sentinel (learn.microsoft.com/rest/api/securityinsights/incidents: get, create, update)."""

import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm.protocol import ArmError, Call, invalid_content, read_json, reject_unknown, timestamp
from local.tenant.model import Incident, now

VERSIONS = ("2024-09-01", "2025-09-01")
SINK = "sentinel"  # Incident.sink

_PROPERTIES = frozenset({"title", "description", "severity", "status", "labels", "classification", "owner"})
_SEVERITIES, _STATUSES = ("High", "Medium", "Low", "Informational"), ("New", "Active", "Closed")
_CLASSIFICATIONS = ("Undetermined", "TruePositive", "BenignPositive", "FalsePositive")
_LONGEST = 5000


async def get_incident(call: Call) -> Response:
    """Get an incident by its name. Raises ArmError (404)."""
    incident = _find(call)
    if incident is None:
        raise ArmError(404, "NotFound", f"Incident {call.names['incident']} was not found.")
    return JSONResponse(_described(call, incident))


async def put_incident(call: Call) -> Response:
    """Create an incident with the name that the client chose, or update it, which requires its ETag."""
    name = call.names["incident"]
    try:
        uuid.UUID(name)
    except ValueError:
        raise ArmError(400, "BadRequest", "The incident's name must be a GUID.") from None
    body = await read_json(call.request)
    reject_unknown(body, frozenset({"properties", "etag"}), of="Incident")
    properties = _checked(body.get("properties"))
    incident = _find(call)
    if incident is None:
        incident = Incident(name, SINK, {"FindingId": name, "etag": str(uuid.uuid4())})
        call.cloud.incidents.append(incident)
        status = 201
    elif body.get("etag") != incident.fields["etag"]:
        raise ArmError(409, "Conflict", "Newer version of resource exists: give its etag.")
    else:
        status = 200
    incident.fields |= properties | {"etag": str(uuid.uuid4())}
    incident.updated_at = now()
    return JSONResponse(_described(call, incident), status_code=status)


def _checked(properties: Any) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise invalid_content("The member 'properties' must be an object.")
    reject_unknown(properties, _PROPERTIES, of="IncidentProperties")
    is_closed = properties.get("status") == "Closed"
    if (
        not properties.get("title")
        or properties.get("severity") not in _SEVERITIES
        or properties.get("status") not in _STATUSES
        or len(properties.get("description", "")) > _LONGEST
        or (is_closed and properties.get("classification") not in _CLASSIFICATIONS)
        or (not is_closed and "classification" in properties)
    ):
        raise invalid_content("A property of the incident is missing, or not one of its values.")
    return properties


def _find(call: Call) -> Incident | None:
    wanted = call.names["incident"].lower()
    return next((i for i in call.cloud.incidents if i.sink == SINK and i.item_id == wanted), None)


def _described(call: Call, incident: Incident) -> dict[str, Any]:
    properties = {name: incident.fields[name] for name in _PROPERTIES if name in incident.fields}
    return {
        "id": call.request.scope["path"],
        "name": incident.item_id,
        "type": "Microsoft.SecurityInsights/incidents",
        "etag": incident.fields["etag"],
        "properties": properties | {"createdTimeUtc": timestamp(incident.created_at), "incidentNumber": 1},
    }
