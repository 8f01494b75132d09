"""Stored access policies: only the leaked ones end, a record says so, and the others stay as they are."""

from collections.abc import Iterator

from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.simulation.judgment.case import Case
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.leaks import PlannedLeak, PlannedPolicy, unleaked
from tests.simulation.policies import ends_in, held, means_the_same

_REVOKED = (State.PROVEN, State.CLOSED)


def violations(case: Case) -> Iterator[Violation]:
    """Yield what is wrong about the access control lists."""
    for leak in case.scenario.leaks:
        if leak.policy is not None:
            yield from _of_policy(case, leak, leak.policy)


def _of_policy(case: Case, leak: PlannedLeak, policy: PlannedPolicy) -> Iterator[Violation]:
    account, beside = case.account(leak.account), unleaked()
    if not means_the_same(held(account, policy.key, beside.id), beside):
        yield Violation(Rule.POLICIES, f"policy {beside.id} of {account.name}/{policy.resource} was changed")
    removes = account.tags.get("sasquash-policy-removal") == "delete"
    is_over = ends_in(account, policy.key, policy.id, now=case.world.loop.utc_now())
    was_put_back = bool(case.world.put_back[account.name, policy.key, policy.id])
    saying_so = [
        record
        for record in case.executed(ActionKind.STORED_POLICY, account.name)
        if record.execution is not None and policy.resource in record.execution.target
    ]
    if case.is_alive(leak) and not is_over and any(record.state in _REVOKED for record in saying_so):
        rule = Rule.PUT_BACK_REVOKED if was_put_back else Rule.POLICIES
        yield Violation(rule, f"the policy of the {leak.name} is in force, and a record says that it was revoked")
    # Nothing is left of a policy that is deleted: who did it is unknown where the lock's row did not get it.
    record = case.record_of(leak)
    is_unknown = case.is_unnoted and removes and record is not None and record.reason is Reason.POLICY_GONE
    if is_over and not policy.missing and not saying_so and not is_unknown:
        rule = Rule.POLICIES if case.silent is Rule.KEYS else case.silent
        yield Violation(rule, f"the policy of the {leak.name} has ended, and no record says so")
    if saying_so and removes and is_over and held(account, policy.key, policy.id) is not None:
        yield Violation(Rule.POLICIES, f"the policy of the {leak.name} was to be deleted, and is there")
