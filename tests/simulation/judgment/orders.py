"""What takes people: orders, lockdowns, and the revocation of user delegation keys."""

from collections.abc import Iterator

from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.simulation.judgment.case import Case
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.leaks import Kind
from tests.simulation.orders import SAS_PERIOD

_ENDS = frozenset(set(State) - {State.RECEIVED, State.CONTAINED})


def violations(case: Case) -> Iterator[Violation]:
    """Yield what was done without the people that it takes."""
    yield from _orders(case)
    for planned in case.scenario.accounts:
        yield from _lockdowns(case, planned.name)
        yield from _delegation(case, planned.name)


def _orders(case: Case) -> Iterator[Violation]:
    """An order acts with two people in all, and never with fewer."""
    for order in case.scenario.orders:
        name, record = f"order for {order.key_name} of {order.account}", case.records.get(order.finding.fingerprint)
        if record is None:
            yield Violation(Rule.ORDERS, f"the {name} has no record: it is lost")
            continue
        if record.state not in _ENDS:
            yield Violation(Rule.ORDERS, f"the {name} is still {record.state}: {record.detail}")
        if record.execution is None:
            continue
        people = _people(record)
        if len(people) < 2 or order.people < 2:
            text = f"the {name} was run, and {min(len(people), order.people)} people had approved it"
            yield Violation(Rule.ORDERS, text)


def _people(record: Revocation) -> set[str]:
    """Return who approved the record's plan: people, the one who ordered it included."""
    author = record.finding.reported_by
    given = [*(one.by for one in record.approvals), author]
    return {one.object_id for one in given if one is not None and one.is_person}


def _lockdowns(case: Case, account: str) -> Iterator[Violation]:
    properties = case.account(account).properties
    is_locked = {
        "shared_key": properties["allowSharedKeyAccess"] is False,
        "network": properties["networkAcls"]["defaultAction"] == "Deny",
        SAS_PERIOD: properties.get("sasPolicy", {}).get("expirationAction") == "Block",
    }
    for kind, locked in is_locked.items():
        of_kind = [one for one in case.records.values() if one.lockdown is not None and one.account_name == account]
        of_kind = [one for one in of_kind if one.lockdown is not None and one.lockdown.kind == kind]
        in_force = [one for one in of_kind if one.execution is not None and _stands(one)]
        if locked and not in_force:
            yield Violation(Rule.LOCKDOWNS, f"{account} is locked ({kind}), and no record says so")
        if in_force and not locked:
            yield Violation(Rule.LOCKDOWNS, f"{account} is open ({kind}), and a record says that it is locked")
        for record in of_kind:
            if record.state not in _ENDS and record.reason is not Reason.IN_EFFECT:
                yield Violation(Rule.LOCKDOWNS, f"a lockdown of {account} is still {record.state}: {record.detail}")
            if record.execution is not None and len(_people(record)) < 2:
                yield Violation(
                    Rule.LOCKDOWNS, f"{account} was locked down, and {len(_people(record))} people agreed"
                )


def _stands(record: Revocation) -> bool:
    return record.lockdown is not None and bool(record.lockdown.after) and record.lockdown.undone_at is None


def _delegation(case: Case, account: str) -> Iterator[Violation]:
    revoked = case.world.network.revocations[account]
    leaks = [leak for leak in case.scenario.leaks if (leak.kind, leak.account) == (Kind.DELEGATION, account)]
    holding = case.executed(ActionKind.DELEGATION_KEY, account)
    if revoked and not leaks:
        yield Violation(Rule.DELEGATION, f"the delegation keys of {account} were revoked, and none had leaked")
    if revoked and not holding:
        yield Violation(case.silent, f"the delegation keys of {account} were revoked, and no record says so")
    if holding and not revoked:
        yield Violation(Rule.DELEGATION, f"a record says that the delegation keys of {account} were revoked")
    raw = {leak.finding.fingerprint for leak in leaks if leak.raw}
    for record in holding:
        # Azure itself accepts the token of a report that brings it; without one, it takes two people.
        if record.fingerprint not in raw and len(_people(record)) < 2:
            yield Violation(Rule.DELEGATION, f"the delegation keys of {account} were revoked without two people")
