"""Finds the account of a token that was reported without one: by its signature, in the logs of monitored accounts.

A token that somebody has used is in the log of its account, with the SHA-256 of its signature ("StorageBlobLogs",
AuthenticationHash). What is found is a place to try: the account's key has to match.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import ClassVar

from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.logs import SignatureLogs
from shared.domain.azure_clouds import AzureCloud
from shared.domain.decision.duplicates import reopened
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.errors import SasquashError
from shared.followup.step import Done
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store
from shared.sas import Kind

_log = logging.getLogger(__name__)

_SIGNED_BY_A_KEY = frozenset({Kind.ACCOUNT_SAS, Kind.SERVICE_SAS, Kind.POLICY_SAS})
_MOST = 500  # accounts
_AT_ONCE = 8
_TIME = 60.0  # seconds; within a step's lease


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSearchStep:
    """Asks the logs of each monitored account, once each time that a token ended as unattributed."""

    name: ClassVar[str] = "account search"
    leased: ClassVar[bool] = True

    logs: SignatureLogs
    accounts: Accounts
    cloud: AzureCloud
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due for an unattributed token that a key signed."""
        credential, searched = revocation.finding.credential, revocation.logs_searched_at
        if revocation.reason is not Reason.LOOSE or credential is None or credential.kind not in _SIGNED_BY_A_KEY:
            return None
        return 0 if searched is None or searched < revocation.changes[-1].at else None

    async def run(self, revocation: Revocation) -> Done:
        """Search; have the leak decided on anew where its account was found. Raises SasquashError."""
        credential = revocation.finding.credential
        if credential is None or credential.signature_sha256 is None:
            return Done()
        refs = (await self.accounts.inventory())[:_MOST]
        found, asked = await self._search(refs, credential.signature_sha256)
        now = self.store.clock()
        if found is None:
            said = f"No request with its signature is in the logs of {asked} of {len(refs)} monitored accounts."
            return Done(lambda current: replace(current, logs_searched_at=now), said)
        said = f"The logs of {found.name} have requests with its signature: its keys are tried."
        reading = replace(credential, host=self.cloud.host(found.name, credential.service))
        await self.store.queues.contain(revocation.fingerprint, delay=SAFETY_NET)

        def placed(current: Revocation) -> Revocation | None:
            if current.reason is not Reason.LOOSE:
                return None
            return reopened(replace(current, logs_searched_at=now).with_place(reading), now=now, detail=said)

        return Done(placed, said)

    async def _search(self, refs: tuple[AccountRef, ...], signature_sha256: str) -> tuple[AccountRef | None, int]:
        """Return the account whose logs have the signature, and how many accounts could be asked."""
        slots, asked, found = asyncio.Semaphore(_AT_ONCE), 0, list[AccountRef]()

        async def ask(ref: AccountRef) -> None:
            nonlocal asked
            async with slots:
                if found:
                    return
                try:
                    if await self.logs.has(ref, signature_sha256):
                        found.append(ref)
                    asked += 1
                except SasquashError as error:
                    _log.info("The logs of %s were not searched (%s): %s", ref.name, error.code, error)

        try:
            async with asyncio.timeout(_TIME):
                await asyncio.gather(*(ask(ref) for ref in refs))
        except TimeoutError:
            _log.warning("The search in the logs of %d accounts took over %.0f s.", len(refs), _TIME)
        return (found[0] if found else None), asked
