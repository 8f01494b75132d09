"""The activity log of Azure Resource Manager: who changed a resource, and when.

REST: Activity Logs - List (Microsoft.Insights, 2015-04-01). Its `$filter` allows few patterns, and its `$select` does
not know `caller`: whole events are read. "Azure Activity Log event schema", Administrative category: the start and
the success or failure of an operation are events of their own, with one `operationId`, and `caller` is the principal
name of a user or a service. The request may be in the start alone: "Alert on privileged Azure role assignments" reads
it there. "Activity log in Azure Monitor": events are kept for 90 days.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from shared.cloud.arm import ArmReader
from shared.domain.account import AccountFacts
from shared.domain.text import clean

KEPT = timedelta(days=89)
"""How far back the log is read: it has ninety days."""

_MOST_PAGES = 50
_MOST_EVENTS = 5000
_LONGEST = 200  # characters of a text
_LONGEST_BODY = 64 * 1024  # characters of a request
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityEvent:
    """An event. Its texts are harmless, and may be empty; ids are GUIDs in lower case, or empty.

    `caller` is who they say in `claims` of a token that Azure verified: the user's principal name, or an id.
    `object_id` and `application` are of the same token. `request` is the body of the call, where the log has it.
    """

    operation: str
    status: str
    at: datetime | None
    caller: str = ""
    object_id: str = ""
    application: str = ""
    address: str = ""
    operation_id: str = ""
    correlation_id: str = ""
    request: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether it is the end of an operation that did what it was asked for."""
        return self.status == "Succeeded"


@dataclass(frozen=True, slots=True)
class Activity:
    """The events of a resource. Not `complete`: there are more than are read."""

    events: tuple[ActivityEvent, ...]
    complete: bool = True

    def succeeded(self, operation: str) -> tuple[ActivityEvent, ...]:
        """Return the successes of an operation; ARM compares its name without regard to case."""
        wanted = operation.lower()
        return tuple(each for each in self.events if each.succeeded and each.operation.lower() == wanted)


@dataclass(frozen=True, slots=True)
class ActivityLog:
    """Reads the activity log of one resource."""

    arm: ArmReader

    async def of(
        self, account: AccountFacts, resource: str, *, since: datetime, until: datetime | None = None
    ) -> Activity:
        """Return the events of the account, or of a resource below. Raises TransientFailure or Blocked.

        `resource` is its id in ARM. Each success has the request of its start.
        """
        end = f" and eventTimestamp le '{_time(until + timedelta(seconds=1))}'" if until is not None else ""
        where = f"eventTimestamp ge '{_time(since)}'{end} and resourceUri eq '{resource}'"
        path = (
            f"/subscriptions/{account.subscription}/providers/Microsoft.Insights/eventtypes/management/values"
            f"?api-version=2015-04-01&$filter={quote(where)}"
        )
        doing = f"Reading the activity log of {account.name}"
        events: list[ActivityEvent] = []
        pages = 0
        async for page in self.arm.pages(account.subscription, path, doing=doing):
            pages += 1
            if pages > _MOST_PAGES or len(events) + len(page) > _MOST_EVENTS:
                return Activity(_with_requests(events), complete=False)
            events += map(_event, page)
        return Activity(_with_requests(events))


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _with_requests(events: Iterable[ActivityEvent]) -> tuple[ActivityEvent, ...]:
    """Return the events, each with the request that another event of its operation has."""
    kept = tuple(events)
    requests = {each.operation_id: each.request for each in kept if each.operation_id and each.request is not None}
    return tuple(each if each.request else replace(each, request=requests.get(each.operation_id)) for each in kept)


def _event(row: Mapping[str, Any]) -> ActivityEvent:
    claims = _mapping(row.get("claims"))
    return ActivityEvent(
        operation=_text(_mapping(row.get("operationName")).get("value")),
        status=_text(_mapping(row.get("status")).get("value")),
        at=_moment(row.get("eventTimestamp")),
        caller=_text(row.get("caller")),
        object_id=_guid(claims.get(_OBJECT_ID)),
        application=_guid(claims.get("appid")),
        address=_text(_mapping(row.get("httpRequest")).get("clientIpAddress")),
        operation_id=_guid(row.get("operationId")),
        correlation_id=_guid(row.get("correlationId")),
        request=_request(_mapping(row.get("properties")).get("requestbody")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return clean(value, limit=_LONGEST) if isinstance(value, str) else ""


def _guid(value: object) -> str:
    text = value.lower() if isinstance(value, str) else ""
    return text if _GUID.fullmatch(text) else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _request(value: object) -> Mapping[str, Any] | None:
    """Return the body of a request, which its sender wrote: an object of JSON, or None."""
    if not isinstance(value, str) or len(value) > _LONGEST_BODY:
        return None
    try:
        body = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
