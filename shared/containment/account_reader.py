"""Reads what a batch is decided on: the account's keys, facts, stored access policies, and the leaks that wait."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from shared.actions.action import signer
from shared.actions.registry import Actions
from shared.cloud.accounts import AccountRef, Accounts
from shared.containment.sas_in_use import SasInUse
from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.decision.evaluation import policy_of
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.errors import SasquashError, TransientFailure
from shared.persistence.account_rows import AccountRows, Intent, Rotation, waiting_partition
from shared.persistence.accounts import COOLDOWN
from shared.persistence.store import Store

_log = logging.getLogger(__name__)

_CLOCK_SKEW = timedelta(seconds=30)  # between ARM and us, and never as long as a list lags
_LONGEST_LAG = timedelta(minutes=15)
_PRECISION = timedelta(seconds=1)  # of the two times that ARM says of one key
_MOST_POLICIES = 16  # read under one lock; the rest of a flood has batches of its own
_MOST_READINGS = 2000  # of all leaks that wait, which takes half a second; the same holds for the rest


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read for a leak: the account, the leak's record as it is now (None where there is none), and what
    holders of the account's lock may have done, and no record shows yet.
    """

    snapshot: Snapshot
    record: Revocation | None
    unsettled: tuple[Intent, ...] = ()

    def without(self, fingerprints: Collection[str]) -> Self:
        """Return it without leaks that can't be decided on."""
        waiting = tuple(one for one in self.snapshot.waiting if one.fingerprint not in fingerprints)
        return replace(self, snapshot=replace(self.snapshot, waiting=waiting))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReader:
    """Reads accounts."""

    store: Store
    accounts: Accounts
    actions: Actions
    sas_in_use: SasInUse

    async def read(self, ref: AccountRef, revocation: Revocation) -> Reading:
        """Read the account in one round, and the record, which others may have changed before.

        Stored access policies take a second round: signature verification first shows whether one is involved at all.
        Raises TransientFailure, AccountGone, or Blocked where the account can't be read.
        """
        keys, account, rows, current = await asyncio.gather(
            self.actions.account_key.keys(ref),
            self.accounts.facts(ref),
            self.store.accounts.rows(_partitions(ref, revocation)),
            self.store.revocations.read(revocation.fingerprint),
        )
        lagging = behind_our_rotation(keys, rows.rotations) or behind_the_account(
            keys, account, now=self.store.clock()
        )
        if lagging is not None:
            raise TransientFailure(
                f"ARM lists {lagging} of {ref.name} as it was before it was regenerated: its list lags behind.",
                retry_after=COOLDOWN.total_seconds(),
            )
        others = (waiting for waiting in rows.waiting if waiting.fingerprint != revocation.fingerprint)
        snapshot = Snapshot(
            account=account,
            keys=keys,
            waiting=(_own(revocation, current), *_few(others)),
            executions=_executions(rows),
            at=self.store.clock(),
        )
        snapshot = replace(
            snapshot, policies=await self._policies(snapshot), sas_in_use=await self.sas_in_use.of(snapshot)
        )
        return Reading(replace(snapshot, waiting=_readable(snapshot.waiting, snapshot)), current, rows.unsettled)

    async def _policies(self, snapshot: Snapshot) -> dict[str, PolicyReading]:
        """Read the stored access policies of the leaks that wait.

        Raises TransientFailure or Blocked for the leak that the lock was taken for; the others have their own batch.
        """
        targets = [policy_of(finding, snapshot) for finding in snapshot.waiting]
        wanted = list(dict.fromkeys(target for target in targets if target is not None))[:_MOST_POLICIES]
        key = signer(snapshot.keys, None)
        readings = await asyncio.gather(
            *(self.actions.stored_policy.read(snapshot.account, target, key=key) for target in wanted),
            return_exceptions=True,
        )
        found: dict[str, PolicyReading] = {}
        for target, reading in zip(wanted, readings, strict=True):
            if isinstance(reading, PolicyReading):
                found[str(target)] = reading
            elif target == targets[0] or not isinstance(reading, SasquashError):
                raise reading
        return found

    async def late(self, ref: AccountRef, revocation: Revocation, snapshot: Snapshot) -> tuple[Finding, ...]:
        """Return the leaks that came since `snapshot` was read, of those that can be evaluated by it."""
        try:
            rows = await self.store.accounts.rows(_partitions(ref, revocation))
        except SasquashError as error:
            _log.warning("Leaks of %s that came meanwhile wait for their own batch: %s", ref.name, error)
            return ()
        known = {finding.fingerprint for finding in snapshot.waiting}
        return _readable(_few(finding for finding in rows.waiting if finding.fingerprint not in known), snapshot)


def behind_our_rotation(keys: Mapping[str, AccountKey], rotations: Iterable[Rotation]) -> str | None:
    """Return the key that is listed as it was before we regenerated it, None where there is none.

    ARM's list may lag a minute behind its own answer to Regenerate Key. What such a key signed seems valid, and
    regenerating it again would break the clients that have the new one. A key of which ARM does not say when it was
    made is believed.
    """
    latest = {r.target: r for r in sorted(rotations, key=lambda r: r.at) if r.action is ActionKind.ACCOUNT_KEY}
    for name, key in keys.items():
        ours = latest.get(name)
        if ours is None or key.created is None or key.sha256 == ours.new_sha256:
            continue
        if key.created < ours.at - _CLOCK_SKEW:  # a key that somebody else made since is younger than ours
            return name
    return None


def behind_the_account(keys: Mapping[str, AccountKey], account: AccountFacts, *, now: datetime) -> str | None:
    """Return the key that is listed older than the account says it is, None where there is none.

    Somebody else has regenerated it, and the list lags behind: to regenerate the key that the list shows would end
    the new one, which nobody leaked. ARM: keyCreationTime of Storage Accounts - Get Properties (2026-09-01). Whether
    that lags, too, is in no document (`make conformance`). After a quarter of an hour the list is believed: two times
    that differ for good must not keep every leak of the account from being revoked.
    """
    for name, key in keys.items():
        made = account.keys_created.get(name)
        recently = made is not None and now - made < _LONGEST_LAG
        if made is not None and recently and key.created is not None and key.created < made - _PRECISION:
            return name
    return None


def _executions(rows: AccountRows) -> tuple[PastExecution, ...]:
    """Return what was executed. A rotation that can't be read counts as one of another key: it may have been any."""
    known = [PastExecution(past.action, past.target, past.at) for past in rows.rotations]
    unread = [PastExecution(ActionKind.ACCOUNT_KEY, "", at) for at in rows.unread_rotations]
    return (*known, *unread)


def _few(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings as long as their readings can be tried in a short time: the event loop waits meanwhile."""
    left = _MOST_READINGS
    for finding in findings:
        left -= 1 + len(finding.candidates)
        if left < 0:
            return
        yield finding


def _own(revocation: Revocation, current: Revocation | None) -> Finding:
    """Return the finding of the record with all of its readings; in a dry run, also with those of the report."""
    own = revocation.to_weigh
    if current is None:
        return own
    known = current.to_weigh
    return known.with_readings((*known.readings, *own.readings))


def _partitions(ref: AccountRef, revocation: Revocation) -> tuple[str, str]:
    return ref.name, waiting_partition(revocation.finding)


def _readable(findings: Iterable[Finding], snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return the findings whose stored access policy was read, and those that need none."""
    targets = ((finding, policy_of(finding, snapshot)) for finding in findings)
    return tuple(finding for finding, target in targets if target is None or str(target) in snapshot.policies)
