"""Account keys: which were rotated, how often, and whether records say so."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from local.tenant.model import STATE_ACCOUNT
from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from tests.simulation.judgment.case import Case
from tests.simulation.judgment.rules import Rule, Violation

_IN_FLIGHT = 45.0  # seconds from the listing of a key until its rotation is sent: what happens in them is not seen
_A_DAY = 86400.0


def violations(case: Case) -> Iterator[Violation]:
    """Yield what is wrong about the accounts' keys."""
    for planned in case.scenario.accounts:
        yield from _of_account(case, planned.name)
        yield from _second_key(case, planned.name)
        yield from _new_keys(case, planned.name)


def _of_account(case: Case, account: str) -> Iterator[Violation]:
    leaked = {leak.key_name for leak in case.scenario.leaks if leak.account == account}
    leaked |= {order.key_name for order in case.scenario.orders if order.account == account}
    rotated = Counter(one.key_name for one in case.rotations(account))
    holding = case.executed(ActionKind.ACCOUNT_KEY, account)
    for key, count in rotated.items():
        if key not in leaked:
            yield Violation(Rule.KEYS, f"{key} of {account} was rotated, and it had signed no leak")
        executions = [record for record in holding if record.execution and record.execution.target == key]
        # A token may have been seen with the new key: then people order its rotation again.
        ordered = sum(record.finding.order is not None for record in executions)
        if count - ordered > 1:
            yield Violation(Rule.KEYS, f"{key} of {account} was rotated {count} times")
        # While a killed host held the lock, a person's rotation looks like one of its own. And where a person
        # rotated the key again before ARM could be asked, only that rotation shows.
        others = len(case.by_hand(account, key))
        if not count - others <= len(executions) <= count + others:
            text = (
                f"{len(executions)} records hold the rotation of {key} of {account}, which was rotated {count} times"
            )
            yield Violation(case.silent if len(executions) < count else Rule.KEYS, text)
    for record in holding:
        target = record.execution.target if record.execution is not None else ""
        if target not in rotated and not case.by_hand(account, target):
            yield Violation(Rule.KEYS, f"record {record.fingerprint[:12]} holds a rotation that never happened")
    rows = case.world.storage.tables(STATE_ACCOUNT).tables["accounts"].get(account, {})
    for one in case.rotations(account):
        # A person may have made another one before a successor could read it.
        if f"rotation~{one.sha256}" not in rows and not case.by_hand(account, one.key_name):
            yield Violation(case.silent, f"no row says that {one.key_name} of {account} was rotated")


def _second_key(case: Case, account: str) -> Iterator[Violation]:
    """The second key of an account within a day requires approval, whatever else has happened."""
    rotated = sorted(case.rotations(account), key=lambda one: one.sent)
    close = any(
        first.key_name != second.key_name and second.sent - first.sent < _A_DAY - _IN_FLIGHT
        for first, second in pairwise(rotated)
    )
    if close and not any(_is_approved(record) for record in case.executed(ActionKind.ACCOUNT_KEY, account)):
        yield Violation(Rule.KEYS, f"both keys of {account} were rotated, and nobody had approved")


def _is_approved(record: Revocation) -> bool:
    return record.approval is not None and record.approval.by is not None


def _new_keys(case: Case, account: str) -> Iterator[Violation]:
    """A key that a person has made has signed nothing that leaked."""
    ordered = {order.key_name for order in case.scenario.orders if order.account == account and order.people > 1}
    for one in case.rotations(account):
        made = [hand for hand in case.by_hand(account, one.key_name) if hand.at + _IN_FLIGHT < one.sent]
        if made and one.key_name not in ordered:
            yield Violation(
                Rule.NEW_KEYS,
                f"{one.key_name} of {account}, made by a person at {made[-1].at:.0f}, was rotated at {one.sent:.0f}",
            )
