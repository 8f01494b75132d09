"""One incident an hour for all unconfirmed findings of a kind: anybody can make them up by the thousand.

The first finding of an hour has it filed at once. A timer brings it up to date: how many there are by then, and
which is the worst. It is closed when none of them is open any more. A finding that is confirmed meanwhile leaves it,
and gets an incident of its own (`pending_steps.mailed_at_once`).
"""

import asyncio
import hashlib
import logging
from bisect import insort
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from shared.domain.revocation import Revocation
from shared.domain.summary_line import SummaryLine
from shared.errors import SasquashError
from shared.followup.briefing.group import SHOWN, brief_group, where
from shared.followup.briefing.model import Briefing
from shared.followup.incidents.sharepoint import Incidents
from shared.persistence.hourly_groups import Group, HourlyGroups, Member
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_NONE_OPEN = "none open"


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyIncidents:
    """Files and updates these incidents.

    `incidents` is called when there is something to write, after `warm_up`, which imports what it needs on a thread.
    """

    groups: HourlyGroups
    incidents: Callable[[], Incidents]
    warm_up: Callable[[], None]
    store: Store

    async def join(self, revocation: Revocation) -> str:
        """Add a record to the incident of its kind; return the group's id. Idempotent. Raises SasquashError.

        One that is in the incident of its kind already stays in it.
        """
        line, filed = SummaryLine.of(revocation), revocation.filed
        if filed is not None and filed.shared and (filed.state, filed.reason) == (line.state, line.reason):
            await self.groups.put(filed.item_id, line)
            return filed.item_id
        group, is_new = await self.groups.join(line)
        if is_new:  # else the timer does
            await self._try(group)
        return group

    async def refresh(self, revocation: Revocation) -> None:
        """Have the incident show what the record says now, if it is in one. Raises SasquashError."""
        filed = revocation.filed
        if filed is not None and filed.shared:
            await self.groups.put(filed.item_id, SummaryLine.of(revocation))

    async def leave(self, revocation: Revocation) -> None:
        """Take a record out of the incident that it shared. Idempotent. Raises SasquashError."""
        filed = revocation.filed
        if filed is not None and filed.shared:
            await self.groups.leave(filed.item_id, revocation.fingerprint)

    async def forget(self, group: str, gone: Collection[str]) -> None:
        """Remove findings whose records are gone from a group. Its incident is not written for that.

        Raises SasquashError. Nothing is removed while another instance writes the incident, nor a finding whose row
        can't be read.
        """
        held = await self.groups.begin_writing(group)
        if held is None:
            return
        everything, rest, read = _Shown(), _Shown(), list[str]()
        try:
            async for member in self.groups.members(group):
                everything.add(member)
                if member.line.fingerprint in gone:
                    read.append(member.line.fingerprint)
                else:
                    rest.add(member)
            if held.shown == everything.value:
                held = replace(held, shown=rest.value)
        finally:
            await self.groups.end_writing(held)
        await self.groups.remove(group, read)

    async def update(self) -> None:
        """Bring every incident up to date. One that fails stops no other, and is tried again the next time.

        Raises where the groups can't be read, and at the end what was unexpected.
        """
        unexpected: list[Exception] = []
        for changed in await self.groups.changed():
            try:
                if await self._try(changed.id):
                    await self.groups.settle(changed)
            except Exception as error:  # noqa: BLE001 -- it holds up no other group, and is raised below
                _log.error("The incident %s failed: unexpected %s.", changed.id[:12], type(error).__name__)
                unexpected.append(error)
        if unexpected:
            raise ExceptionGroup("Incidents of unconfirmed findings were not brought up to date.", unexpected)

    async def _try(self, group: str) -> bool:
        """Bring an incident up to date; return whether it is."""
        try:
            return await self._update(group)
        except SasquashError as error:
            _log.warning(
                "The incident of unconfirmed findings %s waits for the next pass (%s): %s",
                group[:12],
                error.code,
                error,
            )
            return False

    async def _update(self, group: str) -> bool:
        held = await self.groups.begin_writing(group)
        if held is None:
            return False
        try:
            held = await self._written(held)
        finally:
            await self.groups.end_writing(held)
        return True

    async def _written(self, held: Group) -> Group:
        """Write the incident, where it does not show all; return how it is now."""
        members = await _gathered(self.groups.members(held.id))
        await asyncio.to_thread(self.warm_up)
        incidents, shown = self.incidents(), members.shown
        is_filed = held.item_id is not None and held.sink == incidents.name
        if members.first is None or (is_filed and held.shown == shown):
            return held
        briefing = await self._briefing(held.id, members, kind=members.first)
        if briefing is None or (not is_filed and briefing.state == "dismissed"):
            return held  # all was settled before there was an incident
        item_id = held.item_id
        if item_id is None or not is_filed:
            item_id = await incidents.file(briefing)
        else:
            await incidents.update(item_id, briefing)
        return replace(held, item_id=item_id, sink=incidents.name, shown=shown)

    async def _briefing(self, group: str, members: "_Members", *, kind: SummaryLine) -> Briefing | None:
        for line in members.worst or [kind]:  # the worst whose record can be read
            worst = await self.store.revocations.readable(line.fingerprint)
            if worst is not None:
                break
        else:
            return None
        return brief_group(
            group,
            worst_open=members.worst,
            places=members.places,
            total=members.total,
            worst=worst,
            kind=kind,
            now=self.store.clock(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """What an incident says of its findings. `places` counts the open ones; `shown` is a hash of what it shows.

    A finding that leaves others in it does not change `shown`. So an incident that a person has closed is opened by a
    new finding, and not by one that is dealt with.
    """

    first: SummaryLine | None
    total: int
    worst: Sequence[SummaryLine]
    places: Counter[str]
    shown: str


class _Shown:
    """What an incident shows of its findings, as a hash that is built while they are read."""

    def __init__(self) -> None:
        self.total = 0
        self._is_open = False
        self._digest = hashlib.sha256(b"[")

    def add(self, member: Member) -> None:
        """Take in the next finding, by fingerprint."""
        self._digest.update(f"{', ' if self.total else ''}{member.line!r}".encode(errors="surrogatepass"))
        self.total += 1
        self._is_open = self._is_open or member.is_open

    @property
    def value(self) -> str:
        if not self._is_open:
            return f"{_NONE_OPEN}: {self.total}"
        digest = self._digest.copy()
        digest.update(b"]")
        return digest.hexdigest()


async def _gathered(members: AsyncIterator[Member]) -> _Members:
    """Count them as they are read, and keep the worst that are open."""
    first, shown, places = None, _Shown(), Counter[str]()
    worst: list[SummaryLine] = []
    async for member in members:
        line = member.line
        shown.add(member)
        first = first or line
        if member.is_open:
            places[where(line)] += 1
            insort(worst, line, key=lambda one: one.rank)
            del worst[SHOWN:]
    return _Members(first=first, total=shown.total, worst=worst, places=places, shown=shown.value)
