"""Incidents as items of a SharePoint list, and the Protocol of all incident sinks."""

import re
from datetime import UTC
from typing import TYPE_CHECKING, ClassVar, Protocol

from shared.domain.text import defang, inert
from shared.errors import SasquashError
from shared.followup.briefing.headlines import title
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.text import steps, summary
from shared.settings import IncidentSink

if TYPE_CHECKING:
    from shared.cloud.graph import Graph

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ONE_LINE = 255  # SharePoint's limit for a column of type "single line of text"
_SEVERAL_LINES = 8000


class Incidents(Protocol):
    """An incident sink. Its methods may run twice and on two machines; all raise SasquashError.

    `name` is kept with each incident: an id means nothing to another sink.
    """

    name: ClassVar[IncidentSink]

    async def file(self, briefing: Briefing) -> str:
        """File exactly one incident for `briefing.fingerprint`; return its id."""

    async def update(self, item_id: str, briefing: Briefing) -> None:
        """Update the incident with `briefing`."""

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:
        """Update the incident with what was found after its state was filed; `news` is one English sentence."""


class SharePointIncidents:
    """Incidents as items of a SharePoint list, whose column FindingId is indexed and unique.

    https://learn.microsoft.com/graph/api/listitem-create
    """

    name: ClassVar[IncidentSink] = IncidentSink.SHAREPOINT

    def __init__(self, graph: "Graph", *, site: str, list_: str) -> None:
        self._graph = graph
        self._site = site
        self._list = list_

    async def file(self, briefing: Briefing) -> str:
        """See Incidents. Raises ValueError if the fingerprint is not 64 hex digits."""
        if not _FINGERPRINT.fullmatch(briefing.fingerprint):
            raise ValueError("a fingerprint is 64 lower-case hex digits; nothing else goes into a filter")
        found = await self._find(briefing.fingerprint)
        if found is not None:
            await self.update(found, briefing)
            return found
        try:
            return await self._graph.create_list_item(
                site=self._site,
                list_=self._list,
                fields={"FindingId": briefing.fingerprint, **_columns(briefing)},
            )
        except SasquashError:
            # It may have been created and the answer lost, or another instance was first: no error code of
            # SharePoint distinguishes a duplicate from an outage.
            found = await self._find(briefing.fingerprint)
            if found is None:
                raise
            return found

    async def update(self, item_id: str, briefing: Briefing) -> None:
        """See Incidents."""
        await self._graph.update_list_item(
            site=self._site, list_=self._list, item_id=item_id, fields=_columns(briefing)
        )

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:  # noqa: ARG002 -- the summary has it
        """See Incidents."""
        await self.update(item_id, briefing)

    async def _find(self, finding_id: str) -> str | None:
        return await self._graph.find_list_item(site=self._site, list_=self._list, finding_id=finding_id)


def _columns(briefing: Briefing) -> dict[str, str]:
    """The columns that change with the revocation; an empty text clears one."""
    return {
        "Title": inert(title(briefing), limit=_ONE_LINE),
        "Severity": inert(briefing.severity, limit=_ONE_LINE).capitalize(),
        "Status": inert(briefing.state, limit=_ONE_LINE),
        "Account": inert(briefing.account or "", limit=_ONE_LINE),
        "ResourceId": inert(briefing.account_id or "", limit=_ONE_LINE),
        "Key": inert(briefing.key_name or "", limit=_ONE_LINE),
        "Source": inert(defang(briefing.source), limit=_ONE_LINE),
        "Owners": inert("; ".join(owner.address for owner in briefing.owners), limit=_ONE_LINE),
        "DetectedAt": briefing.detected_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Summary": summary(briefing)[:_SEVERAL_LINES],
        "NextStep": steps(briefing)[:_SEVERAL_LINES],
    }
