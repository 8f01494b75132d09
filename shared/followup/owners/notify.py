"""The mail to the account's owners, with a copy to the security mailbox."""

from dataclasses import dataclass
from datetime import datetime

from shared.cloud.graph import Graph
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.followup.briefing.build import brief
from shared.followup.mail.compose import compose
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends mails through Microsoft Graph."""

    graph: Graph
    settings: Settings

    async def send(self, revocation: Revocation, *, now: datetime) -> tuple[str, ...]:
        """Mail the state of `revocation`; return the recipients. Raises TransientFailure or Blocked."""
        briefing = brief(revocation, now=now)
        escalation = self.settings.escalation_mailbox if revocation.reason is Reason.UNDECIDED else None
        message = compose(
            briefing,
            to=tuple(owner.address for owner in revocation.owners or ()),
            security_mailbox=self.settings.security_mailbox,
            copies=(escalation,) if escalation is not None else (),
            console=self.settings.console,
        )
        await self.graph.send_mail(self.settings.mail_sender, message, finding_id=briefing.c3id)
        return message.recipients
