"""Incidents of Microsoft Sentinel.

Azure/azure-rest-api-specs, Microsoft.SecurityInsights stable/2025-09-01, Incidents.json (Incidents_Get,
Incidents_CreateOrUpdate) and common/IncidentTypes.json (2024-09-01). What the specification leaves open is as seen in
the service: a PUT replaces the incident (demisto/content#28920), another version is a conflict
(Azure/Azure-Sentinel#909), and a classification needs its reason (demisto/content#34306).
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm.protocol import ArmError, Call, invalid_content, read_json, reject_unknown, timestamp
from local.tenant.model import Incident, now

VERSIONS = ("2024-09-01", "2025-09-01")
SINK = "sentinel"  # Incident.sink

_TEXTS = ("title", "description", "classificationComment")
_ENUMS = {
    "severity": ("High", "Medium", "Low", "Informational"),
    "status": ("New", "Active", "Closed"),
    "classification": ("Undetermined", "TruePositive", "BenignPositive", "FalsePositive"),
    "classificationReason": ("SuspiciousActivity", "SuspiciousButExpected", "IncorrectAlertLogic", "InaccurateData"),
}
_TIMES = ("firstActivityTimeUtc", "lastActivityTimeUtc")
_WRITABLE = frozenset((*_TEXTS, *_ENUMS, *_TIMES, "labels", "owner"))
_READ_ONLY = frozenset(
    {
        "additionalData",
        "createdTimeUtc",
        "incidentUrl",
        "providerName",
        "providerIncidentId",
        "incidentNumber",
        "lastModifiedTimeUtc",
        "relatedAnalyticRuleIds",
    }
)
_REQUIRED = ("title", "severity", "status")
_OWNER = frozenset({"email", "assignedTo", "objectId", "userPrincipalName", "ownerType"})
_OWNER_TYPES = ("Unknown", "User", "Group")
_UNASSIGNED = {"objectId": None, "email": None, "assignedTo": None, "userPrincipalName": None}
_LONGEST = 5000


async def get_incident(call: Call) -> Response:
    """Get an incident by its name. Raises ArmError (404)."""
    incident = _find(call)
    if incident is None:
        raise ArmError(404, "NotFound", f"Incident {call.names['incident']} was not found.")
    return JSONResponse(_described(call, incident))


async def put_incident(call: Call) -> Response:
    """Create an incident with the name that the client chose, or replace it, which requires its ETag."""
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
        incident = Incident(name, SINK, {})
        call.cloud.incidents.append(incident)
        status = 201
    elif body.get("etag") != incident.fields["etag"]:
        raise ArmError(409, "Conflict", f"Newer version of resource '{name}' exists. Data was not saved")
    else:
        status = 200
    replace_incident(incident, properties)
    return JSONResponse(_described(call, incident), status_code=status)


def replace_incident(incident: Incident, properties: Mapping[str, Any]) -> None:
    """Make `properties` the incident's, and nothing else. It has another ETag then."""
    incident.fields = {"FindingId": incident.item_id, **properties, "etag": f'"{uuid.uuid4()}"'}
    incident.updated_at = now()


def _checked(properties: Any) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise invalid_content("The member 'properties' must be an object.")
    for name in properties:
        if name in _READ_ONLY:
            raise invalid_content(f"The member '{name}' is read-only.")
    reject_unknown(properties, _WRITABLE, of="IncidentProperties")
    for name in _REQUIRED:
        if not properties.get(name):
            raise invalid_content(f"Required property '{name}' not found in JSON.")
    for name, value in properties.items():
        if not _is_valid(name, value):
            raise invalid_content(f"Error converting value of '{name}'.")
    _check_closing(properties)
    return properties


def _is_valid(name: str, value: Any) -> bool:
    if name in _ENUMS:
        return value in _ENUMS[name]
    if name in _TIMES:
        return _is_time(value)
    if name == "labels":
        return isinstance(value, list) and all(_is_label(label) for label in value)
    if name == "owner":
        return isinstance(value, dict) and _is_owner(value)
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_label(label: Any) -> bool:
    """IncidentLabel: `labelName` is required, `labelType` read-only."""
    return (
        isinstance(label, dict)
        and label.keys() == {"labelName"}
        and isinstance(label["labelName"], str)
        and bool(label["labelName"])
    )


def _is_owner(owner: dict[str, Any]) -> bool:
    """IncidentOwnerInfo. Null stands for no value, as in the service's own answers."""
    if owner.keys() - _OWNER or not all(value is None or isinstance(value, str) for value in owner.values()):
        return False
    try:
        uuid.UUID(owner.get("objectId") or str(uuid.uuid4()))
    except ValueError:
        return False
    return owner.get("ownerType") in (None, *_OWNER_TYPES)


def _check_closing(properties: Mapping[str, Any]) -> None:
    classification = properties.get("classification")
    if properties["status"] != "Closed":
        if classification is not None:
            raise ArmError(400, "BadRequest", "classification is allowed for a closed incident only.")
    elif classification is None:
        raise ArmError(400, "BadRequest", "A closed incident must have classification.")
    elif classification != "Undetermined" and "classificationReason" not in properties:
        raise ArmError(400, "BadRequest", f"classification '{classification}' must have classificationReason.")


def _find(call: Call) -> Incident | None:
    wanted = call.names["incident"].lower()
    return next((i for i in call.cloud.incidents if i.sink == SINK and i.item_id == wanted), None)


def _described(call: Call, incident: Incident) -> dict[str, Any]:
    properties = {name: incident.fields[name] for name in _WRITABLE if name in incident.fields}
    labels = [{**label, "labelType": "User"} for label in properties.get("labels", [])]
    number = 1 + call.cloud.incidents.index(incident)
    return {
        "id": call.request.scope["path"],
        "name": incident.item_id,
        "type": "Microsoft.SecurityInsights/incidents",
        "etag": incident.fields["etag"],
        "properties": properties
        | {
            "labels": labels,
            "owner": _UNASSIGNED | properties.get("owner", {}),
            "createdTimeUtc": timestamp(incident.created_at),
            "lastModifiedTimeUtc": timestamp(incident.updated_at),
            "incidentNumber": number,
            "incidentUrl": f"https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident{incident.item_id}",
            "providerName": "Azure Sentinel",
            "providerIncidentId": str(number),
            "relatedAnalyticRuleIds": [],
            "additionalData": {
                "alertsCount": 0,
                "bookmarksCount": 0,
                "commentsCount": 0,
                "alertProductNames": [],
                "tactics": [],
            },
        },
    }
