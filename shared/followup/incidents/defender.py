"""Incidents in the Microsoft Defender portal: creates an alert and updates its incident.

Graph: `createAlert` (beta: alerts are created nowhere else), "Get incident", "Update incident" and "Create comment"
(v1.0). The first one is not idempotent: the incident is searched for before, by the mark in its name, and again after
an answer was lost. An update leaves what it does not name, but replaces `customTags` as a whole. An incident has no
ETag in Graph, so it is read just before. One that was merged with another stays as it is: that other one gets tag and
comment, and keeps its status, since it is about more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from shared.cloud.http import Rest
from shared.domain.states import State
from shared.domain.text import inert
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import CLOSED, PAGES, steps, summary
from shared.settings import IncidentSink

_CREATE = "/beta/security/alerts_v2/createAlert"
_INCIDENTS = "/v1.0/security/incidents"
_MAY_CREATE, _MAY_WRITE = "Graph SecurityAlert.Create.All", "Graph SecurityIncident.ReadWrite.All"
_LONGEST_TITLE, _LONGEST, _LONGEST_COMMENT = 200, 5000, 1000
_SEVERITIES = {"critical": "high", "high": "high", "medium": "medium", "low": "low"}
_TAG = "sasquash"
_OUR_TAGS = frozenset({_TAG, *State})
_PAGE, _LONGEST_SKIP = 50, 500
_MOST_MERGES = 5  # one after another
_EARLIER = timedelta(minutes=10)  # clocks differ


@dataclass(frozen=True, slots=True)
class DefenderIncidents:
    """Incidents through Microsoft Graph, as the app's identity."""

    name: ClassVar[IncidentSink] = IncidentSink.DEFENDER

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
        number, existing = await self._current(item_id)
        is_merged = number != int(item_id)
        body = _tags(briefing, existing) | ({} if is_merged else _resolution(briefing, existing))
        await self.rest.call(
            "PATCH", f"{_INCIDENTS}/{number}", doing="Updating the incident", right=_MAY_WRITE, body=body
        )
        await self._comment(number, f"{title(briefing)}: {briefing.done} {briefing.proven}")

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:  # noqa: ARG002 -- only the news is new
        """See Incidents: a comment."""
        number, _ = await self._current(item_id)
        await self._comment(number, news)

    async def _current(self, item_id: str) -> tuple[int, Mapping[str, Any]]:
        """Return the incident and its number, or those of the one that it was merged into, at last."""
        number, existing = int(item_id), await self._read(int(item_id))
        for _ in range(_MOST_MERGES):
            merged_into = str(existing.get("redirectIncidentId") or "")
            if _status(existing) != "redirected" or not merged_into.isdecimal():
                break
            number = int(merged_into)
            existing = await self._read(number)
        return number, existing

    async def _comment(self, number: int, text: str) -> None:
        body = {
            "@odata.type": "microsoft.graph.security.alertComment",
            "comment": inert(text, limit=_LONGEST_COMMENT),
        }
        path = f"{_INCIDENTS}/{number}/comments"
        await self.rest.call("POST", path, doing="Updating the incident", right=_MAY_WRITE, body=body)

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

    async def _read(self, number: int) -> Mapping[str, Any]:
        read = await self.rest.call("GET", f"{_INCIDENTS}/{number}", doing="Reading the incident", right=_MAY_WRITE)
        return read if isinstance(read, Mapping) else {}

    async def _find(self, briefing: Briefing) -> str | None:
        """Return the incident whose name has our mark. Graph filters by time, not by name, the latest first.

        A page has 50 at most, and `$skip` is 500 at most (msgraph docs, security-list-incidents;
        elastic/integrations#20234).
        """
        since = briefing.received_at - _EARLIER
        query = {"$filter": f"createdDateTime ge {since:%Y-%m-%dT%H:%M:%SZ}", "$top": str(_PAGE)}
        mark = _mark(briefing)
        for skip in range(0, _LONGEST_SKIP + 1, _PAGE):
            page = await self.rest.call(
                "GET",
                _INCIDENTS,
                doing="Finding the incident",
                right=_MAY_WRITE,
                query=query | ({"$skip": str(skip)} if skip else {}),
            )
            rows: list[Any] = page.get("value") or [] if isinstance(page, Mapping) else []
            ids = (row.get("id") for row in rows if isinstance(row, Mapping) and mark in str(row.get("displayName")))
            found = next((str(each) for each in ids if str(each).isdecimal()), None)
            if found is not None or len(rows) < _PAGE:
                return found
        return None


def _tags(briefing: Briefing, existing: Mapping[str, Any]) -> dict[str, object]:
    """Return our two tags and those of people. The tag of an earlier state is removed."""
    others = [str(tag) for tag in existing.get("customTags") or () if str(tag) not in _OUR_TAGS]
    return {"customTags": [_TAG, inert(briefing.state, limit=40), *others]}


def _resolution(briefing: Briefing, existing: Mapping[str, Any]) -> dict[str, object]:
    """Return the status and classification to set. What a person resolved stays, unless it needs a person.

    Only Defender's own experts set `awaitingAction` (resources/security-incident): the tag says what needs a person.
    """
    tags = {str(tag) for tag in existing.get("customTags") or ()}
    resolved_by_a_person = _status(existing) == "resolved" and not CLOSED & tags
    if briefing.state in PAGES:
        return {"status": "active"}
    if resolved_by_a_person:
        return {}
    if briefing.state not in CLOSED:
        return {"status": "inProgress"}
    classified = {"classification": "truePositive", "determination": "other"} if briefing.state == "closed" else {}
    return {"status": "resolved", **classified}


def _status(incident: Mapping[str, Any]) -> str:
    """Return the status in one form: the examples of Graph capitalize it."""
    text = str(incident.get("status") or "")
    return text[:1].lower() + text[1:]


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
