"""Writes a verdict into the record and hands it over to the follow-up."""

import asyncio
from dataclasses import replace
from functools import partial

from shared.domain.revocation import Revocation, State
from shared.errors import Conflict
from shared.persistence.accounts import AccountTable, waiting_partition
from shared.persistence.queues import Queues
from shared.persistence.revocations import Ledger


class VerdictWriter:
    """Ends the wait of a finding."""

    def __init__(self, *, ledger: Ledger, table: AccountTable, queues: Queues) -> None:
        self._ledger = ledger
        self._table = table
        self._queues = queues

    async def conclude(self, revocation: Revocation) -> None:
        """Save a verdict and hand the record over to the follow-up. A record that others moved on is left to them.

        It is handed over even so: "others" are we ourselves where the answer to a first attempt was lost.
        """
        try:
            await self._ledger.save(revocation, what=revocation.detail)
        except Conflict:
            await self._ledger.change(revocation.fingerprint, partial(_onto, revocation), what=revocation.detail)
        await asyncio.gather(
            self._table.remove_waiting(waiting_partition(revocation.finding), revocation.fingerprint),
            self._queues.follow_up(revocation.fingerprint),
        )


def _onto(decided: Revocation, current: Revocation) -> Revocation | None:
    """Return `decided` with what others added to the record meanwhile; None when it was decided by them.

    A pull is always told of, whatever others decided while it was on its way.
    """
    if current.state is not State.RECEIVED and (decided.execution is None or current.execution is not None):
        return None
    return replace(
        decided,
        changes=(*current.changes, decided.changes[-1]),
        sightings=current.sightings,
        leases=current.leases,
        filed=current.filed,
        notifications=current.notifications,
        announced=current.announced,
        liveness=current.liveness or decided.liveness,
        etag=current.etag,
        written=current.written,
    )
