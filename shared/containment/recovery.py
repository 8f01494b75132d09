"""What a worker left behind that never gave its lock back: did its lever move? (design decision 9)

The lock says which leaks hang on which key or policy. If that is another one now, they are dead, and the record says
so. A worker may have died before it could note that: then a key's age tells (ARM's creationTime), if no rotation that
is told of made it. An account that was locked down shows it. Whether user delegation keys were revoked can't be read
back: if the predecessor did not get to note the revocation among the account's rotations, it is done again, which
ends the same way.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.actions.account_key import by_listing
from shared.actions.registry import ACTION_SPECS, Actions, signer
from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountFacts, AccountKey, PolicyReading, PolicyState, Removal
from shared.domain.decision import outcomes
from shared.domain.decision import plan as plans
from shared.domain.decision.attribution import Verdict, attribute
from shared.domain.revocation import Execution, Plan, Reason, Revocation, State
from shared.domain.target import ActionKind, PolicyTarget
from shared.persistence.accounts import TAKEOVER_TIME, AccountTable, Attributed, Intent, Rotation, Tenure
from shared.persistence.revocations import Ledger

_CLOCK_SKEW = timedelta(seconds=5)


class Recovery:
    """Settles what a predecessor did. Runs under the lock that was taken over; whoever calls saves the records."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        table: AccountTable,
        accounts: Accounts,
        actions: Actions,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._table = table
        self._accounts = accounts
        self._actions = actions
        self._clock = clock

    async def settle(self, predecessor: Intent, ref: AccountRef) -> list[Revocation]:
        """Return the records to save, the one that tells of the pull first; none where there is nothing to tell.

        Raises TransientFailure or Blocked.
        """
        rotations = (await self._table.rows((ref.name,))).rotations
        since = predecessor.tenures[0].acquired_at
        rotated_for = [rotation.fingerprint for rotation in rotations if rotation.at > since - _CLOCK_SKEW]
        suspects = dict.fromkeys((*predecessor.suspects, *rotated_for))
        keys, account, found = await asyncio.gather(
            self._actions.account_key.keys(ref),
            self._accounts.facts(ref),
            asyncio.gather(*(self._ledger.read(fingerprint) for fingerprint in suspects)),
        )
        noted = {proven.fingerprint for proven in predecessor.attributed}
        attributed = [record for record in found if record is not None and record.fingerprint in noted]
        others = {r.fingerprint: r for r in found if r is not None and r.fingerprint not in noted}
        return (
            await self._of_noted(predecessor, account, keys, rotations, attributed)
            or self._locked_down(predecessor, account, keys, others.values())
            or self._of_rotation(account, keys, rotations, others)
            or self._not_noted(predecessor, account, keys, rotations, others)
        )

    async def _of_noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        rotations: Iterable[Rotation],
        records: list[Revocation],
    ) -> list[Revocation]:
        """Return the records of what the lock says, if the lever moved that it names: a holder pulls one lever."""
        if not predecessor.attributed:
            return []
        noted = predecessor.attributed[0]
        if noted.action is ActionKind.LOCKDOWN:
            return self._locked_down(predecessor, account, keys, records)
        execution = await self._execution_of(noted, account, keys, rotations, records)
        return self._noted(predecessor, account, keys, execution, records) if execution is not None else []

    async def _execution_of(
        self,
        noted: Attributed,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        rotations: Iterable[Rotation],
        records: Iterable[Revocation],
    ) -> Execution | None:
        """Return the pull that what is there now tells of, None where it tells of none."""
        now = self._clock()
        match noted.action:
            case ActionKind.ACCOUNT_KEY:
                key = keys.get(noted.target)
                changed = key is not None and key.sha256 != noted.version
                return by_listing(noted.target, noted.version, key, at=now) if key is not None and changed else None
            case ActionKind.STORED_POLICY:
                target = PolicyTarget.parse(noted.target)
                reading = await self._actions.stored_policy.read(account, target, key=signer(keys, None))
                return _policy_execution(noted, reading, account.removal, at=now)
            case ActionKind.DELEGATION_KEY:
                return _revocation(noted, rotations, records)
            case ActionKind.LOCKDOWN:
                return None

    def _locked_down(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        records: Iterable[Revocation],
    ) -> list[Revocation]:
        """Return the record of the lockdown that stands: its way back was saved before the lever was pulled."""
        for record in records:
            if record.state is not State.RECEIVED or record.lockdown is None:
                continue
            standing = self._actions.lockdown.standing(account, record.lockdown)
            if standing is not None:
                execution, locked = standing
                noted = Attributed(record.fingerprint, execution.action, execution.target, version="")
                known = self._attributed(
                    replace(record, lockdown=locked), noted, account, keys, at=predecessor.acquired_at
                )
                return [outcomes.of_execution(known, execution, account, actions=ACTION_SPECS, now=self._clock())]
        return []

    def _noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        execution: Execution,
        records: Iterable[Revocation],
    ) -> list[Revocation]:
        """Return the records of all that the predecessor had noted: it hangs on the same key or policy."""
        proven = predecessor.attributed[0]
        now = self._clock()
        told = any(
            r.execution is not None
            and r.execution.action is execution.action
            and r.execution.old_sha256 == execution.old_sha256
            for r in records
        )
        settled: list[Revocation] = []
        for record in records:
            if record.state is not State.RECEIVED:
                continue
            known = self._attributed(record, proven, account, keys, at=predecessor.acquired_at)
            if told or settled:
                settled.append(outcomes.of_covered(known, execution, account, actions=ACTION_SPECS, now=now))
            else:
                settled.append(outcomes.of_execution(known, execution, account, actions=ACTION_SPECS, now=now))
        return settled

    def _not_noted(
        self,
        predecessor: Intent,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        rotations: Iterable[Rotation],
        records: Mapping[str, Revocation],
    ) -> list[Revocation]:
        """No arithmetic is left to say which key signed it: the record names the one that was pulled."""
        for tenure in predecessor.tenures:
            record = records.get(tenure.fingerprint)
            if record is None or record.state is not State.RECEIVED or not _matches_none(record, account, keys):
                continue
            fresh = [name for name, key in keys.items() if _was_made_for(tenure, key, rotations)]
            if len(fresh) == 1:  # both keys are fresh where the account itself is
                return [self._unproven(record, fresh[0], account, keys)]
        return []

    def _of_rotation(
        self,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        rotations: Iterable[Rotation],
        records: Mapping[str, Revocation],
    ) -> list[Revocation]:
        """Return the record of a rotation that the account remembers, if it does not tell of it yet.

        It need not be a record that the lock was held for: what else waited for the account may have been chosen.
        """
        for rotation in rotations:
            record, key = records.get(rotation.fingerprint), keys.get(rotation.target)
            stands = key is not None and key.sha256 == rotation.new_sha256
            if stands and record is not None and record.state is State.RECEIVED:
                return [self._unproven(record, rotation.target, account, keys, answered_at=rotation.at)]
        return []

    def _unproven(
        self,
        record: Revocation,
        name: str,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        *,
        answered_at: datetime | None = None,
    ) -> Revocation:
        """Return the record of the leak that a key was pulled for, though no arithmetic can show it any more.

        `answered_at` is when ARM answered, None where nobody knows whether it did.
        """
        now = self._clock()
        execution = by_listing(name, "", keys[name], at=now)
        if answered_at is not None:
            execution = replace(execution, at=answered_at, confirmed_by="answer")
        proven = Attributed(record.fingerprint, ActionKind.ACCOUNT_KEY, name, "")
        known = self._attributed(record, proven, account, keys, at=None)
        return outcomes.of_execution(
            replace(known, key_sha256=None), execution, account, actions=ACTION_SPECS, now=now
        )

    def _attributed(
        self,
        record: Revocation,
        proven: Attributed,
        account: AccountFacts,
        keys: Mapping[str, AccountKey],
        *,
        at: datetime | None,
    ) -> Revocation:
        """Return the record as the predecessor had weighed it; a key that it did not pull is there still."""
        key_name: str | None = proven.target
        key_sha256: str | None = proven.version
        if proven.action is not ActionKind.ACCOUNT_KEY:
            verdict = _verdict(record, account, keys)
            key_name, key_sha256 = (verdict.key_name, verdict.key_sha256) if verdict is not None else (None, None)
        return replace(
            record,
            account=account,
            attributed_at=at if key_name is not None else None,
            key_name=key_name,
            key_sha256=key_sha256,
            plan=self._carried_out(proven, account),
        )

    def _carried_out(self, noted: Attributed, account: AccountFacts) -> Plan:
        return Plan(
            action=noted.action,
            account_id=account.id,
            target=noted.target,
            version=noted.version,
            reason="Another worker had decided on it and carried it out, and could not record why.",
            steps=(),
            impact=ACTION_SPECS[noted.action].impact(account, noted.target),
            digest=plans.digest(
                action=noted.action, account_id=account.id, target=noted.target, version=noted.version
            ),
        )


