"""What is made of one finding and all that was read under the lock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.decision.evaluation import Known, policy_of
from shared.domain.decision.rules import RuleOutcome
from shared.domain.decision.snapshot import PastExecution
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKey
from shared.domain.states import Reason
from shared.domain.target import DELEGATION_KEYS, ActionKind, PolicyTarget
from shared.sas import Service
from tests.support import samples
from tests.support.evaluations import MINUTE, NEW_KEYS, another, evaluated, snapshot
from tests.support.samples import KEYS, NOW, POLICY


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


@pytest.mark.parametrize("mode", ["auto", "approve"])
def test_alerts_evidence_waits_for_a_person_whatever_the_mode(mode: str) -> None:
    one = evaluated(samples.alerted(), snapshot(), mode=mode)

    assert one.decision is not None
    assert (one.decision.outcome, one.decision.only_person) == (RuleOutcome.ASK, True)
    assert one.plan is not None
    assert one.plan.target == "key2"


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
