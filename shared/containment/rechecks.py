"""Checks a decided leak against what is there now: what somebody else did may change the verdict.

A stored access policy that was missing, expired or ended by us accepts its tokens again once it is re-created
("Create a service SAS", REST), and re-deploying a template does just that. And a leak that nobody has revoked yet is
revoked once its key is regenerated, or its policy ended, by hand. Either way the record is decided on again.
"""

import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cachetools import TTLCache

from shared.actions.registry import Actions
from shared.containment.lookup import AccountLookup
from shared.domain.account import AccountFacts, AccountKey, PolicyState
from shared.domain.decision.attribution import expired, named_policy
from shared.domain.decision.duplicates import reopened, revived
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.watch import Watch, waits_for_the_daily_check, watch
from shared.errors import AccountGone, SasquashError
from shared.persistence.accounts import COOLDOWN
from shared.persistence.queues import SAFETY_NET
from shared.persistence.store import Store
from shared.sas import Credential

_log = logging.getLogger(__name__)

_MOST_REMEMBERED = 10_000
_MOST_LISTED = 1000  # accounts
_PAUSE = 60.0  # seconds between two checks of one record, however often its leak is reported


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of a leak: a change of its record, and a sentence about it. `is_over`: nothing is to be done."""

    change: Callable[[Revocation], Revocation]
    said: str
    is_over: bool = False


class Rechecks:
    """Checks records, of one account at a time."""

    def __init__(self, store: Store, actions: Actions, lookup: AccountLookup) -> None:
        self._store = store
        self._actions = actions
        self._lookup = lookup
        self._lately = TTLCache[str, bool](_MOST_REMEMBERED, _PAUSE, timer=lambda: store.clock().timestamp())
        self._listed = TTLCache[str, Mapping[str, AccountKey]](
            _MOST_LISTED, COOLDOWN.total_seconds(), timer=lambda: store.clock().timestamp()
        )

    async def of_report(self, record: Revocation) -> Revocation:
        """Return a record whose leak was reported again, `received` if it has to be decided on again.

        Raises SasquashError where Azure or our own tables can't be reached.
        """
        if watch(record) is Watch.NOTHING or record.account is None or record.fingerprint in self._lately:
            return record
        if waits_for_the_daily_check(record, now=self._store.clock()):
            return record
        self._lately[record.fingerprint] = True
        await self._check_one(record, record.account, {})
        return await self._store.revocations.read(record.fingerprint) or record

    async def of_account(self, account: AccountFacts, records: list[Revocation]) -> None:
        """Check the records of one account, whose keys are listed once for all of them.

        One that can't be checked is left for the next time, and stops no other.
        """
        keys: Mapping[str, AccountKey] = {}
        for record in records:
            try:
                keys = await self._check_one(record, account, keys)
            except SasquashError as error:
                _log.warning("Not checked today: %s (%s): %s", record.fingerprint[:12], error.code, error)

    async def _check_one(
        self, record: Revocation, account: AccountFacts, keys: Mapping[str, AccountKey]
    ) -> Mapping[str, AccountKey]:
        """Check a record; return the account's keys, if they were listed."""
        credential, kind = record.finding.credential, watch(record)
        if kind is Watch.BLOCKED and (credential is None or record.key_sha256 is None):
            await self._check_block(record, account)  # of an order: nobody knows which key signed the leak
            return keys
        if credential is None or record.key_sha256 is None:
            return keys  # an order has no token that could become valid again
        over = expired(credential, now=self._store.clock())
        if over is not None:
            if kind in (Watch.DORMANT, Watch.BLOCKED):
                await self._write(record, self._ends(Reason.EXPIRED, over.detail))
            return keys
        try:
            keys = keys or await self._keys(account)
        except AccountGone:
            account = await self._moved(record, account)
            keys = await self._keys(account)
        if kind is Watch.BLOCKED and any(key.sha256 == record.key_sha256 for key in keys.values()):
            await self._check_block(record, account)
            return keys
        found = await self._found(record, credential, account, keys)
        if found is not None:
            await self._write(record, found)
        return keys

    async def _check_block(self, record: Revocation, account: AccountFacts) -> None:
        """Check what keeps a leak out. Where somebody has undone it, the leak is decided on anew."""
        execution = record.execution
        if execution is None:
            return
        action = self._actions.of(execution.action)
        try:
            current = await self._lookup.accounts.facts(account)
        except AccountGone:
            current = await self._moved(record, account)
        said = await action.undone_by_others(execution, current)
        if said is not None:
            await self._write(record, self._revives(said))

    async def _keys(self, account: AccountFacts) -> Mapping[str, AccountKey]:
        """Return the account's keys, listed once in ten seconds however many of its leaks are reported."""
        keys = self._listed.get(account.id)
        if keys is None:
            keys = self._listed[account.id] = await self._actions.account_key.keys(account)
        return keys

    async def _moved(self, record: Revocation, gone: AccountFacts) -> AccountFacts:
        """Return an account that has moved to another resource group. Raises AccountGone where there is none."""
        moved = await self._lookup.find(record.to_weigh)
        if moved is not None and moved.id == gone.id:
            moved = await self._lookup.find_again(record.to_weigh, gone=moved)
        if moved is None:
            raise AccountGone(f"Account {gone.name} does not exist any more: its leaks can't be checked.")
        return await self._lookup.accounts.facts(moved)

    async def _found(
        self, record: Revocation, credential: Credential, account: AccountFacts, keys: Mapping[str, AccountKey]
    ) -> _Found | None:
        """Return what has changed, None where nothing has."""
        known, kind = record.key_sha256 or "", watch(record)
        signer = next((key for key in keys.values() if hmac.compare_digest(key.sha256, known)), None)
        if signer is None:
            return self._without_key(kind, record, account)
        target = named_policy(credential) if credential.policy is not None else None
        if target is None:
            return None
        reading = await self._actions.stored_policy.read(account, target, key=signer)
        is_live, unknown = reading.state is PolicyState.LIVE, reading.state is PolicyState.UNREACHABLE
        if is_live and kind is Watch.DORMANT:
            return self._reopens(f"Its policy was re-created: {target} accepts the leaked token again.")
        if is_live and kind is Watch.ENDED:
            return self._revives(f"Its policy was put back: {target} accepts the leaked token again.")
        if not is_live and not unknown and kind is Watch.OPEN and record.signer is not None and record.signer.policy:
            return self._reopens(f"Its policy is not in force any more: {target}.")
        return None

    def _without_key(self, kind: Watch, record: Revocation, account: AccountFacts) -> _Found | None:
        """Return what follows from the key that signed the leak being gone."""
        said = f"{record.key_name} of {account.name}, which had signed it, was regenerated since."
        match kind:
            case Watch.DORMANT:
                return self._ends(Reason.COVERED, said)
            case Watch.OPEN | Watch.BLOCKED:
                return self._reopens(said)
            case _:
                return None  # it was revoked before, and is for good now

    def _ends(self, reason: Reason, said: str) -> _Found:
        return _Found(lambda current: current.end(reason, now=self._store.clock(), detail=said), said, is_over=True)

    def _revives(self, said: str) -> _Found:
        return _Found(lambda current: revived(current, now=self._store.clock(), detail=said), said)

    def _reopens(self, said: str) -> _Found:
        return _Found(lambda current: reopened(current, now=self._store.clock(), detail=said), said)

    async def _write(self, record: Revocation, found: _Found) -> None:
        """Write what was found, unless the record has changed.

        Containment's message is sent first: it continues with what was written, should this instance crash then.
        """
        if not found.is_over:
            await self._store.accounts.add_waiting(record.to_weigh)
        await self._store.queues.contain(record.fingerprint, delay=SAFETY_NET)
        changed = await self._store.revocations.change(
            record.fingerprint,
            lambda current: found.change(current) if current.changes == record.changes else None,
            what=found.said,
        )
        if changed is None:
            return
        if found.is_over:
            await self._store.queues.follow_up(record.fingerprint)
        else:
            await self._store.queues.contain(record.fingerprint, delay=0)
