"""The daily check of decided leaks against what is there now (`containment.rechecks`).

A leak whose stored access policy is missing, expired or was ended by us is checked until the token itself has expired
(design decision 10), one that nobody has revoked yet until somebody does.
"""

import asyncio
from dataclasses import dataclass

from shared.containment.rechecks import Rechecks
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.persistence.store import Store

_AT_ONCE = 8  # accounts that are checked in parallel


@dataclass(frozen=True, slots=True)
class DailyRechecks:
    """Checks every record that is watched. One that changed is decided on again; the others wait for the next day."""

    store: Store
    rechecks: Rechecks

    async def run(self) -> None:
        """Check every watched record, account by account. Raises only where the records can't be listed."""
        by_account: dict[str, tuple[AccountFacts, list[Revocation]]] = {}
        async for record in self.store.revocations.watched():
            if record.account is not None:
                by_account.setdefault(record.account.id, (record.account, []))[1].append(record)
        places = asyncio.Semaphore(_AT_ONCE)

        async def check(account: AccountFacts, records: list[Revocation]) -> None:
            async with places:
                await self.rechecks.of_account(account, records)

        await asyncio.gather(*(check(account, records) for account, records in by_account.values()))
