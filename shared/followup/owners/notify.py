"""Who is told of a revocation: the account's owners, and always the security mailbox."""

from datetime import datetime

from shared.cloud.arm import ArmReader
from shared.cloud.graph import Graph
from shared.domain.account import AccountFacts
from shared.domain.revocation import Reason, Revocation
from shared.followup.briefing.build import brief
from shared.followup.mail.compose import compose
from shared.followup.owners.lookup import Ownership
from shared.followup.owners.parsing import Owners
from shared.settings import Settings


class People:
    """Finds owners and mails them, through Graph."""

    def __init__(self, graph: Graph, arm: ArmReader, *, settings: Settings) -> None:
        self._graph = graph
        self._settings = settings
        self._ownership = Ownership(arm, graph, settings=settings)

    async def find(self, account: AccountFacts) -> Owners:
        """Return the owners of an account; addresses outside the allowed domains are rejected."""
        return await self._ownership.of(account)

    async def tell(self, revocation: Revocation, *, now: datetime) -> tuple[str, ...]:
        """Mail what `revocation` has come to; return the recipients. Raises TransientFailure or Blocked."""
        briefing = brief(revocation, now=now)
        addresses = tuple(owner.address for owner in revocation.owners or ())
        escalation = self._settings.escalation_mailbox if revocation.reason is Reason.UNDECIDED else None
        message = compose(
            briefing,
            to=addresses,
            security_mailbox=self._settings.security_mailbox,
            copies=(escalation,) if escalation is not None else (),
            desk=self._settings.console,
        )
        await self._graph.send_mail(self._settings.mail_sender, message, finding_id=briefing.c3id)
        return message.recipients
