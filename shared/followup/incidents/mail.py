"""No incident system is set: the mails to the security mailbox are the incident.

Every state that other sinks file is mailed anyway (`pending_steps`), with a copy to that mailbox. Only what is
found later, in the same state, has to be sent from here.
"""

from dataclasses import dataclass
from typing import ClassVar

from shared.cloud.graph import Graph
from shared.domain.text import clean
from shared.followup.briefing.model import Briefing
from shared.followup.mail.compose import compose
from shared.settings import IncidentSink, Settings

_ITEM = "mail"
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class MailIncidents:
    """Incidents that are mails."""

    name: ClassVar[IncidentSink] = IncidentSink.MAIL

    graph: Graph
    settings: Settings

    async def file(self, briefing: Briefing) -> str:  # noqa: ARG002 -- the step that sends mails has it
        """See Incidents: its first mail is the incident."""
        return _ITEM

    async def update(self, item_id: str, briefing: Briefing) -> None:
        """See Incidents: each state has its mail."""

    async def amend(self, item_id: str, briefing: Briefing, *, news: str) -> None:  # noqa: ARG002 -- there is only one
        """See Incidents: mail it to the security mailbox. A run that is repeated may send it again."""
        message = compose(
            briefing,
            to=(),
            security_mailbox=self.settings.security_mailbox,
            console=self.settings.console,
            news=clean(news, limit=_LONGEST),
        )
        await self.graph.send_mail(self.settings.mail_sender, message, finding_id=briefing.c3id)
