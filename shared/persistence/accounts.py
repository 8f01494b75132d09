"""Table `accounts`: each storage account's lock, the findings that wait for it, and what Sasquash rotated or revoked.

Partition = the account's name (for a custom domain, the leaked host). Rows: "lock",
"waiting~<fingerprint>", "rotation~<hash of the new key, or time of the revocation>", and "unsettled~<holder>": what a
holder of the lock may have done, and Azure refused to say. One query reads them all, in the same round as the keys.

A lock that this version can't read is that of an unknown holder: it is taken over once that one's time is certainly
over, and its row is kept as "unread~<time>~<id>". A finding that can't be read waits for a version that can, and so
does what a holder may have done.

A lock is released by removing its row. Where the account's keys were listed just now, the row stays and says how long
the account cools down. So its keys are listed once in ten seconds, however many findings come to however many
instances: a finding that comes meanwhile waits, and is decided on with all that waits by then.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.execution import Execution
from shared.domain.finding import Finding
from shared.errors import AccountBusy, UnreadableRow
from shared.persistence import account_rows
from shared.persistence.account_rows import (
    ROTATION,
    UNSETTLED,
    WAITING,
    AccountRows,
    Attributed,
    Intent,
    Rotation,
    rotation_key,
    rotation_row,
    unsettled_key,
    unsettled_row,
    waiting_key,
    waiting_partition,
    waiting_row,
)
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import Row, SetAside, logged, new_row, reading, unreadable
from shared.persistence.unknown_fields import with_unknown

# Everything that is done under a lock ends within WORK_TIME of acquiring it. An instance that finds the lock of one
# that crashed, or whose call to ARM got no answer, waits TAKEOVER_TIME more: by then ARM has done it or never will.
WORK_TIME = timedelta(seconds=60)
EXECUTION_TIME = timedelta(seconds=25)  # of it, that an action may take; one that could take longer is not begun
TAKEOVER_TIME = timedelta(minutes=2)
_BUSY_RETRY = 3.0  # seconds; a lock is normally held for one or two
COOLDOWN = timedelta(seconds=10)  # between two listings of an account's keys

_LOCK, _UNREAD = "lock", "unread~"
_MOST_ATTRIBUTED = 70  # of 420 characters each at the most, in a text column of 32 K
_MOST_TENURES = 8  # of 200 characters; of as many instances that crashed with the lock or could not settle it


@dataclass(frozen=True, slots=True)
class AccountLock:
    """A lock that we hold. `predecessor` is the intent of a holder that never came back, if there was one.

    `taken_from` is the row of that one, which may have more than this version knows.
    """

    account: str
    intent: Intent
    predecessor: Intent | None
    etag: str
    taken_from: Row | None = None


class AccountTable:
    """The only reader and writer of table `accounts`."""

    def __init__(
        self,
        table: TableClient,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        set_aside: SetAside = logged,
    ) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._set_aside = set_aside

    async def acquire(self, account: str, *, fingerprint: str, urgent: bool = False) -> AccountLock:
        """Acquire the account's lock, writing what for. Raises AccountBusy while another instance may be using it.

        Also while the account cools down, unless this is `urgent`: a person's decision is no flood.
        """
        now = self._clock()
        intent = Intent(self._new_id(), fingerprint, now, now + WORK_TIME)
        row = new_row(account, _LOCK, Intent=_text(intent))
        with own_tables(f"Locking account {account}"):
            try:
                answer = await self._table.create_entity(row)
            except ResourceExistsError:
                return await self._take_over(account, intent, urgent=urgent)
        return AccountLock(account, intent, None, answer["etag"])

    async def _take_over(self, account: str, intent: Intent, *, urgent: bool) -> AccountLock:
        """Take a lock that cools down, or one whose holder's time is long over. Else raises AccountBusy."""
        predecessor: Intent | None = None
        try:
            held = await self._table.get_entity(account, _LOCK)
            try:
                with reading(self._table.table_name, held):
                    found = _lock_in(held)
            except UnreadableRow as row:
                await self._set_aside(row)
                return await self._take_over_unread(account, intent, held)
            if isinstance(found, datetime):
                if not urgent:
                    _raise_if_cooling_down(account, found, now=intent.acquired_at)
                answer = await self._rewrite(account, intent, etag=held.metadata["etag"])
                return AccountLock(account, intent, None, answer["etag"])
            predecessor = found
            if predecessor.holder == intent.holder:  # written after all: its answer was lost, and the SDK tried again
                return AccountLock(account, intent, None, str(held.metadata["etag"]))
            _raise_if_held(account, predecessor, now=intent.acquired_at)
            # What the predecessor had proven stays in the lock until its records stand: its successor may crash too.
            # Of many holders the first is kept, since those that only tried to settle what it did ran nothing.
            first, *others = predecessor.tenures
            before = (first, *others[-_MOST_TENURES + 1 :])
            intent = replace(intent, attributed=predecessor.attributed, before=before)
            answer = await self._rewrite(account, intent, etag=held.metadata["etag"], taken_from=held)
        except ResourceModifiedError:
            return await self._perhaps_ours(account, intent, predecessor)
        except ResourceNotFoundError:
            raise _changed_hands(account) from None
        return AccountLock(account, intent, predecessor, answer["etag"], taken_from=held)

    async def _take_over_unread(self, account: str, intent: Intent, held: TableEntity) -> AccountLock:
        """Take a lock that can't be read, if its holder's time is over whatever it says; keep its row beside.

        Its holder wrote it as late as at its deadline. What that one had attributed is not known. Raises AccountBusy.
        """
        written = _written_at(held) or intent.acquired_at
        name = f"{written:%Y%m%dT%H%M%S%f}~{self._new_id()}"
        predecessor = Intent(name, "", written - WORK_TIME, written + WORK_TIME)
        _raise_if_held(account, predecessor, now=intent.acquired_at)
        intent = replace(intent, before=predecessor.tenures)
        kept = {**held, "RowKey": f"{_UNREAD}{name}"}
        guard: dict[str, Any] = {"etag": held.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        row = new_row(account, _LOCK, Intent=_text(intent))
        try:
            answers = await self._table.submit_transaction(
                [("create", kept), ("update", row, {"mode": UpdateMode.REPLACE, **guard})]
            )
        except TableTransactionError as error:
            if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise
            return await self._perhaps_ours(account, intent, predecessor)
        await self._set_aside(unreadable(self._table.table_name, kept))
        return AccountLock(account, intent, predecessor, str(answers[1]["etag"]))

    async def _rewrite(
        self, account: str, intent: Intent, *, etag: str | None, taken_from: Row | None = None
    ) -> Mapping[str, Any]:
        """Write `intent` into the lock's row if that is as it was read, with what a newer version wrote there."""
        row = new_row(account, _LOCK, Intent=_text(intent))
        if taken_from is not None:
            text = with_unknown(row["Intent"].encode(), read=taken_from["Intent"], kind=Intent)
            row = {**taken_from, **row, "Intent": text}
        return await self._table.update_entity(
            row,
            mode=UpdateMode.REPLACE,
            etag=etag,
            match_condition=MatchConditions.IfNotModified,
        )

    async def _perhaps_ours(self, account: str, intent: Intent, predecessor: Intent | None) -> AccountLock:
        """Return the lock that we took over although the answer to a first attempt was lost. Raises AccountBusy."""
        try:
            held = await self._table.get_entity(account, _LOCK)
        except ResourceNotFoundError:
            raise _changed_hands(account) from None
        if not _is_held_by(held, intent):
            raise _changed_hands(account)
        return AccountLock(account, intent, predecessor, str(held.metadata["etag"]))

    async def attribute(self, lock: AccountLock, attributed: Iterable[Attributed]) -> AccountLock:
        """Add to the lock which target revokes which leak, for a successor that must know what was true before."""
        intent = replace(lock.intent, attributed=tuple(attributed)[:_MOST_ATTRIBUTED])
        with own_tables(f"Writing the lock of account {lock.account}"):
            answer = await self._rewrite(lock.account, intent, etag=lock.etag, taken_from=lock.taken_from)
        return replace(lock, intent=intent, etag=answer["etag"])

    async def release(self, lock: AccountLock, *, listed_at: datetime | None) -> None:
        """Release the lock; the account cools down, if its keys were listed just now. One taken over is left alone.

        `listed_at` is when the keys were listed under it, None where they were not.
        """
        with own_tables(f"Unlocking account {lock.account}"):
            try:
                await self._give_back(lock.account, lock.etag, listed_at)
            except ResourceNotFoundError:
                return
            except ResourceModifiedError:
                await self._release_rewritten(lock, listed_at)

    async def _release_rewritten(self, lock: AccountLock, listed_at: datetime | None) -> None:
        """Give back a lock whose row is not as we know it: still ours, if the answer to `attribute` was lost."""
        with suppress(ResourceNotFoundError, ResourceModifiedError):
            held = await self._table.get_entity(lock.account, _LOCK)
            if _is_held_by(held, lock.intent):
                await self._give_back(lock.account, str(held.metadata["etag"]), listed_at)

    async def _give_back(self, account: str, etag: str, listed_at: datetime | None) -> None:
        guard: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        if listed_at is None or listed_at + COOLDOWN <= self._clock():
            await self._table.delete_entity(account, _LOCK, **guard)
        else:
            cooling_down = new_row(account, _LOCK, CoolsDownUntil=listed_at + COOLDOWN)
            await self._table.update_entity(cooling_down, mode=UpdateMode.REPLACE, **guard)

    async def add_waiting(self, finding: Finding) -> None:
        """Have `finding` decided on with what else waits for its account. Idempotent.

        Of its paths, as many as fit: its record has them all, and no verdict stands that does not know them.
        """
        await self._upsert(waiting_row(finding))

    async def remove_waiting(self, finding: Finding) -> None:
        """Forget that a finding waits. Idempotent."""
        partition = waiting_partition(finding)
        with own_tables(f"Clearing the queue of account {partition}"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(partition, waiting_key(finding))

    async def add_rotation(self, account: str, rotation: Rotation) -> None:
        """Remember a rotation for the rules about second keys and rotations a day. Idempotent.

        The new key's hash names it: an instance that settles for a crashed one does not count a rotation twice.
        """
        await self._upsert(rotation_row(account, rotation))

    async def forget_rotation(self, account: str, execution: Execution) -> None:
        """Forget the rotation that an execution was. Idempotent."""
        key = rotation_key(execution.new_sha256, execution.at)
        with own_tables(f"Removing a row of account {account}"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(account, key)

    async def keep_unsettled(self, account: str, intent: Intent, *, taken_from: Row | None = None) -> None:
        """Keep what a holder of the lock may have done until Azure says whether it did. Idempotent.

        `taken_from` is the row that this intent was read from.
        """
        await self._upsert(unsettled_row(account, intent, taken_from=taken_from))

    async def remove_unsettled(self, account: str, intent: Intent) -> None:
        """Forget what a holder of the lock may have done: it is recorded, or was never done. Idempotent."""
        with own_tables(f"Removing a row of account {account}"), suppress(ResourceNotFoundError):
            await self._table.delete_entity(account, unsettled_key(intent))

    async def rows(self, partitions: Iterable[str]) -> AccountRows:
        """Return who waits for the account and how it was rotated lately. What can't be read stops no other row."""
        waiting: dict[str, Finding] = {}
        rotations: list[Rotation] = []
        unread: list[datetime] = []
        unsettled: list[Intent] = []
        for partition in dict.fromkeys(partitions):
            with own_tables(f"Reading what waits for account {partition}"):
                async for row in self._table.query_entities(
                    "PartitionKey eq @account", parameters={"account": partition}
                ):
                    if not row["RowKey"].startswith((WAITING, ROTATION, UNSETTLED)):
                        continue
                    try:
                        with reading(self._table.table_name, row):
                            held = account_rows.decoded(row)
                    except UnreadableRow as error:
                        await self._set_aside(error)
                        if row["RowKey"].startswith(ROTATION):
                            unread.append(_written_at(row) or self._clock())
                        continue
                    match held:
                        case Finding():
                            waiting[held.fingerprint] = held
                        case Rotation():
                            rotations.append(held)
                        case Intent():
                            unsettled.append(held)
        return AccountRows(tuple(waiting.values()), tuple(rotations), tuple(unsettled), tuple(unread))

    async def _upsert(self, row: dict[str, Any]) -> None:
        with own_tables(f"Writing a row of account {row['PartitionKey']}"):
            await self._table.upsert_entity(row, mode=UpdateMode.MERGE)


def decoded(row: Row) -> Finding | Rotation | Intent | datetime:
    """Return what a row of table `accounts` holds, of a lock that cools down its end.

    Raises what `rows.reading` translates.
    """
    is_lock = not str(row["RowKey"]).startswith((WAITING, ROTATION, UNSETTLED))
    return _lock_in(row) if is_lock else account_rows.decoded(row)


def _written_at(row: TableEntity) -> datetime | None:
    """Return when a row was written: a time that can be stored, which the table client's own type can't."""
    at = row.metadata["timestamp"]
    return None if at is None else datetime.fromtimestamp(at.timestamp(), UTC)


def _lock_in(row: Row) -> Intent | datetime:
    until = row.get("CoolsDownUntil")
    if until is None:
        return msgspec.json.decode(row["Intent"], type=Intent)
    if not isinstance(until, datetime):
        raise TypeError("the end of a cooldown is no time")
    return until


def _is_held_by(row: Mapping[str, Any], intent: Intent) -> bool:
    try:
        return msgspec.json.decode(row.get("Intent", ""), type=Intent).holder == intent.holder
    except msgspec.MsgspecError:  # of a newer version: ours can be read
        return False


def _raise_if_held(account: str, holder: Intent, *, now: datetime) -> None:
    free_at = holder.deadline + TAKEOVER_TIME
    if now < free_at:
        left, held = (free_at - now).total_seconds(), (now - holder.acquired_at).total_seconds()
        # Who holds it for long is likely to go on, and each try may leave a copy of its message.
        soon = max(_BUSY_RETRY, held / 2)
        raise AccountBusy(
            f"Account {account} is locked until {free_at:%H:%M:%S} at the latest.",
            retry_after=min(left, soon) if now < holder.deadline else left,
        )


def _raise_if_cooling_down(account: str, until: datetime, *, now: datetime) -> None:
    if now < until:
        raise AccountBusy(
            f"The keys of {account} were listed just now; what waits for it is decided at {until:%H:%M:%S}.",
            retry_after=(until - now).total_seconds(),
        )


def _changed_hands(account: str) -> AccountBusy:
    return AccountBusy(f"Account {account}'s lock just changed hands.", retry_after=_BUSY_RETRY)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
