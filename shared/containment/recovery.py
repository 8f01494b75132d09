"""Crash recovery: did the action of a lock's previous holder complete? (design decision 9)

The lock says which leaks the action of its holder revokes. Each action says whether the account shows that it was
executed: another key, a tombstone, a lockdown in force. What its holder could not note, some actions still recognize.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.actions.action import Executed, Interrupted
from shared.actions.registry import ACTION_SPECS, Actions
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountFacts
from shared.domain.decision import outcomes
from shared.domain.decision import plan as plans
from shared.domain.execution import Plan
from shared.domain.known_paths import path_id
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.persistence.account_rows import Attributed, Intent
from shared.persistence.store import Store

_CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Settles what a predecessor did. Runs under the lock that was taken over; the caller saves the records."""

    store: Store
    accounts: Accounts
    actions: Actions

    async def settle(self, predecessor: Intent, ref: AccountRef) -> list[Revocation]:
        """Return the records to save, the one of the execution first; none where nothing was executed.

        Also of leaks that were decided on since, such as one that Azure refused to act on again.

        Raises TransientFailure or Blocked.
        """
        left = await self._read(predecessor, ref)
        if predecessor.attributed:
            noted = predecessor.attributed[0]  # a holder executes one action
            executed = await self.actions.of(noted.action).settle(noted, left)
            records = self._noted(noted, executed, left) if executed is not None else []
            if records:
                return records
        for action in self.actions:
            found = action.settle_unnoted(left)
            if found is not None:
                [record] = (one for one in left.others if one.fingerprint == found.attributed.fingerprint)
                known = self._known(record, found.attributed, left, at=found.at)
                return [self._of_execution(known, found.executed, left.account)]
        return []

    async def _read(self, predecessor: Intent, ref: AccountRef) -> Interrupted:
        rotations = (await self.store.accounts.rows((ref.name,))).rotations
        since = predecessor.tenures[0].acquired_at
        rotated_for = [rotation.fingerprint for rotation in rotations if rotation.at > since - _CLOCK_SKEW]
        suspects = dict.fromkeys((*predecessor.suspects, *rotated_for))
        keys, account, found = await asyncio.gather(
            self.actions.account_key.keys(ref),
            self.accounts.facts(ref),
            asyncio.gather(*(self.store.revocations.readable(fingerprint) for fingerprint in suspects)),
        )
        attributed = {noted.fingerprint for noted in predecessor.attributed}
        records = [record for record in found if record is not None]
        return Interrupted(
            predecessor=predecessor,
            account=account,
            keys=keys,
            rotations=rotations,
            noted=tuple(record for record in records if record.fingerprint in attributed),
            others=tuple(record for record in records if record.fingerprint not in attributed),
        )

    def _noted(self, noted: Attributed, executed: Executed, left: Interrupted) -> list[Revocation]:
        """Return the records of all leaks that the predecessor had noted; one of them holds the execution."""
        recorded = _is_recorded(executed, left.noted)
        settled: list[Revocation] = []
        for record in left.noted:
            if not _is_open(record):
                continue
            known = self._known(record, noted, left, at=left.predecessor.acquired_at)
            if recorded or settled:
                now = self.store.clock()
                settled.append(
                    outcomes.of_covered(known, executed.execution, left.account, actions=ACTION_SPECS, now=now)
                )
            else:
                settled.append(self._of_execution(known, executed, left.account))
        return settled

    def _of_execution(self, record: Revocation, executed: Executed, account: AccountFacts) -> Revocation:
        undoable = replace(record, lockdown=executed.lockdown or record.lockdown)
        now = self.store.clock()
        return outcomes.of_execution(undoable, executed.execution, account, actions=ACTION_SPECS, now=now)

    def _known(self, record: Revocation, noted: Attributed, left: Interrupted, *, at: datetime | None) -> Revocation:
        """Return the record as the predecessor had evaluated it."""
        verified = (one for one in record.to_weigh.readings if path_id(one) == noted.path)
        for credential in verified:
            record = record.with_verified(credential)
        key_name, key_sha256 = self.actions.of(noted.action).signer_of(noted, record, left)
        return replace(
            record,
            account=left.account,
            attributed_at=at if key_name is not None else None,
            key_name=key_name,
            key_sha256=key_sha256,
            plan=_planned(record, noted, left.account),
        )


def _is_open(record: Revocation) -> bool:
    """Whether an action of the predecessor would be news to the record, whatever it has become since."""
    return record.execution is None and record.reason is not Reason.COVERED


def _is_recorded(executed: Executed, records: Iterable[Revocation]) -> bool:
    """Whether one of `records` holds the execution already."""
    kind, old_sha256 = executed.execution.action, executed.execution.old_sha256
    executions = (record.execution for record in records)
    return any(one is not None and (one.action, one.old_sha256) == (kind, old_sha256) for one in executions)


def _planned(record: Revocation, noted: Attributed, account: AccountFacts) -> Plan:
    """Return the plan that people approved, if it is the one that was executed; else what the lock says of it."""
    plan = record.plan
    if plan is not None and (plan.action, plan.target, plan.version) == (noted.action, noted.target, noted.version):
        return plan
    return _plan(noted, account)


def _plan(noted: Attributed, account: AccountFacts) -> Plan:
    return Plan(
        action=noted.action,
        account_id=account.id,
        target=noted.target,
        version=noted.version,
        reason="Another instance decided on it and executed it, and could not record why.",
        steps=(),
        impact=ACTION_SPECS[noted.action].impact(account, noted.target),
        digest=plans.digest(action=noted.action, account_id=account.id, target=noted.target, version=noted.version),
    )
