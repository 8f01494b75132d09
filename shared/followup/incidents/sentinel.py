"""Incidents in Microsoft Sentinel, through Azure Resource Manager.

REST: Incidents - Create Or Update (2025-09-01). The incident's name is a GUID derived from the fingerprint,
so filing is idempotent. It is read before it is written, since an update requires its ETag.
"""

import contextlib
import uuid
from collections.abc import Mapping
from typing import Any

from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient

from shared.cloud.arm import json_of
from shared.domain.text import inert
from shared.errors import NotFound
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import CLOSED, steps, summary

_VERSION = "api-version=2025-09-01"
_NAMESPACE = uuid.UUID("6b1f7f0e-6f0c-4c39-9c0a-5a0a7a1d2f10")  # ours, for incidents' names
_LONGEST_TITLE, _LONGEST = 150, 5000
_SEVERITIES = {"critical": "High", "high": "High", "medium": "Medium", "low": "Low"}


class SentinelIncidents:
    """Incidents of one workspace. `workspace` is its ARM id."""

    def __init__(self, client: StorageManagementClient, *, workspace: str) -> None:
        """`client` is any ARM client: it sends the requests."""
        self._client = client
        self._incidents = f"{workspace}/providers/Microsoft.SecurityInsights/incidents"

    async def file(self, briefing: Briefing) -> str:
        """See Incidents: the id is the incident's name."""
        name = str(uuid.uuid5(_NAMESPACE, briefing.fingerprint))
        await self.update(name, briefing)
        return name

    async def update(self, item_id: str, briefing: Briefing) -> None:
        """See Incidents."""
        path = f"{self._incidents}/{uuid.UUID(item_id)}?{_VERSION}"
        body: dict[str, object] = {"properties": _properties(briefing)}
        with contextlib.suppress(NotFound):  # then it is created now
            body["etag"] = (await self._send("GET", path, doing="Reading the incident"))["etag"]
        await self._send("PUT", path, doing="Filing the incident", body=body)

    async def _send(self, method: str, path: str, *, doing: str, body: object = None) -> Mapping[str, Any]:
        return await json_of(self._client, HttpRequest(method, path, json=body), doing=doing)


def _properties(briefing: Briefing) -> dict[str, object]:
    is_closed = briefing.state in CLOSED
    text = f"{summary(briefing)}\n\nNext steps:\n{steps(briefing) or 'No further action is needed.'}"
    return {
        "title": inert(title(briefing), limit=_LONGEST_TITLE),
        "description": text[:_LONGEST],
        "severity": _SEVERITIES.get(briefing.severity, "High"),
        "status": "Closed" if is_closed else "Active",
        "labels": [{"labelName": "sasquash"}, {"labelName": inert(briefing.state, limit=40)}],
        **({"classification": _classification(briefing)} if is_closed else {}),
    }


def _classification(briefing: Briefing) -> str:
    return "TruePositive" if briefing.state == "closed" or briefing.reason == "covered" else "Undetermined"
