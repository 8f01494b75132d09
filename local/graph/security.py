"""Security alerts in Graph: alerts of Defender for Storage about a SAS.

learn.microsoft.com/graph/api: security-alert-get, security-list-alerts_v2, security-alert-update,
security-alert-post-comments; the resource types alert, sasTokenEvidence and azureResourceEvidence.
"""

import re
from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from local.entra.tokens import GRAPH
from local.graph.incidents import CLASSIFICATIONS, DETERMINATIONS
from local.graph.protocol import Call, GraphError, parameters, read_json
from local.tenant.senders import DefenderAlert

READ, WRITE = "SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"

_FILTER = re.compile(
    r"serviceSource eq 'microsoftDefenderForCloud' and createdDateTime ge (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)"
)
_COMMENT = "microsoft.graph.security.alertComment"
_ENUMS = {
    "status": ("unknown", "new", "inProgress", "resolved"),
    "classification": CLASSIFICATIONS,
    "determination": DETERMINATIONS,
}
_LONGEST_COMMENT = 1000


async def get_alert(call: Call) -> Response:
    """Get an alert with its evidence."""
    parameters(call.request)
    return JSONResponse(
        {"@odata.context": f"{GRAPH}/v1.0/$metadata#security/alerts_v2/$entity"} | _described(_alert(call))
    )


async def list_alerts(call: Call) -> Response:
    """List alerts of Defender for Cloud since a given time. Supports only that filter."""
    query = parameters(call.request, "filter", "top")
    match = _FILTER.fullmatch(query.get("filter", ""))
    if match is None:
        raise GraphError(400, "BadRequest", "Invalid filter clause.")
    found = [a for a in call.cloud.alerts.defender if f"{a.created_at:%Y-%m-%dT%H:%M:%SZ}" >= match[1]]
    context = f"{GRAPH}/v1.0/$metadata#security/alerts_v2"
    return JSONResponse({"@odata.context": context, "value": [_described(alert) for alert in found]})


async def update_alert(call: Call) -> Response:
    """Update status, classification, determination or assignedTo."""
    alert, body = _alert(call), await read_json(call.request)
    if set(body) - {*_ENUMS, "assignedTo"}:
        raise GraphError(400, "BadRequest", "A property cannot be updated.")
    if any(body[name] not in known for name, known in _ENUMS.items() if name in body):
        raise GraphError(400, "BadRequest", "The value of a property is not valid.")
    alert.status = body.get("status", alert.status)
    alert.classification = body.get("classification", alert.classification)
    alert.determination = body.get("determination", alert.determination)
    return JSONResponse(_described(alert))


async def comment(call: Call) -> Response:
    """Add a comment to an alert."""
    alert, body = _alert(call), await read_json(call.request)
    text = body.get("comment")
    if body.get("@odata.type") != _COMMENT or not isinstance(text, str) or not 0 < len(text) <= _LONGEST_COMMENT:
        raise GraphError(400, "BadRequest", "The comment is not valid.")
    alert.comments.append(text)
    return JSONResponse({"value": [{"comment": known} for known in alert.comments]})


def _alert(call: Call) -> DefenderAlert:
    wanted = call.name("alert")
    for alert in call.cloud.alerts.defender:
        if alert.id == wanted:
            return alert
    raise GraphError(404, "NotFound", "The alert was not found.")


def _described(alert: DefenderAlert) -> dict[str, Any]:
    created = f"{alert.created_at:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "id": alert.id,
        "providerAlertId": alert.provider_id,
        "status": alert.status,
        "severity": "medium",
        "classification": alert.classification,
        "determination": alert.determination,
        "serviceSource": "microsoftDefenderForCloud",
        "detectionSource": "microsoftDefenderForStorage",
        "title": "Unusual SAS token was used to access an Azure storage account from a public IP address",
        "category": "Exfiltration",
        "createdDateTime": created,
        "lastUpdateDateTime": created,
        "firstActivityDateTime": created,
        "lastActivityDateTime": created,
        "comments": [{"comment": known} for known in alert.comments],
        "evidence": [
            {"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "203.0.113.9"},
            {
                "@odata.type": "#microsoft.graph.security.sasTokenEvidence",
                "createdDateTime": created,
                "signatureHash": alert.signature_sha256.upper(),
                "signedWith": alert.signed_with,
                "permissions": ["Read", "Write", "List"],
                "allowedServices": ["Blob"],
                "allowedResourceTypes": ["Service", "Container", "Object"],
                "allowedIpAddresses": "Allows all IP addresses",
                "protocol": "https",
                "startDateTime": None,
                "expiryDateTime": f"{alert.created_at + timedelta(days=400):%Y-%m-%dT%H:%M:%SZ}",
                "storageResource": {
                    "@odata.type": "#microsoft.graph.security.azureResourceEvidence",
                    "resourceId": alert.account_id,
                    "resourceName": alert.account_id.rpartition("/")[2],
                    "resourceType": "Microsoft.Storage/storageAccounts",
                },
            },
        ],
    }
