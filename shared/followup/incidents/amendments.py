"""News about a record that come after its mail: they go into its incident."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.revocation import Revocation
from shared.followup.briefing.build import brief
from shared.followup.incidents.sharepoint import Incidents


@dataclass(frozen=True, slots=True)
class Amendments:
    """Adds news to incidents."""

    incidents: Incidents
    clock: Callable[[], datetime]

    async def add(self, revocation: Revocation, *, news: str) -> None:
        """Update the record's own incident, if there is one. Raises TransientFailure or Blocked."""
        filed, briefing = revocation.filed, brief(revocation, now=self.clock())
        if filed is None or filed.shared:
            return
        if filed.sink == self.incidents.name:
            await self.incidents.amend(filed.item_id, briefing, news=news)
        else:  # see IncidentStep; an incident that exists is updated
            await self.incidents.file(briefing)
