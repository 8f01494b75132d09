"""What must be true after every run, judged from the services' own state. `rules` names the rules."""

from collections import Counter
from dataclasses import replace

from tests.simulation.judgment import keys, leaks, notices, orders, policies, storage
from tests.simulation.judgment.case import Case
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.old_rows import Form

_SUBJECTS = (keys, leaks, policies, orders, notices, storage)


def violations(case: Case) -> list[str]:
    """Return in words all that is not as it must be."""
    return [f"{one.text} ({one.rule.name.lower()})" for one in found(case)]


def found(case: Case) -> list[Violation]:
    """Return all that is not as it must be. Where a row is foreign, that breaks whatever the product keeps else."""
    broken = [violation for subject in _SUBJECTS for violation in subject.violations(case)]
    if case.world.is_storming:
        broken.append(Violation(Rule.REST, f"{len(case.world.network.calls)} calls, and no end"))
    if not case.scenario.holds_foreign_rows:
        return broken
    return [replace(one, rule=Rule.FOREIGN_ROWS) for one in broken]


def checked(case: Case) -> Counter[str]:
    """Return how often each rule was checked."""
    scenario, world = case.scenario, case.world
    return Counter(
        {
            Rule.KEYS: len(scenario.accounts),
            Rule.NEW_KEYS: len(world.by_hand),
            Rule.LEAKS: len(scenario.leaks),
            Rule.RETRIED: len(scenario.leaks) if case.has_refusals else 0,
            Rule.POLICIES: sum(leak.policy is not None for leak in scenario.leaks),
            Rule.PUT_BACK: world.put_back.total(),
            Rule.DELEGATION: sum(leak.delegation is not None for leak in scenario.leaks),
            Rule.ORDERS: len(scenario.orders),
            Rule.LOCKDOWNS: world.acts["lockdown ordered"],
            Rule.VAULTS: sum(planned.secret is not None for planned in scenario.accounts),
            Rule.INCIDENTS: len(case.records),
            Rule.MAILS: len(case.cloud.mails),
            Rule.OWNERS: len(world.network.regenerated),
            Rule.DEAD_LETTERS: len(scenario.letters),
            Rule.SECRETS: len(scenario.leaks) + 2 * len(scenario.accounts),
            Rule.FOREIGN_ROWS: sum(row.form is Form.FOREIGN for row in scenario.rows),
        }
    )
