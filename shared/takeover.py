"""What a worker left behind that never gave its lock back: did its lever move? (design decision 9)

The lock says which leaks hang on which key or policy. If that is another one now, they are dead, and the record says
so. A worker may have died before it could note that: then a key's age tells (ARM's creationTime). Whether user
delegation keys were revoked can't be read back, and an account that was locked down shows it: both are pulled again,
which ends the same way.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared import outcomes
from shared.account_table import TAKEOVER_TIME, Attributed, Intent
from shared.accounts import AccountRef, Accounts
from shared.decide import plan as plans
from shared.decide.attribution import attribute
from shared.facts import AccountFacts, AccountKey, PolicyReading, PolicyState
from shared.ledger import Ledger
from shared.levers.account_key import by_listing
from shared.levers.levers import Levers, signer
from shared.revocation import Plan, Pull, Reason, Revocation, State
from shared.targets import Lever, PolicyTarget

_CLOCK_SKEW = timedelta(seconds=5)


class Takeover:
    """Settles what a predecessor did. Runs under the lock that was taken over; whoever calls saves the records."""

    def __init__(self, *, ledger: Ledger, accounts: Accounts, levers: Levers, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._levers = levers
        self._clock = clock

    async def settle(self, predecessor: Intent, ref: AccountRef) -> list[Revocation]:
        """Return the records to save, the one that tells of the pull first; none where there is nothing to tell.

        Raises PassingFailure or Blocked.
        """
        suspects = [proven.fingerprint for proven in predecessor.attributed] or [predecessor.fingerprint]
        keys, account, found = await asyncio.gather(
            self._levers.account_key.keys(ref),
            self._accounts.facts(ref),
            asyncio.gather(*(self._ledger.read(fingerprint) for fingerprint in suspects)),
        )
        records = [record for record in found if record is not None]
        if not predecessor.attributed:
            return self._not_noted(predecessor, account, keys, records)
        pull = await self._pull_of(predecessor.attributed[0], account, keys)
        return self._noted(predecessor, account, pull, records) if pull is not None else []

    async def _pull_of(self, noted: Attributed, account: AccountFacts, keys: Mapping[str, AccountKey]) -> Pull | None:
        """Return the pull that what is there now tells of, None where it tells of none. A holder pulls one lever."""
        now = self._clock()
        match noted.lever:
            case Lever.ACCOUNT_KEY:
                key = keys.get(noted.target)
                changed = key is not None and key.sha256 != noted.version
                return by_listing(noted.target, noted.version, key, at=now) if key is not None and changed else None
            case Lever.STORED_POLICY:
                target = PolicyTarget.parse(noted.target)
                reading = await self._levers.stored_policy.read(account, target, key=signer(dict(keys), None))
                return _policy_pull(noted, reading, at=now)
            case Lever.DELEGATION_KEY | Lever.LOCKDOWN:
                return None

    def _noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        pull: Pull,
        records: Iterable[Revocation],
    ) -> list[Revocation]:
        """Return the records of all that the predecessor had noted: it hangs on the same key or policy."""
        proven = predecessor.attributed[0]
        now = self._clock()
        told = any(r.pull is not None and r.pull.old_sha256 == proven.version for r in records)
        settled: list[Revocation] = []
        for record in records:
            if record.state is not State.RECEIVED:
                continue
            known = self._attributed(record, proven, account, at=predecessor.acquired_at)
            if told or settled:
                settled.append(outcomes.of_covered(known, pull, account, now=now))
            else:
                settled.append(outcomes.of_pull(known, pull, account, now=now))
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
        known = self._attributed(
            record, Attributed(record.fingerprint, Lever.ACCOUNT_KEY, fresh[0], ""), account, at=None
        )
        return [outcomes.of_pull(replace(known, key_sha256=None), pull, account, now=now)]

    def _attributed(
        self, record: Revocation, proven: Attributed, account: AccountFacts, *, at: datetime | None
    ) -> Revocation:
        """Return the record as the predecessor had weighed it."""
        is_key = proven.lever is Lever.ACCOUNT_KEY
        return replace(
            record,
            account=account,
            attributed_at=at,
            key_name=proven.target if is_key else record.key_name,
            key_sha256=proven.version if is_key else record.key_sha256,
            plan=self._carried_out(proven, account),
        )

    def _carried_out(self, noted: Attributed, account: AccountFacts) -> Plan:
        return Plan(
            lever=noted.lever,
            account_id=account.id,
            target=noted.target,
            version=noted.version,
            reason="Another worker had decided on it and carried it out, and could not record why.",
            steps=(),
            breaks=self._levers.describe(account, noted.lever, noted.target),
            digest=plans.digest(lever=noted.lever, account_id=account.id, target=noted.target, version=noted.version),
        )


def _policy_pull(noted: Attributed, reading: PolicyReading, *, at: datetime) -> Pull | None:
    ended = reading.state in (PolicyState.TOMBSTONE, PolicyState.GONE)
    if not ended or reading.version == noted.version:
        return None
    return Pull(
        lever=Lever.STORED_POLICY,
        target=noted.target,
        at=at,
        old_sha256=noted.version,
        new_sha256=reading.version,
        confirmed_by="listing",
        correlation_id=None,
    )


def _matches_none(record: Revocation, account: AccountFacts, keys: Mapping[str, AccountKey]) -> bool:
    credential = record.finding.credential
    if credential is None:
        return False
    values = {name: key.value for name, key in keys.items()}
    return attribute(credential, account=account.name, keys=values).reason is Reason.NO_KEY_MATCHES
