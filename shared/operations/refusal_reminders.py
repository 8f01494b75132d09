"""The daily reminder of what Azure keeps refusing: one mail for each account and cause, so that no leak is forgotten.

People are notified of the first refusal at once, and again only for another cause. A leak that stays refused for
weeks would be forgotten. So each day they are reminded of what is still active, until nothing is refused any more.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from shared.cloud.graph import Graph
from shared.domain.message import Message
from shared.domain.states import Reason, State
from shared.errors import SasquashError
from shared.followup.mail.refused import RefusedGroup, RefusedGroups
from shared.followup.mail.reminder import compose_reminder, compose_rest, compose_unconfirmed
from shared.persistence.reminders import Reminders
from shared.persistence.store import Store
from shared.settings import Settings

_log = logging.getLogger(__name__)

MOST_MAILS = 50  # a day, beside the two that are shared
# Seconds until which records are read, and the last mail is begun, which takes 20 at most. The five minutes of a run
# are for the rechecks, too.
_READING = 50
_SENDING = 100
_REST, _UNCONFIRMED = "rest", "unconfirmed"
_HEADER = "reminder"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail of this pass. `id` is the same every day."""

    id: str
    compose: Callable[[], Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalReminders:
    """Sends the reminders of a day, each once: the pass may be run again, twice at a time, and end anywhere.

    `graph` is called when there is something to send, after `warm_up`, which imports it on a thread.
    """

    store: Store
    reminders: Reminders
    graph: Callable[[], Graph]
    warm_up: Callable[[], None]
    settings: Settings

    async def run(self) -> None:
        """Send what was not sent today. A mail that fails stops no other, and is left to the next day.

        So is a leak that is just being tried again. Raises SasquashError where records can't be read, and at the end
        the first error.
        """
        until = asyncio.get_running_loop().time() + _SENDING
        groups = await self._read()
        due = list(self._due(groups, await self.reminders.mailed()))
        if not due:
            return
        await asyncio.to_thread(self.warm_up)
        failed: list[Exception] = []
        for number, mail in enumerate(due):
            if asyncio.get_running_loop().time() > until:
                _log.error(
                    "Reminders: no time is left for %d of %d. The next day has them.", len(due) - number, len(due)
                )
                break
            try:
                await self._send(mail)
            except Exception as error:  # noqa: BLE001 -- it stops no other mail, and is raised below
                said = error if isinstance(error, SasquashError) else type(error).__name__
                _log.warning("A reminder was not sent: %s", said)
                failed.append(error)
        if failed:
            raise failed[0]

    async def _read(self) -> RefusedGroups:
        groups = RefusedGroups(now=self.store.clock())
        try:
            async with asyncio.timeout(_READING):
                async for record in self.store.revocations.in_state(State.FAILED, reasons=[Reason.BLOCKED]):
                    groups.add(record)
        except TimeoutError:
            groups.is_partial = True
            _log.error("Reminders: not all refused records were read in %d seconds.", _READING)
        return groups

    def _due(self, groups: RefusedGroups, mailed: Mapping[str, datetime]) -> Iterator[_Mail]:
        """Yield the mails that were not sent today: groups that were not mailed for longest come first."""
        today = {reminder for reminder, at in mailed.items() if self.reminders.is_today(at)}
        waiting = [group for group in groups.confirmed if group.id not in today]
        waiting.sort(key=lambda group: (mailed.get(group.id, _NEVER), group.since, group.id))
        own = max(MOST_MAILS - len(today - {_REST, _UNCONFIRMED}), 0)
        for group in waiting[:own]:
            yield _Mail(group.id, partial(self._reminder, group, is_partial=groups.is_partial))
        shared = (
            (_REST, compose_rest, waiting[own:], groups.confirmed_beyond),
            (_UNCONFIRMED, compose_unconfirmed, groups.unconfirmed, groups.unconfirmed_beyond),
        )
        for reminder, compose, several, beyond in shared:
            if several and reminder not in today:
                yield _Mail(
                    reminder,
                    partial(
                        compose,
                        several,
                        beyond=beyond,
                        security_mailbox=self.settings.security_mailbox,
                        console=self.settings.console,
                        is_partial=groups.is_partial,
                    ),
                )

    def _reminder(self, group: RefusedGroup, *, is_partial: bool) -> Message:
        return compose_reminder(
            group,
            security_mailbox=self.settings.security_mailbox,
            console=self.settings.console,
            is_partial=is_partial,
        )

    async def _send(self, mail: _Mail) -> None:
        held = await self.reminders.begin(mail.id)
        if held is None:
            return
        try:
            await self.graph().send_mail(self.settings.mail_sender, mail.compose(), finding_id=_HEADER)
        except Exception:
            await self.reminders.end(held, is_sent=False)
            raise
        await self.reminders.end(held, is_sent=True)
