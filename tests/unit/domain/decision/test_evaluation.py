"""What is made of one finding and all that was read under the lock."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from itertools import product

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyReading, PolicyState
from shared.domain.approval import Approval
from shared.domain.decision.evaluation import Evaluation, Known, evaluate, policy_of
from shared.domain.decision.rules import RuleOutcome
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.execution import Liveness
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from shared.domain.states import Reason
from shared.domain.target import DELEGATION_KEYS, KEY_NAMES, ActionKind, PolicyTarget
from shared.sas import Kind, Service
from tests.support import samples
from tests.support.samples import KEYS, NOW, POLICY

MINUTE = timedelta(minutes=1)
UNKNOWN = Known()
NEW_KEYS = {"key1": samples.key("new1"), "key2": samples.key("new2")}


def snapshot(
    *executions: PastExecution,
    keys: dict[str, str] = KEYS,
    readings: tuple[PolicyReading, ...] = (),
    tags: dict[str, str] | None = None,
) -> Snapshot:
    listed = {name: AccountKey(value, NOW) for name, value in keys.items()}
    policies = {str(reading.target): reading for reading in readings}
    return Snapshot(samples.account(tags=tags), listed, (), executions, NOW, policies)


def evaluated(
    finding: Finding | str,
    in_scene: Snapshot,
    *retired: RetiredKey,
    known: Known = UNKNOWN,
    mode: str = "auto",
) -> Evaluation:
    kept = RetiredKeys(clock=lambda: NOW)
    for key in retired:
        kept.add(samples.account().name, key)
    return evaluate(
        samples.finding(finding) if isinstance(finding, str) else finding,
        in_scene,
        known=known,
        retired=kept,
        policy=samples.settings(mode=mode).decision_policy(ACTION_SPECS),
        now=NOW,
    )


def another(digest: str, name: str = "bob") -> Approval:
    """The approval of a person who gave no order."""
    return Approval(replace(samples.PERSON, object_id=name), NOW, digest, "Yes.")


def rotated(key_name: str, *, ago: timedelta = MINUTE) -> PastExecution:
    return PastExecution(ActionKind.ACCOUNT_KEY, key_name, NOW - ago)


# weigh


def test_verified_key_results_in_a_plan_with_its_impact_and_a_decision() -> None:
    one = evaluated(samples.account_sas(key_name="key2"), snapshot())

    assert one.plan is not None
    assert (one.plan.target, one.plan.impact) == (
        "key2",
        ACTION_SPECS[ActionKind.ACCOUNT_KEY].impact(samples.account(), "key2"),
    )
    assert one.acts


def test_plan_that_asks_does_not_act() -> None:
    one = evaluated(samples.blob_sas(permissions="r", life=timedelta(hours=1)), snapshot())

    assert one.decision is not None
    assert one.decision.outcome is RuleOutcome.ASK
    assert not one.acts


def test_what_has_expired_is_not_weighed_further() -> None:
    one = evaluated(samples.blob_sas(life=-MINUTE), snapshot())

    assert (one.verdict.reason, one.plan) == (Reason.EXPIRED, None)


def test_report_that_could_not_be_read_is_never_weighed() -> None:
    with pytest.raises(ValueError, match="never waits for an account"):
        evaluated(replace(samples.finding(), credential=None), snapshot())


def test_what_a_retired_key_had_signed_is_covered() -> None:
    one = evaluated(
        samples.account_sas(key_name="key2"), snapshot(keys=NEW_KEYS), RetiredKey("key2", KEYS["key2"], NOW - MINUTE)
    )

    assert (one.verdict.reason, one.verdict.key_name, one.plan) == (Reason.COVERED, "key2", None)


@pytest.mark.parametrize(
    ("executions", "named"),
    [
        ((rotated("key2"),), True),
        ((rotated("key1", ago=2 * MINUTE), rotated("key2")), True),
        ((rotated("key2", ago=timedelta(hours=1)),), False),
        ((PastExecution(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, NOW - MINUTE),), False),
        ((), False),
    ],
)
def test_leak_that_no_key_fits_names_the_rotation_of_ours_that_may_be_why(
    executions: tuple[PastExecution, ...], named: bool
) -> None:
    one = evaluated(samples.account_sas(key_name="key2"), snapshot(*executions, keys=NEW_KEYS))

    assert one.verdict.reason is Reason.NO_KEY_MATCHES
    assert ("Sasquash itself regenerated key2" in one.verdict.detail) is named
    assert ("Sasquash itself" in one.verdict.detail) is named


@pytest.mark.parametrize(("minutes", "named"), [(-1, False), (1, True)])
def test_leak_that_no_key_fits_names_a_key_that_somebody_made_after_it_was_found(minutes: int, named: bool) -> None:
    """A ReadOnly lock forbids to list the keys, so that a key may be rotated by hand before it is compared."""
    made = samples.finding().detected_at + minutes * MINUTE
    read = snapshot(keys=NEW_KEYS)
    keys = {name: replace(key, created=made if name == "key2" else None) for name, key in read.keys.items()}
    one = evaluated(samples.account_sas(key_name="key2"), replace(read, keys=keys))

    assert one.verdict.reason is Reason.NO_KEY_MATCHES
    assert ("key2 was regenerated at" in one.verdict.detail) is named


def test_latest_revocation_of_ours_casts_doubt_on_a_key_that_began_before_it() -> None:
    before, after = (
        PastExecution(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, NOW - timedelta(days=days)) for days in (9, 1)
    )
    text, known = samples.delegation_sas(permissions="w"), Known(liveness=samples.liveness())

    assert evaluated(text, snapshot(before), known=known).acts
    assert not evaluated(text, snapshot(before, after), known=known).acts
    assert not evaluated(text, snapshot(after, before), known=known).acts


def test_rotated_key_casts_no_doubt_on_a_delegation_key() -> None:
    text, known = samples.delegation_sas(permissions="w"), Known(liveness=samples.liveness())

    assert evaluated(text, snapshot(rotated("key1")), known=known).acts


def test_approved_order_is_carried_out() -> None:
    order = samples.ordered(ActionKind.LOCKDOWN, "network")
    asked = evaluated(order, snapshot())
    assert asked.plan is not None
    assert not asked.acts

    assert evaluated(order, snapshot(), known=Known((another(asked.plan.digest),))).acts


def test_evidence_that_no_person_gave_takes_two_approvers() -> None:
    asked = evaluated(samples.alerted(), snapshot())
    assert asked.plan is not None
    one, two = another(asked.plan.digest), another(asked.plan.digest, "eve")

    assert not evaluated(samples.alerted(), snapshot(), known=Known((one,))).acts
    assert evaluated(samples.alerted(), snapshot(), known=Known((one, two))).acts


@pytest.mark.parametrize(("alive", "acts"), [(True, True), (False, False), (None, False)])
def test_delegation_sas_takes_two_approvers_unless_azure_accepts_it(alive: bool | None, *, acts: bool) -> None:
    finding, liveness = samples.finding(samples.delegation_sas()), samples.liveness(alive)
    asked = evaluated(finding, snapshot(), known=Known(liveness=liveness), mode="approve")
    assert asked.plan is not None
    approved = (another(asked.plan.digest),)

    assert evaluated(finding, snapshot(), known=Known(approved, liveness), mode="approve").acts is acts


@pytest.mark.parametrize("finding", [samples.ordered(ActionKind.ACCOUNT_KEY, "key2"), samples.alerted()])
def test_approval_of_an_order_is_stale_once_the_other_key_was_rotated(finding: Finding) -> None:
    before = evaluated(finding, snapshot())
    assert before.plan is not None
    approved = Known((another(before.plan.digest), another(before.plan.digest, "eve")))

    after = evaluated(finding, snapshot(keys=KEYS | {"key1": NEW_KEYS["key1"]}), known=approved)

    assert evaluated(finding, snapshot(), known=approved).acts
    assert not after.acts
    assert after.decision is not None
    assert after.decision.first is None
    assert after.plan is not None
    assert (after.plan.version, after.plan.digest == before.plan.digest) == (before.plan.version, False)


def test_plan_of_a_proven_leak_does_not_bind_to_the_other_key() -> None:
    before = evaluated(samples.account_sas(), snapshot(), mode="approve")
    after = evaluated(samples.account_sas(), snapshot(keys=KEYS | {"key1": NEW_KEYS["key1"]}), mode="approve")

    assert before.plan is not None
    assert before.plan == after.plan


# policy_of


@pytest.mark.parametrize(
    ("service", "target"),
    [(Service.BLOB, "blob/models/partners"), (Service.QUEUE, "queue/jobs/partners")],
)
def test_policy_of_a_proven_token_must_be_read(service: Service, target: str) -> None:
    finding = samples.finding(samples.policy_sas(service=service))

    assert policy_of(finding, snapshot()) == PolicyTarget.parse(target)


def test_forged_token_does_not_cause_a_policy_to_be_read() -> None:
    assert policy_of(samples.finding(samples.policy_sas()), snapshot(keys=NEW_KEYS)) is None


def test_policy_of_a_token_that_is_over_need_not_be_read() -> None:
    assert policy_of(samples.finding(samples.policy_sas(life=-MINUTE)), snapshot()) is None


@pytest.mark.parametrize("make", [samples.blob_sas, samples.connection_string, samples.delegation_sas])
def test_what_names_no_policy_needs_none(make: object) -> None:
    assert policy_of(samples.finding(make()), snapshot()) is None


def test_policy_of_an_order_must_be_read() -> None:
    assert policy_of(samples.ordered(ActionKind.STORED_POLICY, str(POLICY)), snapshot()) == POLICY


@pytest.mark.parametrize(
    ("action", "target"),
    [(ActionKind.STORED_POLICY, "models"), (ActionKind.ACCOUNT_KEY, "key1"), (ActionKind.LOCKDOWN, "network")],
)
def test_order_for_no_policy_needs_none(action: ActionKind, target: str) -> None:
    assert policy_of(samples.ordered(action, target), snapshot()) is None


def test_report_that_could_not_be_read_needs_no_policy() -> None:
    assert policy_of(replace(samples.finding(), credential=None), snapshot()) is None


# every kind by action by verdict by mode by liveness by policy by approval


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
        return evaluated(
            self.finding,
            snapshot(keys=KEYS if self.genuine else NEW_KEYS, readings=readings),
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


@pytest.mark.parametrize("mode", ["auto", "approve"])
def test_alerts_evidence_waits_for_a_person_whatever_the_mode(mode: str) -> None:
    one = evaluated(samples.alerted(), snapshot(), mode=mode)

    assert one.decision is not None
    assert (one.decision.outcome, one.decision.only_person) == (RuleOutcome.ASK, True)
    assert one.plan is not None
    assert one.plan.target == "key2"
