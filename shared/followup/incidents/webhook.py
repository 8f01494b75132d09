"""Incidents posted to a URL: ServiceNow, Jira, PagerDuty, or a gateway in front of them.

Signed according to Standard Webhooks 1.0.0, as the intake requires of others. `incident.id` is the leak's
fingerprint, so that a receiver can ignore repetitions. docs/incidents.md has the body.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import ClassVar

from shared.cloud.http import Rest
from shared.domain.text import defang, inert
from shared.errors import Blocked
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import PAGES, steps, summary
from shared.setting_parsers import webhook_key
from shared.settings import IncidentSink

_RIGHT = "a secret that the receiver knows (SASQUASH_INCIDENT_WEBHOOK_SECRET)"
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class WebhookIncidents:
    """Posts each incident and each update to one URL.

    `rest` is the URL's origin, `path` the rest of it; `secret` reads the text `whsec_…`.
    """

    name: ClassVar[IncidentSink] = IncidentSink.WEBHOOK

    rest: Rest
    path: str
    _: KW_ONLY
    secret: Callable[[], Awaitable[str]]
    clock: Callable[[], datetime]

    async def file(self, briefing: Briefing) -> str:
        """See Incidents: the id is the fingerprint."""
        await self._post("incident.filed", briefing)
        return briefing.fingerprint

    async def update(self, item_id: str, briefing: Briefing) -> None:  # noqa: ARG002 -- the briefing has it
        """See Incidents."""
        await self._post("incident.updated", briefing)

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:  # noqa: ARG002 -- the summary has it
        """See Incidents."""
        await self.update(item_id, briefing)

    async def _post(self, kind: str, briefing: Briefing) -> None:
        body = _body(kind, briefing)
        # Derived from the content: a repetition after a lost answer has the same id.
        content = json.dumps(body, separators=(",", ":")).encode()
        name = f"msg_{hashlib.sha256(content).hexdigest()[:32]}"
        at = int(self.clock().timestamp())
        signature = _signature(await self.secret(), name, at, content)
        headers = {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}
        await self.rest.content(
            "POST", self.path, doing="Posting the incident", right=_RIGHT, headers=headers, content=content
        )


def _signature(secret: str, name: str, at: int, content: bytes) -> str:
    try:
        key = webhook_key(secret)
    except ValueError:
        raise Blocked("SASQUASH_INCIDENT_WEBHOOK_SECRET names no Standard Webhooks secret. Set one.") from None
    signed = f"{name}.{at}.".encode() + content
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def _body(kind: str, briefing: Briefing) -> dict[str, object]:
    return {
        "type": kind,
        "incident": {
            "id": briefing.fingerprint,
            "title": inert(title(briefing), limit=255),
            "severity": inert(briefing.severity),
            "state": inert(briefing.state),
            "reason": briefing.reason,
            "page": briefing.state in PAGES,
            "account": inert(briefing.account) if briefing.account else None,
            "account_id": briefing.account_id,
            "key": briefing.key_name,
            "source": inert(defang(briefing.source)),
            "owners": [owner.address for owner in briefing.owners],
            "detected_at": briefing.detected_at.astimezone(UTC).isoformat(),
            "summary": summary(briefing)[:_LONGEST],
            "next_steps": steps(briefing)[:_LONGEST],
        },
    }
