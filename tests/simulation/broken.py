"""Builds of the product that are broken on purpose: the simulator must see each of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import msgspec

from shared.actions.account_key import AccountKeyAction
from shared.containment import account_reader, service
from shared.containment.execution import PlanExecutor
from shared.containment.rechecks import Rechecks
from shared.containment.repeated_reports import RepeatedReports
from shared.domain import pending_steps
from shared.domain.account import AccountKey
from shared.domain.approval import Approval
from shared.domain.decision import evaluation
from shared.domain.decision.people import Quorum
from shared.domain.elsewhere import Elsewhere
from shared.domain.execution import Execution
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.errors import SasquashError
from shared.operations.daily_rechecks import DailyRechecks
from shared.persistence.account_rows import Intent, Rotation
from shared.persistence.accounts import AccountLock, AccountTable
from tests.simulation.features import Feature
from tests.simulation.judgment.rules import Rule
from tests.simulation.run import run

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

    def with_readings(self: Revocation, finding: Any) -> Revocation:
        return self

    def unknown_paths(self: Revocation, finding: Any, **options: Any) -> tuple[Any, ...]:
        return ()

    with patch.multiple(Revocation, with_readings=with_readings, unknown_paths=unknown_paths):
        yield


@contextmanager
def trying_the_first_host_alone() -> Iterator[None]:
    """A leak belongs to the account that its first report names."""

    def with_report(self: Elsewhere, *_: Any) -> Elsewhere:
        return self

    with patch.object(Elsewhere, "with_report", with_report):
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


@contextmanager
def without_checking_again() -> Iterator[None]:
    """A policy that was put back is not checked again."""

    async def of_report(self: Any, record: Revocation) -> Revocation:
        return record

    async def of_all(self: Any) -> None:
        return

    with patch.object(DailyRechecks, "run", of_all), patch.object(Rechecks, "of_report", of_report):
        yield


@contextmanager
def forgetting_what_was_refused() -> Iterator[None]:
    """Where Azure refuses to say what an interrupted action came to, nobody asks again."""

    async def keep_unsettled(self: Any, account: str, intent: Intent, **_: Any) -> None:
        return

    with patch.object(AccountTable, "keep_unsettled", keep_unsettled):
        yield


@contextmanager
def giving_up_at_the_first_refusal() -> Iterator[None]:
    """A record that a refusal has ended is tried again only where its leak is reported again."""
    real = Revocation.reach

    def reach(self: Revocation, state: State, **options: Any) -> Revocation:
        again = state is State.RECEIVED and self.reason is Reason.BLOCKED
        if again and not str(options["detail"]).startswith("Reported again"):
            return self
        return real(self, state, **options)

    with patch.object(Revocation, "reach", reach):
        yield


@contextmanager
def trusting_a_list_that_lags() -> Iterator[None]:
    """The list of keys is believed, although the account says that a key is younger: a person's new key is ended."""

    def behind_the_account(*_: Any, **__: Any) -> None:
        return

    with patch.object(account_reader, "behind_the_account", behind_the_account):
        yield


@contextmanager
def stopping_at_a_foreign_row() -> Iterator[None]:
    """A row that nobody can read stops the one who reads the account."""
    real = AccountTable.rows

    async def rows(self: Any, partitions: Iterable[str]) -> Any:
        wanted = tuple(partitions)
        for partition in wanted:
            query, values = "PartitionKey eq @account", {"account": partition}
            async for row in self._table.query_entities(query, parameters=values):
                for column, kind in (("Finding", Finding), ("Rotation", Rotation)):
                    if column in row:
                        msgspec.json.decode(row[column], type=kind)
        return await real(self, wanted)

    with patch.object(AccountTable, "rows", rows):
        yield


@contextmanager
def forgetting_whose_it_was() -> Iterator[None]:
    """A leak that was verified, and that a person has revoked since, is called forged."""

    def by_key(signer: Any, verdict: Any, snapshot: Any) -> Any:
        return verdict, None

    with patch.object(evaluation, "by_key", by_key):
        yield


@contextmanager
def comparing_the_clocks_of_hosts() -> Iterator[None]:
    """Whether people know of a request for approval is decided by the times of two hosts."""

    def unnotified(revocation: Revocation) -> bool:
        if pending_steps.reported_again(revocation):
            return True
        if revocation.state not in pending_steps._MAILED:
            return False
        now, at_once = (revocation.state, revocation.reason), pending_steps.mailed_at_once(revocation)
        asks = revocation.state is State.AWAITING_APPROVAL
        asked = revocation.reached(State.AWAITING_APPROVAL) if asks else None
        return not any(
            (sent.state, sent.reason) == now
            and (asked is None or sent.at >= asked)
            and (bool(sent.to) or not at_once)
            for sent in revocation.notifications
        )

    with patch.object(pending_steps, "unnotified", unnotified):
        yield


@dataclass(frozen=True)
class Broken:
    """A build that is broken on purpose. `features` are those of the runs that must see it, by this rule."""

    build: Build
    features: frozenset[Feature] = frozenset()
    rule: Rule | None = None

    @property
    def name(self) -> str:
        return str(getattr(self.build, "__name__", ""))


_PEOPLE = frozenset({Feature.PEOPLE})
_REFUSALS = frozenset({Feature.REFUSALS})

BUILDS: tuple[Broken, ...] = (
    Broken(without_a_lock),
    Broken(without_verifying_again),
    Broken(recording_before_executing),
    Broken(swallowing_duplicates),
    Broken(keeping_the_first_path),
    Broken(trying_the_first_host_alone, frozenset({Feature.HOSTS})),
    Broken(giving_up_at_the_first_failure),
    Broken(counting_approvals_and_not_people),
    Broken(without_checking_again, frozenset({Feature.POLICIES, Feature.PEOPLE}), Rule.PUT_BACK_REVOKED),
    Broken(forgetting_what_was_refused, _REFUSALS, Rule.SILENT_ROTATIONS),
    Broken(giving_up_at_the_first_refusal, _REFUSALS, Rule.RETRIED),
    Broken(trusting_a_list_that_lags, _PEOPLE, Rule.NEW_KEYS),
    Broken(stopping_at_a_foreign_row, frozenset({Feature.OLD_ROWS}), Rule.FOREIGN_ROWS),
    Broken(forgetting_whose_it_was, _PEOPLE, Rule.BY_HAND),
    Broken(comparing_the_clocks_of_hosts, frozenset({Feature.CLOCKS}), Rule.MAILS_BY_OTHER_CLOCKS),
)


def first_caught(name: str, seeds: range) -> str:
    """Return the first seed that sees a broken build, and how; nothing where none does."""
    broken = next(one for one in BUILDS if one.name == name)
    with broken.build():
        for seed in seeds:
            found = run(seed, features=broken.features).violations
            shown = [text for text in found if broken.rule is None or text.endswith(f"({broken.rule.name.lower()})")]
            if shown:
                return f"{seed}: {'; '.join(shown)}"
    return ""
