"""What a worker left behind that never gave its lock back: did its lever move? (design decision 9)

The lock says which leaks it had proven to hang on a key. If that key is another one now, they are dead, and the
record says so. A worker may have died before it could note that: then the key's age tells (ARM's creationTime).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.account_table import TAKEOVER_TIME, Attributed, Intent
from shared.accounts import AccountRef, Accounts
from shared.decide import plan as plans
from shared.decide.attribution import Verdict, attribute
from shared.ledger import Ledger
from shared.levers.account_key import AccountKey, AccountKeyLever, by_listing
from shared.revocation import AccountFacts, Reason, Revocation, State
from shared.under_lock import record_of_covered, record_of_pull

_CLOCK_SKEW = timedelta(seconds=5)


class Takeover:
    """Settles what a predecessor did. Runs under the lock that was taken over; whoever calls saves the records."""

    def __init__(
        self, *, ledger: Ledger, accounts: Accounts, lever: AccountKeyLever, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._lever = lever
        self._clock = clock

    async def settle(self, predecessor: Intent, ref: AccountRef) -> list[Revocation]:
        """Return the records to save, the one that tells of the pull first; none where there is nothing to tell.

        Raises PassingFailure or Blocked.
        """
        suspects = [proven.fingerprint for proven in predecessor.attributed] or [predecessor.fingerprint]
        keys, account, found = await asyncio.gather(
            self._lever.keys(ref),
            self._accounts.facts(ref),
            asyncio.gather(*(self._ledger.read(fingerprint) for fingerprint in suspects)),
        )
        records = [record for record in found if record is not None]
        if predecessor.attributed:
            return self._noted(predecessor, account, keys, records)
        return self._not_noted(predecessor, account, keys, records)

    def _noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        records: Iterable[Revocation],
    ) -> list[Revocation]:
        """A holder pulls one lever: all that it noted hangs on the same key."""
        proven = predecessor.attributed[0]
        key = keys.get(proven.key_name)
        if key is None or key.sha256 == proven.key_sha256:
            return []
        now = self._clock()
        pull = by_listing(proven.key_name, proven.key_sha256, key, at=now)
        told = any(r.pull is not None and r.pull.old_sha256 == proven.key_sha256 for r in records)
        settled: list[Revocation] = []
        for record in records:
            if record.state is not State.RECEIVED:
                continue
            known = self._attributed(record, proven, account, at=predecessor.acquired_at)
            if told or settled:
                settled.append(record_of_covered(known, pull, account, now=now))
            else:
                settled.append(record_of_pull(known, pull, now=now))
        return settled

    def _not_noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        records: Iterable[Revocation],
    ) -> list[Revocation]:
        """No arithmetic is left to say which key signed it: the record names the one that was pulled."""
        first, last = predecessor.acquired_at - _CLOCK_SKEW, predecessor.deadline + TAKEOVER_TIME
        fresh = [name for name, key in keys.items() if key.created is not None and first <= key.created <= last]
        waiting = [r for r in records if r.state is State.RECEIVED and _matches_none(r, account, keys)]
        if len(fresh) != 1 or not waiting:  # both keys are fresh where the account itself is
            return []
        [record], now = waiting, self._clock()
        pull = by_listing(fresh[0], "", keys[fresh[0]], at=now)
        known = self._attributed(record, Attributed(record.fingerprint, fresh[0], ""), account, at=None)
        return [record_of_pull(replace(known, key_sha256=None), pull, now=now)]

    def _attributed(
        self, record: Revocation, proven: Attributed, account: AccountFacts, *, at: datetime | None
    ) -> Revocation:
        """Return the record as the predecessor had weighed it."""
        credential = record.finding.credential
        if credential is None:
            raise ValueError("an unreadable report never waits for an account")
        verdict = Verdict(
            f"Proven to hang on {proven.key_name}, before it was regenerated.",
            key_name=proven.key_name,
            key_sha256=proven.key_sha256,
        )
        breaks = self._lever.describe(account, proven.key_name)
        return replace(
            record,
            account=account,
            attributed_at=at,
            key_name=proven.key_name,
            key_sha256=proven.key_sha256,
            plan=plans.make(credential, verdict, account, breaks=breaks),
        )


def _matches_none(record: Revocation, account: AccountFacts, keys: Mapping[str, AccountKey]) -> bool:
    credential = record.finding.credential
    if credential is None:
        return False
    values = {name: key.value for name, key in keys.items()}
    return attribute(credential, account=account.name, keys=values).reason is Reason.NO_KEY_MATCHES
