"""Sends the summary mail: one an hour about all unconfirmed findings of a kind (`persistence.summary_lines`).

A mail is about `MOST` lines at most; the rest goes into the next one. An instance that ends after the mail was sent,
and before that is noted, has the next one send it again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from shared.cloud.graph import Graph
from shared.domain.message import Message
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine, kind_of
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing
from shared.followup.mail.compose import compose
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from shared.persistence.store import Store
from shared.persistence.summary_lines import MOST, StoredLine, SummaryLines
from shared.settings import Settings

_HEADER = "digest"
_URGENT = frozenset({State.FAILED.value, State.AWAITING_APPROVAL.value})


@dataclass(frozen=True, slots=True)
class SummaryMail:
    """Keeps the lines of the next summary mails, and sends them.

    `graph` is called when there is something to send, after `warm_up`, which imports it on a thread.
    """

    lines: SummaryLines
    _: KW_ONLY
    graph: Callable[[], Graph]
    warm_up: Callable[[], None]
    settings: Settings
    store: Store

    async def add(self, revocation: Revocation) -> None:
        """Add the record's state to the next summary mail. Idempotent. Raises TransientFailure."""
        await self.lines.add(SummaryLine.of(revocation))

    async def remove(self, revocation: Revocation) -> None:
        """Take a record that has left the state of its shared incident out of the next mail. Idempotent."""
        filed = revocation.filed
        if filed is None or (filed.state, filed.reason) == (revocation.state, revocation.reason):
            return
        await self.lines.remove(kind=kind_of(filed.state, filed.reason), fingerprint=revocation.fingerprint)

    async def send(self) -> None:
        """Mail the lines of each kind that was not mailed within the hour, unless another instance is sending.

        Raises TransientFailure or Blocked.
        """
        if not await self.lines.any_wait() or not await self.lines.lock():
            return
        try:
            await self.lines.remove_mailed()  # what an instance has left that ended before all was removed
            tally, stored = await self._due()
            if not stored:
                return
            await asyncio.to_thread(self.warm_up)
            worst = [briefing for line in tally.kinds.values() if (briefing := await self._in_full(line)) is not None]
            message = self._message(tally, worst)
            await self.graph().send_mail(self.settings.mail_sender, message, finding_id=_HEADER)
            await self.lines.note_mailed(tally.kinds, stored)
            await self.lines.remove_mailed()
        finally:
            await self.lines.unlock()

    def _message(self, tally: Tally, worst: Sequence[Briefing]) -> Message:
        """Return the mail. One urgent finding has the mail that it would have alone."""
        mailbox = self.settings.security_mailbox
        if tally.total == 1 and worst and worst[0].state in _URGENT:
            return compose(worst[0], to=(), security_mailbox=mailbox, console=self.settings.console)
        return compose_summary(tally, security_mailbox=mailbox, worst=worst)

    async def _due(self) -> tuple[Tally, list[StoredLine]]:
        """Return what the next mail is about, and the rows of its lines."""
        tally, rows = Tally(), list[StoredLine]()
        async for row, line in self.lines.due(most=MOST + 1):
            if len(rows) == MOST:
                tally.is_cut = True
                break
            tally.add(line)
            rows.append(row)
        return tally, rows

    async def _in_full(self, line: SummaryLine) -> Briefing | None:
        """Return the briefing of a line's record, None where it is in another state by now."""
        record = await self.store.revocations.readable(line.fingerprint)
        if record is None or (record.state, record.reason) != (line.state, line.reason):
            return None
        return brief(record, now=self.store.clock())
