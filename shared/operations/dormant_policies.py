"""The daily check of leaks whose stored access policy is missing or expired: re-creating it re-enables the tokens.

"Create a service SAS" (REST) says that a policy re-created under the old id makes the old tokens valid again, and
re-deploying a template does just that. So a dormant record is checked until the token itself has expired, or the key
that signed it was regenerated (design decision 10).
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping

from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.account import AccountFacts, AccountKey, PolicyState
from shared.domain.decision.attribution import expired, named_policy
from shared.domain.decision.duplicates import reopened
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.errors import SasquashError
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store
from shared.sas import Credential

_log = logging.getLogger(__name__)

DORMANT = (Reason.POLICY_GONE, Reason.POLICY_EXPIRED)

_AT_ONCE = 8  # accounts that are checked in parallel


class DormantPolicies:
    """Checks dormant records. One that changed is concluded or contained; the others wait for the next day."""

    def __init__(
        self,
        store: Store,
        *,
        keys: Callable[[AccountFacts], Awaitable[Mapping[str, AccountKey]]],
        policies: StoredPolicyAction,
    ) -> None:
        """`keys` lists an account's keys: `AccountKeyAction.keys`."""
        self._store = store
        self._keys = keys
        self._policies = policies

    async def recheck(self) -> None:
        """Check every dormant record. One that can't be checked is left for the next day, and stops no other.

        Raises only where the records themselves can't be listed.
        """
        by_account: dict[str, list[Revocation]] = {}
        async for record in self._store.revocations.ended_for(*DORMANT):
            if record.account is not None:
                by_account.setdefault(record.account.id, []).append(record)
        places = asyncio.Semaphore(_AT_ONCE)

        async def check(account: AccountFacts, records: list[Revocation]) -> None:
            async with places:
                await self._check_account(account, records)

        await asyncio.gather(
            *(check(records[0].account, records) for records in by_account.values() if records[0].account is not None)
        )

    async def _check_account(self, account: AccountFacts, records: list[Revocation]) -> None:
        """Check the records of one account, whose keys are listed once for all of them."""
        keys: Mapping[str, AccountKey] = {}
        for record in records:
            credential = record.finding.credential
            if credential is None or record.key_sha256 is None:
                continue  # an order has no token that could become valid again
            try:
                over = expired(credential, now=self._store.clock())
                if over is not None:
                    await self._end(record, Reason.EXPIRED, over.detail)
                    continue
                keys = keys or await self._keys(account)
                await self._check(record, credential, account, keys)
            except SasquashError as error:
                _log.warning("Not checked today: %s (%s): %s", record.fingerprint[:12], error.code, error)

    async def _check(
        self, record: Revocation, credential: Credential, account: AccountFacts, keys: Mapping[str, AccountKey]
    ) -> None:
        signer = next(
            (key for key in keys.values() if hmac.compare_digest(key.sha256, record.key_sha256 or "")), None
        )
        target = named_policy(credential)
        if signer is None:
            detail = f"{record.key_name} of {account.name}, which had signed it, was regenerated since."
            await self._end(record, Reason.COVERED, detail)
        elif target is not None:
            reading = await self._policies.read(account, target, key=signer)
            if reading.state is PolicyState.LIVE:
                await self._reopen(record, f"Its policy was re-created: {target} accepts the leaked token again.")
            else:
                _log.info("%s is still dormant: its policy is %s.", record.fingerprint[:12], reading.state)

    async def _end(self, record: Revocation, reason: Reason, detail: str) -> None:
        if await self._write(
            record, lambda current: current.end(reason, now=self._store.clock(), detail=detail), detail
        ):
            await self._store.queues.follow_up(record.fingerprint)

    async def _reopen(self, record: Revocation, detail: str) -> None:
        await self._store.accounts.add_waiting(record.finding)
        if await self._write(
            record, lambda current: reopened(current, now=self._store.clock(), detail=detail), detail
        ):
            await self._store.queues.contain(record.fingerprint, delay=0)

    async def _write(self, record: Revocation, change: Callable[[Revocation], Revocation], what: str) -> bool:
        """Write what was found, unless the record has changed; return whether it was written.

        Containment's message is sent first: it continues with what was written, should this instance crash then.
        """
        await self._store.queues.contain(record.fingerprint, delay=SAFETY_NET)
        changed = await self._store.revocations.change(
            record.fingerprint,
            lambda current: change(current) if current.changes == record.changes else None,
            what=what,
        )
        return changed is not None
