"""Builds of the product that are broken on purpose: the simulator must see each of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from shared.actions.account_key import AccountKeyAction
from shared.containment import service
from shared.containment.execution import PlanExecutor
from shared.containment.repeated_reports import RepeatedReports
from shared.domain.account import AccountKey
from shared.domain.approval import Approval
from shared.domain.decision.people import Quorum
from shared.domain.execution import Execution
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.errors import SasquashError
from shared.persistence.account_rows import Intent
from shared.persistence.accounts import AccountLock, AccountTable

type Build = Callable[[], Any]


@contextmanager
def without_a_lock() -> Iterator[None]:
    """Each instance that asks for an account's lock gets it."""

    async def acquire(self: Any, account: str, *, fingerprint: str, urgent: bool = False) -> AccountLock:
        now: datetime = self._clock()
        return AccountLock(account, Intent(self._new_id(), fingerprint, now, now + timedelta(minutes=1)), None, "")

    async def attribute(self: Any, lock: AccountLock, attributed: Any) -> AccountLock:
        return lock

    async def release(self: Any, lock: AccountLock, *, listed_at: datetime | None) -> None:
        return

    with patch.multiple(AccountTable, acquire=acquire, attribute=attribute, release=release):
        yield


@contextmanager
def without_verifying_again() -> Iterator[None]:
    """An instance lists the keys of an account once, and relies on that list from then on."""
    real = AccountKeyAction.keys

    async def keys(self: Any, account: Any) -> dict[str, AccountKey]:
        listed: dict[str, dict[str, AccountKey]] = vars(self).setdefault("_listed", {})
        if account.name not in listed:
            listed[account.name] = await real(self, account)
        return listed[account.name]

    with patch.object(AccountKeyAction, "keys", keys):
        yield


@contextmanager
def recording_before_executing() -> Iterator[None]:
    """A record says that its action was run before it is."""
    real = PlanExecutor.execute

    async def execute(self: Any, held: Any, snapshot: Any, chosen: Any, record: Revocation, *, ends: Any) -> Any:
        plan, now = chosen.plan, self.store.clock()
        if plan is None or plan.action is not ActionKind.ACCOUNT_KEY:
            return await real(self, held, snapshot, chosen, record, ends=ends)
        recorded = Execution(plan.action, plan.target, now, plan.version, "", "answer", None)
        early = replace(record, execution=recorded, account=snapshot.account, plan=plan)
        contained = early.reach(State.CONTAINED, now=now, detail="Regenerated.")
        await self.store.revocations.save(contained, what="Regenerated.")
        return await real(self, held, snapshot, chosen, record, ends=ends)

    with patch.object(PlanExecutor, "execute", execute):
        yield


@contextmanager
def swallowing_duplicates() -> Iterator[None]:
    """Another report of a known leak changes nothing."""

    async def join(self: Any, known: Revocation, finding: Any) -> Revocation:
        return known

    async def keep_left_out(self: Any, record: Revocation, finding: Any, **options: Any) -> None:
        return

    with patch.multiple(RepeatedReports, join=join, keep_left_out=keep_left_out):
        yield


@contextmanager
def keeping_the_first_path() -> Iterator[None]:
    """The path of a leak is the one of its first report."""

    def with_paths(self: Revocation, finding: Any) -> Revocation:
        return self

    def unknown_paths(self: Revocation, finding: Any, **options: Any) -> tuple[Any, ...]:
        return ()

    with patch.multiple(Revocation, with_paths=with_paths, unknown_paths=unknown_paths):
        yield


@contextmanager
def giving_up_at_the_first_failure() -> Iterator[None]:
    """What fails transiently is not tried again, and nothing searches for what is stuck."""
    from shared.operations.sweeper import Sweeper

    async def try_again(store: Any, revocation: Revocation, message: Any, error: SasquashError) -> None:
        return

    async def run(self: Any) -> None:
        return

    with patch.object(service, "try_again", try_again), patch.object(Sweeper, "run", run):
        yield


@contextmanager
def counting_approvals_and_not_people() -> Iterator[None]:
    """Two approvals are enough, also of one person."""

    def is_met_by(self: Quorum, approvals: Iterable[Approval]) -> bool:
        return sum(one.by is not None for one in approvals) >= self.approvers

    with patch.object(Quorum, "is_met_by", is_met_by):
        yield


BUILDS: tuple[Build, ...] = (
    without_a_lock,
    without_verifying_again,
    recording_before_executing,
    swallowing_duplicates,
    keeping_the_first_path,
    giving_up_at_the_first_failure,
    counting_approvals_and_not_people,
)
