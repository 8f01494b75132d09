"""What becomes of a plan that nobody decided on in time: it is escalated, or revoked where the settings allow it.

The record said from the start which of the two it would be (`Revocation.at_deadline`), and so did incident and mail.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from shared.domain import transitions
from shared.domain.revocation import Revocation, State
from shared.persistence.accounts import AccountTable, waiting_partition
from shared.persistence.queues import SAFETY_NET, Queues
from shared.persistence.revocations import Ledger

_log = logging.getLogger(__name__)


class ApprovalDeadlines:
    """Settles plans past their deadline."""

    def __init__(self, *, ledger: Ledger, table: AccountTable, queues: Queues, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._table = table
        self._queues = queues
        self._clock = clock

    async def settle(self, revocation: Revocation) -> None:
        """Do what is due to a plan whose deadline has come; nothing before, or where somebody has decided.

        It is one write, guarded by the record's ETag: of a person and the deadline, the first counts. Containment's
        message goes out before it, and carries on what was written should this worker die after that.
        """
        now = self._clock()
        if transitions.overdue(revocation, now=now) is None:
            return
        await self._table.add_waiting(waiting_partition(revocation.finding), revocation.finding)
        await self._queues.contain(revocation.fingerprint, delay=SAFETY_NET)
        settled = await self._ledger.change(
            revocation.fingerprint,
            lambda current: transitions.overdue(current, now=now),
            what="Nobody decided until the deadline.",
        )
        if settled is None:
            return
        _log.warning("Nobody decided on %s in time: it is %s.", settled.fingerprint[:12], settled.state)
        if settled.state is State.RECEIVED:
            await self._queues.contain(settled.fingerprint, delay=0)
        else:
            await self._queues.follow_up(settled.fingerprint)
