"""What holds for every kind by action by verdict by mode by liveness by policy by approval."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from shared.domain.account import PolicyState
from shared.domain.decision.evaluation import Evaluation, Known, policy_of
from shared.domain.decision.rules import RuleOutcome
from shared.domain.execution import Liveness
from shared.domain.finding import Finding
from shared.domain.states import Reason
from shared.domain.target import DELEGATION_KEYS, KEY_NAMES, ActionKind
from shared.sas import Kind
from tests.support import samples
from tests.support.evaluations import MINUTE, NEW_KEYS, another, evaluated, snapshot
from tests.support.samples import KEYS, POLICY


@dataclass(frozen=True)
class Case:
    """One row of the generated table. `approved`: exactly this plan, another one, or none."""

    text: str
    order: tuple[ActionKind, str] | None
    genuine: bool
    mode: str
    liveness: Liveness | None
    state: PolicyState | None
    approved: str

    @property
    def finding(self) -> Finding:
        return samples.ordered(*self.order) if self.order else samples.finding(self.text)

    def evaluated(self, known: Known) -> Evaluation:
        readings = (samples.reading(self.state),) if self.state is not None else ()
        read = snapshot(keys=KEYS if self.genuine else NEW_KEYS, readings=readings)
        return evaluated(
            self.finding,
            replace(read, account=replace(read.account, keys_created=dict.fromkeys(KEY_NAMES, samples.NOW))),
            known=known,
            mode=self.mode,
        )

    @property
    def result(self) -> Evaluation:
        unapproved = self.evaluated(Known(liveness=self.liveness))
        if self.approved == "no" or unapproved.plan is None:
            return unapproved
        digest = unapproved.plan.digest if self.approved == "this" else "0" * 64
        return self.evaluated(Known((another(digest), another(digest, "eve")), self.liveness))


def cases() -> Iterator[Case]:
    modes, approvals = ("observe", "approve", "auto"), ("no", "this", "another")
    keyed = (
        samples.connection_string(),
        samples.account_sas(),
        samples.blob_sas(),
        samples.blob_sas(permissions="w"),
        samples.file_sas(),
        samples.queue_sas(),
        samples.table_sas(),
        samples.blob_sas(life=-MINUTE),
    )
    for text, genuine, mode, approved in product(keyed, (True, False), modes, approvals):
        yield Case(text, None, genuine, mode, None, None, approved)
    for text, genuine, mode, state, approved in product(
        (samples.policy_sas(), samples.policy_sas(key_name="key2", permissions="r", life=MINUTE)),
        (True, False),
        modes,
        (None, *PolicyState),
        approvals,
    ):
        yield Case(text, None, genuine, mode, None, state, approved)
    for text, mode, alive, approved in product(
        (
            samples.delegation_sas(),
            samples.delegation_sas(permissions="w"),
            samples.delegation_sas(tenant=samples.SUBSCRIPTION),
        ),
        modes,
        (None, samples.liveness(True), samples.liveness(False), samples.liveness(None)),
        approvals,
    ):
        yield Case(text, None, True, mode, alive, None, approved)
    orders = (
        *((ActionKind.ACCOUNT_KEY, key) for key in (*KEY_NAMES, "kerb1")),
        (ActionKind.STORED_POLICY, str(POLICY)),
        (ActionKind.DELEGATION_KEY, DELEGATION_KEYS),
        (ActionKind.LOCKDOWN, "network"),
        (ActionKind.LOCKDOWN, "shared_key"),
        (ActionKind.SAS_EXPIRATION_BLOCK, "7.00:00:00"),
    )
    for order, mode, state, approved in product(orders, modes, (None, *PolicyState), approvals):
        yield Case("", order, True, mode, None, state, approved)


@cache
def table() -> tuple[tuple[Case, Evaluation], ...]:
    return tuple((case, case.result) for case in cases())


SMALLEST = {
    Kind.ACCOUNT_KEY: ActionKind.ACCOUNT_KEY,
    Kind.ACCOUNT_SAS: ActionKind.ACCOUNT_KEY,
    Kind.SERVICE_SAS: ActionKind.ACCOUNT_KEY,
    Kind.POLICY_SAS: ActionKind.STORED_POLICY,
    Kind.USER_DELEGATION_SAS: ActionKind.DELEGATION_KEY,
}


def test_table_has_every_kind_action_mode_policy_and_outcome() -> None:
    kinds = {case.finding.credential.kind for case, _ in table() if case.finding.credential}
    plans = {one.plan.action for _, one in table() if one.plan}
    actions = {one.decision.outcome for _, one in table() if one.decision}

    assert (kinds, plans, actions) == (set(Kind), set(ActionKind), set(RuleOutcome))


def test_in_mode_observe_nothing_ever_acts() -> None:
    assert [case for case, one in table() if case.mode == "observe" and one.acts] == []


def test_in_mode_approve_nothing_acts_without_an_approval_of_exactly_its_plan() -> None:
    assert [case for case, one in table() if case.mode == "approve" and one.acts and case.approved != "this"] == []


def test_approved_plan_acts_in_every_mode_but_observe() -> None:
    approved = [
        (case, one) for case, one in table() if case.approved == "this" and case.mode != "observe" and one.plan
    ]

    assert [case for case, one in approved if not one.acts] == []
    assert approved


def test_approval_of_another_plan_never_acts() -> None:
    assert [case for case, one in table() if case.approved == "another" and one.acts] == []


def test_what_is_not_proven_never_acts_alone() -> None:
    alone = [(case, one) for case, one in table() if one.acts and case.approved == "no"]

    assert [
        case for case, one in alone if one.verdict.key_name is None and case.liveness != samples.liveness(True)
    ] == []
    assert [case for case, _ in alone if not case.genuine] == []


def test_order_never_acts_alone() -> None:
    assert [case for case, one in table() if case.order and one.acts and case.approved != "this"] == []


def test_policy_that_cannot_be_reached_never_acts_alone() -> None:
    unreached = [
        one
        for case, one in table()
        if case.state is PolicyState.UNREACHABLE
        and case.approved != "this"
        and one.verdict.action is ActionKind.STORED_POLICY
    ]

    assert unreached
    assert not any(one.acts for one in unreached)


def test_action_is_the_smallest_for_the_kind() -> None:
    larger = [
        case
        for case, one in table()
        if one.plan
        and one.finding.credential
        and one.plan.action is not SMALLEST[one.finding.credential.kind]
        and case.state is not PolicyState.UNREACHABLE
    ]

    assert larger == []


def test_order_is_planned_as_it_was_given_or_not_at_all() -> None:
    assert [
        case for case, one in table() if case.order and one.plan and (one.plan.action, one.plan.target) != case.order
    ] == []


def test_plan_never_changes_a_key_that_did_not_sign_the_leak() -> None:
    others = [
        case
        for case, one in table()
        if one.plan
        and not case.order
        and one.plan.action is ActionKind.ACCOUNT_KEY
        and one.plan.target != one.verdict.key_name
    ]

    assert others == []


def test_finding_ends_with_a_reason_or_has_a_plan_unless_its_policy_was_not_read() -> None:
    open_ends = [case for case, one in table() if one.plan is None and one.verdict.reason is None]

    assert [case for case in open_ends if case.state is not None or not policy_of(case.finding, snapshot())] == []


def test_reason_comes_with_a_plan_only_for_a_policy_that_is_gone() -> None:
    both = {one.verdict.reason for _, one in table() if one.plan and one.verdict.reason}

    assert both == {Reason.POLICY_GONE}


def test_plan_always_has_a_decision_that_says_why() -> None:
    assert [case for case, one in table() if (one.plan is None) is not (one.decision is None)] == []
    assert all(one.decision.why for _, one in table() if one.decision)


def test_digest_is_of_one_account_action_target_and_version_and_of_the_other_key_for_an_order() -> None:
    bound = {
        (
            one.plan.account_id,
            one.plan.action,
            one.plan.target,
            one.plan.version,
            case.order is not None and one.plan.action is ActionKind.ACCOUNT_KEY,
        )
        for case, one in table()
        if one.plan
    }

    assert len({one.plan.digest for _, one in table() if one.plan}) == len(bound)
