"""Incidents in Microsoft Sentinel, through Azure Resource Manager.

Azure/azure-rest-api-specs, Microsoft.SecurityInsights stable/2025-09-01, Incidents_CreateOrUpdate. The incident's
name is a GUID derived from the fingerprint, so filing is idempotent. A PUT replaces the incident. It is therefore
read before it is written: what people set is sent back, together with the ETag of what was read.
"""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient

from shared.cloud.arm import json_of
from shared.cloud.errors import translate_errors
from shared.domain.states import State
from shared.domain.text import inert
from shared.errors import NotFound, TransientFailure
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import CLOSED, PAGES, steps, summary
from shared.settings import IncidentSink

_VERSION = "api-version=2025-09-01"
_NAMESPACE = uuid.UUID("6b1f7f0e-6f0c-4c39-9c0a-5a0a7a1d2f10")  # ours, for incidents' names
_LONGEST_TITLE, _LONGEST = 150, 5000
_SEVERITIES = {"critical": "High", "high": "High", "medium": "Medium", "low": "Low"}
_ATTEMPTS = 3
_COMMENT = "Closed by Sasquash."  # distinguishes our classification from a person's
_LABEL = "sasquash"
_OUR_LABELS = frozenset({_LABEL, *State})
# Set when the incident is created, and left to people then: the severity of a leak does not change with its state.
_LEFT_TO_PEOPLE = ("severity", "firstActivityTimeUtc", "lastActivityTimeUtc")
_CLOSING = ("classification", "classificationReason", "classificationComment")


class SentinelIncidents:
    """Incidents of one workspace. `workspace` is its ARM id."""

    name: ClassVar[IncidentSink] = IncidentSink.SENTINEL

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
        """See Incidents. Raises TransientFailure if somebody else keeps changing it."""
        await self._write(item_id, briefing, may_open=briefing.state in PAGES)

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:  # noqa: ARG002 -- the text has it
        """See Incidents. What a person closed in this state stays closed."""
        await self._write(item_id, briefing, may_open=False)

    async def _write(self, item_id: str, briefing: Briefing, *, may_open: bool) -> None:
        path = f"{self._incidents}/{uuid.UUID(item_id)}?{_VERSION}"
        for _ in range(_ATTEMPTS):
            if await self._put(path, _body(briefing, await self._read(path), may_open=may_open)):
                return
        raise TransientFailure("Filing the incident failed: others kept changing it. Try again later.")

    async def _read(self, path: str) -> Mapping[str, Any]:
        """Return the incident; empty if there is none yet."""
        try:
            return await json_of(self._client, HttpRequest("GET", path), doing="Reading the incident")
        except NotFound:
            return {}

    async def _put(self, path: str, body: object) -> bool:
        """Return whether it was replaced. False: it changed since it was read (Azure/Azure-Sentinel#909)."""
        with translate_errors("Filing the incident"):
            response = await self._client.send_request(HttpRequest("PUT", path, json=body))
            await response.read()
            try:
                response.raise_for_status()
            except HttpResponseError as error:
                if error.status_code == 409 and error.error is not None and error.error.code == "Conflict":
                    return False
                raise
        return True


def _body(briefing: Briefing, read: Mapping[str, Any], *, may_open: bool) -> dict[str, object]:
    """Return the incident as it has to be, given the one that was read. Read-only properties are left out."""
    existing: Mapping[str, Any] = read.get("properties") or {}
    text = f"{summary(briefing)}\n\nNext steps:\n{steps(briefing) or 'No further action is needed.'}"
    properties = {
        "severity": _SEVERITIES.get(briefing.severity, "High"),
        **{name: existing[name] for name in _LEFT_TO_PEOPLE if existing.get(name)},
        "title": inert(title(briefing), limit=_LONGEST_TITLE),
        "description": text[:_LONGEST],
        "labels": [{"labelName": name} for name in _labels(briefing, existing)],
        **_status(briefing, existing, may_open=may_open),
        **_owner(existing),
    }
    return {"properties": properties, **({"etag": read["etag"]} if read else {})}


def _labels(briefing: Briefing, existing: Mapping[str, Any]) -> list[str]:
    """Return our two labels and those of people. The label of an earlier state is removed."""
    others = (str(label.get("labelName") or "") for label in existing.get("labels") or ())
    return [_LABEL, inert(briefing.state, limit=40), *(name for name in others if name and name not in _OUR_LABELS)]


def _status(briefing: Briefing, existing: Mapping[str, Any], *, may_open: bool) -> dict[str, object]:
    """Return status and classification. `may_open`: whether an incident that a person closed is opened."""
    status = existing.get("status")
    closed_by_a_person = status == "Closed" and existing.get("classificationComment") != _COMMENT
    if closed_by_a_person and not may_open:
        return {"status": "Closed", **{name: existing[name] for name in _CLOSING if existing.get(name)}}
    if briefing.state not in CLOSED:
        return {"status": status if status in ("New", "Active") else "Active"}
    closing: dict[str, object] = {"status": "Closed", "classificationComment": _COMMENT}
    if briefing.state == "closed" or briefing.reason == "covered":
        # Every classification but Undetermined is refused without a reason (demisto/content#34306).
        return closing | {"classification": "TruePositive", "classificationReason": "SuspiciousActivity"}
    return closing | {"classification": "Undetermined"}


def _owner(existing: Mapping[str, Any]) -> dict[str, object]:
    """Return the assignment. An incident whose owner is left out becomes unassigned (demisto/content#28920)."""
    owner = {name: value for name, value in (existing.get("owner") or {}).items() if value is not None}
    return {"owner": owner} if owner else {}