def _was_made_for(tenure: Tenure, key: AccountKey, rotations: Iterable[Rotation]) -> bool:
    """Whether the key was made while the lock was held for this leak, and no rotation for another is told of.

    Such a rotation may have ended just before this tenure began.
    """
    first, last = tenure.acquired_at - _CLOCK_SKEW, tenure.deadline + TAKEOVER_TIME
    told = any(r.new_sha256 == key.sha256 and r.fingerprint != tenure.fingerprint for r in rotations)
    return not told and key.created is not None and first <= key.created <= last


def _policy_execution(
    noted: Attributed, reading: PolicyReading, removal: Removal, *, at: datetime
) -> Execution | None:
    """Return the pull, if what is left of the policy is what ours leaves: if not, somebody else was there."""
    left = PolicyState.GONE if removal is Removal.DELETE else PolicyState.TOMBSTONE
    if reading.state is not left or reading.version == noted.version:
        return None
    return Execution(
        action=ActionKind.STORED_POLICY,
        target=noted.target,
        at=at,
        old_sha256=noted.version,
        new_sha256=reading.version,
        confirmed_by="listing",
        correlation_id=None,
    )


def _revocation(noted: Attributed, rotations: Iterable[Rotation], records: Iterable[Revocation]) -> Execution | None:
    """Return the revocation of delegation keys that was noted for one of `records`, None where none was.

    It was noted before a record could tell of it, and after it was asked for: an older one is another.
    """
    since = {record.fingerprint: (record.reached(State.RECEIVED) or record.received_at) for record in records}
    for rotation in rotations:
        asked = since.get(rotation.fingerprint)
        if rotation.action is noted.action and asked is not None and rotation.at > asked - _CLOCK_SKEW:
            return Execution(
                action=rotation.action,
                target=rotation.target,
                at=rotation.at,
                old_sha256="",
                new_sha256="",
                confirmed_by="answer",
                correlation_id=None,
            )
    return None


def _verdict(record: Revocation, account: AccountFacts, keys: Mapping[str, AccountKey]) -> Verdict | None:
    credential = record.finding.credential
    values = {name: key.value for name, key in keys.items()}
    return attribute(credential, account=account.name, keys=values) if credential is not None else None


def _matches_none(record: Revocation, account: AccountFacts, keys: Mapping[str, AccountKey]) -> bool:
    verdict = _verdict(record, account, keys)
    return verdict is not None and verdict.reason is Reason.NO_KEY_MATCHES
