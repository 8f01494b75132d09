"""Incidents in the Microsoft Defender portal: creates an alert and updates its incident.

Graph: `createAlert` (beta: alerts are created nowhere else), "Update incident" and "Create comment" (v1.0). The
first one is not idempotent: the incident is searched for before, by the mark in its name, and again after an answer
was lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.cloud.http import Rest
from shared.domain.text import inert
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import CLOSED, PAGES, steps, summary

_CREATE = "/beta/security/alerts_v2/createAlert"
_INCIDENTS = "/v1.0/security/incidents"
_MAY_CREATE, _MAY_WRITE = "Graph SecurityAlert.Create.All", "Graph SecurityIncident.ReadWrite.All"
_LONGEST_TITLE, _LONGEST, _LONGEST_COMMENT = 200, 5000, 1000
_SEVERITIES = {"critical": "high", "high": "high", "medium": "medium", "low": "low"}
_EARLIER = timedelta(minutes=10)  # clocks differ


@dataclass(frozen=True, slots=True)
class DefenderIncidents:
    """Incidents through Microsoft Graph, as the app's identity."""

    rest: Rest

    async def file(self, briefing: Briefing) -> str:
        """See Incidents: the id is the incident's. Raises Blocked where no account is known."""
        found = await self._find(briefing)
        if found is None:
            found = await self._create(briefing)
        await self.update(found, briefing)
        return found

    async def update(self, item_id: str, briefing: Briefing) -> None:
        """See Incidents. The comment has what changed: an alert's text cannot be updated."""
        path = f"{_INCIDENTS}/{int(item_id)}"
        closed = briefing.state in CLOSED
        status = "resolved" if closed else "awaitingAction" if briefing.state in PAGES else "inProgress"
        body: dict[str, object] = {
            "status": status,
            "customTags": ["sasquash", inert(briefing.state, limit=40)],
            **({"classification": "truePositive", "determination": "other"} if briefing.state == "closed" else {}),
        }
        await self.rest.call("PATCH", path, doing="Updating the incident", right=_MAY_WRITE, body=body)
        comment = {
            "@odata.type": "microsoft.graph.security.alertComment",
            "comment": inert(f"{title(briefing)}: {briefing.done} {briefing.proven}", limit=_LONGEST_COMMENT),
        }
        await self.rest.call(
            "POST", f"{path}/comments", doing="Updating the incident", right=_MAY_WRITE, body=comment
        )

    async def _create(self, briefing: Briefing) -> str:
        if briefing.account_id is None:
            raise Blocked(
                "Defender accepts alerts about Azure resources only, and the account of this leak is unknown."
            )
        body = {"createAlertInput": _alert(briefing, briefing.account_id)}
        try:
            made = await self.rest.call("POST", _CREATE, doing="Filing the incident", right=_MAY_CREATE, body=body)
        except SasquashError:
            found = await self._find(briefing)  # it may have been created, and the answer lost
            if found is None:
                raise
            return found
        incident = made.get("incidentId") if isinstance(made, Mapping) else None
        if not isinstance(incident, str) or not incident.isdecimal():
            raise TransientFailure("Filing the incident failed: the response names no incident.")
        return incident

    async def _find(self, briefing: Briefing) -> str | None:
        """Return the incident whose name has our mark. Graph filters by time, not by name."""
        since = briefing.received_at - _EARLIER
        query = {"$filter": f"createdDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}", "$top": "50"}
        page = await self.rest.call("GET", _INCIDENTS, doing="Finding the incident", right=_MAY_WRITE, query=query)
        rows: list[Any] = page.get("value") or [] if isinstance(page, Mapping) else []
        mark = _mark(briefing)
        ids = (row.get("id") for row in rows if isinstance(row, Mapping) and mark in str(row.get("displayName")))
        return next((str(each) for each in ids if str(each).isdecimal()), None)


def _mark(briefing: Briefing) -> str:
    return f"[sasquash-{briefing.fingerprint[:16]}]"


def _alert(briefing: Briefing, account_id: str) -> dict[str, object]:
    mark = _mark(briefing)
    return {
        "title": f"{inert(title(briefing), limit=_LONGEST_TITLE - len(mark) - 1)} {mark}",
        "severity": _SEVERITIES.get(briefing.severity, "high"),
        "category": "CredentialAccess",
        "mitreTechniques": ["T1552.001"],  # Unsecured Credentials: Credentials In Files
        "description": summary(briefing)[:_LONGEST],
        "recommendedActions": steps(briefing)[:_LONGEST],
        "isExcludedFromCorrelation": True,
        "entityDefinitions": [
            {
                "entityType": "azureResource",
                "entityIdentifier": "resourceId",
                "role": "impacted",
                "identifierValue": account_id,
            }
        ],
    }
