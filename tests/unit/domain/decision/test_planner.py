"""What would be done about a leak or an order."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import KEY_VAULT_TAG, AccountFacts, AccountKey, PolicyReading, PolicyState
from shared.domain.decision.attribution import Verdict, attribute
from shared.domain.decision.planner import Proposal, Proposals
from shared.domain.decision.rule_parser import parse
from shared.domain.decision.rules import Rule, default_rules
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.execution import Liveness, Plan
from shared.domain.finding import Order
from shared.domain.states import Reason
from shared.domain.target import DELEGATION_KEYS, ActionKind, Lockdown
from shared.sas import Service, key_sha256
from tests.support import samples
from tests.support.samples import ACCOUNT, KEYS, NOW, PERSON, POLICY, leak

ALIVE = samples.liveness()
DEFAULT = default_rules(act_alone_hours=24)
HOUR = timedelta(hours=1)


def locking(remedy: str, *kinds: str) -> tuple[Rule, ...]:
    first = {"name": "lock", "when": {"kinds": kinds}, "with": remedy, "then": "act", "why": "it is the law"}
    return parse(json.dumps([first, {"name": "rest", "then": "ask", "why": "nobody said otherwise"}]))


def proposals(
    *readings: PolicyReading,
    account: AccountFacts | None = None,
    last_revocation: datetime | None = None,
    rules: tuple[Rule, ...] = DEFAULT,
) -> Proposals:
    past = (PastExecution(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, last_revocation),) if last_revocation else ()
    snapshot = Snapshot(
        account=account or samples.account(),
        keys={name: AccountKey(value, NOW) for name, value in KEYS.items()},
        waiting=(),
        executions=past,
        at=NOW,
        policies={str(reading.target): reading for reading in readings},
    )
    return Proposals(snapshot, replace(samples.settings().decision_policy(ACTION_SPECS), rules=rules), NOW)


def of_leak(
    text: str,
    *readings: PolicyReading,
    liveness: Liveness | None = None,
    keys: Mapping[str, str] = KEYS,
    **rest: object,
) -> Proposal:
    credential = leak(text)
    verdict = attribute(credential, account=ACCOUNT, keys=keys)
    return proposals(*readings, **rest).of_leak(credential, verdict, liveness)


def of_order(action: ActionKind, target: str, *readings: PolicyReading, **rest: object) -> Proposal:
    return proposals(*readings, **rest).of_order(
        Order(ACCOUNT, action, target), by=PERSON, reason="The laptop is gone"
    )


def impact(action: ActionKind, target: str) -> tuple[str, ...]:
    return ACTION_SPECS[action].impact(samples.account(), target)


def plan_of(proposal: Proposal) -> Plan:
    assert proposal.plan is not None
    return proposal.plan


def rule_of(proposal: Proposal) -> str:
    assert isinstance(proposal.ground, Rule)
    return proposal.ground.name


# keys


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (samples.account_sas(key_name="key1"), "The leaked token was signed by key1 of robustmodels, and "),
        (samples.connection_string(key_name="key1"), "The leaked text is key1 of robustmodels, and "),
    ],
)
def test_key_that_signed_the_leak_is_regenerated(text: str, why: str) -> None:
    plan = plan_of(of_leak(text))

    assert (plan.action, plan.target, plan.version) == (ActionKind.ACCOUNT_KEY, "key1", key_sha256(KEYS["key1"]))
    assert plan.reason.startswith(why)
    assert plan.impact == impact(ActionKind.ACCOUNT_KEY, "key1")


@pytest.mark.parametrize("verdict", [Verdict("", key_name="key1"), Verdict("", key_sha256="0" * 64), Verdict("")])
def test_only_a_verified_signer_is_regenerated(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match="a verdict that names a key"):
        proposals().of_leak(leak(samples.account_sas()), replace(verdict, action=ActionKind.ACCOUNT_KEY), None)


def test_what_no_key_fits_gets_no_plan() -> None:
    proposal = of_leak(samples.account_sas(), keys={})

    assert (proposal.plan, proposal.verdict.reason) == (None, Reason.NO_KEY_MATCHES)


def test_no_plan_shows_a_key() -> None:
    plan = repr(of_leak(samples.connection_string(), account=samples.account(tags={KEY_VAULT_TAG: KEYS["key2"]})))

    assert not any(key.rstrip("=") in plan for key in KEYS.values())


# stored access policies


@pytest.mark.parametrize("service", samples.SERVICES)
def test_policy_that_lives_is_ended_and_its_key_is_left_alone(service: Service) -> None:
    target = replace(
        POLICY,
        service=service,
        resource={"blob": "models", "queue": "jobs", "table": "People", "file": "share"}[service],
    )
    plan = plan_of(of_leak(samples.policy_sas(service=service), samples.reading(target=target, version="b" * 64)))

    assert (plan.action, plan.target, plan.version) == (ActionKind.STORED_POLICY, str(target), "b" * 64)
    assert plan.impact == impact(ActionKind.STORED_POLICY, str(target))


@pytest.mark.parametrize(
    ("reading", "rule"),
    [
        (samples.reading(), "writes"),
        (samples.reading(permissions="rw", expires=NOW + HOUR), "writes"),
        (samples.reading(permissions="r"), "lives-long"),
        (samples.reading(permissions="r", expires=NOW + 25 * HOUR), "lives-long"),
        (samples.reading(permissions="r", expires=NOW + HOUR), "small"),
    ],
)
def test_what_the_policy_grants_is_what_the_rules_see(reading: PolicyReading, rule: str) -> None:
    assert rule_of(of_leak(samples.policy_sas(), reading)) == rule


def test_policy_that_is_gone_gets_a_tombstone_which_breaks_nobody() -> None:
    proposal = of_leak(samples.policy_sas(), samples.reading(PolicyState.GONE))
    plan = plan_of(proposal)

    assert (proposal.verdict.reason, plan.action, plan.target) == (
        Reason.POLICY_GONE,
        ActionKind.STORED_POLICY,
        str(POLICY),
    )
    assert plan.steps[0].startswith("Leave a tombstone")
    assert plan.impact == ()


def test_no_tombstone_is_left_where_the_accounts_tag_wants_nothing_left() -> None:
    account = samples.account(tags={"sasquash-policy-removal": "delete"})

    proposal = of_leak(samples.policy_sas(), samples.reading(PolicyState.GONE), account=account)

    assert (proposal.verdict.reason, proposal.plan) == (Reason.POLICY_GONE, None)


@pytest.mark.parametrize("state", [PolicyState.EXPIRED, PolicyState.TOMBSTONE])
def test_policy_that_is_over_gets_no_plan(state: PolicyState) -> None:
    proposal = of_leak(samples.policy_sas(), samples.reading(state))

    assert (proposal.verdict.reason, proposal.plan) == (Reason.POLICY_EXPIRED, None)


def test_where_the_policy_cannot_be_reached_a_person_decides_on_the_key() -> None:
    proposal = of_leak(samples.policy_sas(key_name="key2"), samples.reading(PolicyState.UNREACHABLE))
    plan = plan_of(proposal)

    assert (plan.action, plan.target, proposal.verdict.reason) == (ActionKind.ACCOUNT_KEY, "key2", None)
    assert proposal.ground == (
        "the stored access policy 'partners' of container models can't be reached: The account's firewall lets "
        "nobody in; the alternative is to rotate key2, which also revokes everything else that the key signed"
    )


def test_policy_that_was_not_read_is_left_undecided() -> None:
    proposal = of_leak(samples.policy_sas())

    assert (proposal.plan, proposal.verdict.reason) == (None, None)


def test_policy_that_what_leaked_does_not_tell_needs_a_person() -> None:
    credential = replace(leak(samples.policy_sas()), path="No/such/container")
    verdict = Verdict("Signed by key1.", action=ActionKind.STORED_POLICY, key_name="key1", key_sha256="0" * 64)

    proposal = proposals().of_leak(credential, verdict, None)

    assert (proposal.plan, proposal.verdict.reason) == (None, Reason.PATH_LOST)


# user delegation


def test_user_delegation_sas_beyond_doubt_is_left_to_the_rules() -> None:
    proposal = of_leak(samples.delegation_sas(permissions="w"), liveness=ALIVE)

    assert (plan_of(proposal).action, plan_of(proposal).target) == (ActionKind.DELEGATION_KEY, DELEGATION_KEYS)
    assert rule_of(proposal) == "writes"


def test_user_delegation_sas_in_doubt_is_left_to_a_person() -> None:
    assert of_leak(samples.delegation_sas(), liveness=ALIVE, last_revocation=NOW).ground != ""
    assert isinstance(of_leak(samples.delegation_sas()).ground, str)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (samples.delegation_sas(), "2026-11-21 11:00 UTC."),
        (samples.delegation_sas(life=timedelta(days=90)), "2026-11-27 00:00 UTC."),
    ],
)
def test_plan_says_that_it_revokes_every_delegation_sas_and_how_long_the_leaked_one_is_valid(
    text: str, end: str
) -> None:
    reason = plan_of(of_leak(text)).reason

    assert "It revokes every user delegation SAS of the account" in reason
    assert reason.endswith(f"Otherwise, the leaked token is valid until {end}")


def test_delegated_token_whose_end_cannot_be_read_is_said_to_have_one_that_cannot() -> None:
    credential = leak(samples.delegation_sas(expiry="soon"))
    endless = replace(credential, parameters=tuple((n, "soon" if n == "se" else v) for n, v in credential.parameters))
    verdict = attribute(endless, account=ACCOUNT, keys=KEYS)

    assert plan_of(proposals().of_leak(endless, verdict, None)).reason.endswith("an end that can't be read.")


def test_what_azure_said_of_the_token_is_in_the_verdict() -> None:
    assert of_leak(samples.delegation_sas(), liveness=ALIVE).verdict.detail.endswith("Azure accepted it.")


def test_plan_goes_stale_once_the_keys_were_revoked_for_another_leak() -> None:
    before, after = (plan_of(of_leak(samples.delegation_sas(), last_revocation=at)) for at in (None, NOW))

    assert before.digest != after.digest


# lockdowns


@pytest.mark.parametrize(
    ("text", "kind", "liveness"),
    [
        (samples.account_sas(), "account_sas", None),
        (samples.blob_sas(), "service_sas", None),
        (samples.policy_sas(), "policy_sas", None),
        (samples.delegation_sas(), "user_delegation_sas", ALIVE),
    ],
)
def test_rule_may_answer_a_leak_with_a_lockdown(text: str, kind: str, liveness: Liveness | None) -> None:
    proposal = of_leak(text, samples.reading(), liveness=liveness, rules=locking("lockdown_network", kind))
    plan = plan_of(proposal)

    assert (plan.action, plan.target, rule_of(proposal)) == (ActionKind.LOCKDOWN, Lockdown.NETWORK, "lock")
    assert plan.reason == "Rule lock answers this leak with a lockdown, because it is the law."
    assert plan.impact == impact(ActionKind.LOCKDOWN, "network")


def test_lockdown_does_not_lift_the_doubt_about_a_user_delegation_sas() -> None:
    proposal = of_leak(samples.delegation_sas(), rules=locking("lockdown_network", "user_delegation_sas"))

    assert plan_of(proposal).action is ActionKind.LOCKDOWN
    assert isinstance(proposal.ground, str)


# orders


@pytest.mark.parametrize(
    ("action", "target"),
    [
        (ActionKind.ACCOUNT_KEY, "key1"),
        (ActionKind.ACCOUNT_KEY, "key2"),
        (ActionKind.STORED_POLICY, str(POLICY)),
        (ActionKind.DELEGATION_KEY, DELEGATION_KEYS),
        (ActionKind.LOCKDOWN, "shared_key"),
        (ActionKind.LOCKDOWN, "network"),
    ],
)
def test_order_is_planned_as_it_was_given_and_awaits_a_second_person(action: ActionKind, target: str) -> None:
    proposal = of_order(action, target, samples.reading())
    plan = plan_of(proposal)

    assert (plan.action, plan.target, proposal.verdict.action) == (action, target, action)
    assert proposal.ground == "an order takes two people"
    assert plan.reason == f"Ordered by {PERSON}: The laptop is gone."
    assert plan.impact == impact(action, target)


def test_order_names_no_verified_key() -> None:
    verdict = of_order(ActionKind.ACCOUNT_KEY, "key1").verdict

    assert (verdict.key_name, verdict.key_sha256) == (None, None)


def test_order_binds_to_the_key_as_it_is() -> None:
    assert plan_of(of_order(ActionKind.ACCOUNT_KEY, "key1")).version == key_sha256(KEYS["key1"])


@pytest.mark.parametrize(
    ("action", "target", "changed"),
    [
        (ActionKind.LOCKDOWN, "network", {"account": replace(samples.account(), public_network_access="Disabled")}),
        (ActionKind.DELEGATION_KEY, DELEGATION_KEYS, {"last_revocation": NOW}),
    ],
)
def test_order_goes_stale_with_what_it_is_about(action: ActionKind, target: str, changed: dict[str, object]) -> None:
    assert plan_of(of_order(action, target, **changed)).digest != plan_of(of_order(action, target)).digest


@pytest.mark.parametrize(
    ("action", "target"),
    [
        (ActionKind.ACCOUNT_KEY, "kerb1"),
        (ActionKind.STORED_POLICY, "blob/x/y"),
        (ActionKind.STORED_POLICY, "models"),
        (ActionKind.DELEGATION_KEY, "key1"),
        (ActionKind.LOCKDOWN, "all"),
    ],
)
def test_order_that_cannot_be_carried_out_needs_a_person(action: ActionKind, target: str) -> None:
    proposal = of_order(action, target, samples.reading())

    assert (proposal.plan, proposal.verdict.reason) == (None, Reason.PATH_LOST)
    assert "It can't be executed: " in proposal.verdict.detail


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (PolicyState.GONE, Reason.POLICY_GONE),
        (PolicyState.EXPIRED, Reason.POLICY_EXPIRED),
        (PolicyState.TOMBSTONE, Reason.POLICY_EXPIRED),
        (PolicyState.UNREACHABLE, Reason.BLOCKED),
    ],
)
def test_order_for_a_policy_that_cannot_be_ended_says_how_it_stands(state: PolicyState, reason: Reason) -> None:
    proposal = of_order(ActionKind.STORED_POLICY, str(POLICY), samples.reading(state))

    assert (proposal.plan, proposal.verdict.reason) == (None, reason)


def test_order_for_a_policy_that_was_not_read_is_left_undecided() -> None:
    proposal = of_order(ActionKind.STORED_POLICY, str(POLICY))

    assert (proposal.plan, proposal.verdict.reason) == (None, None)


def test_order_without_a_name_or_a_reason_is_still_an_order() -> None:
    proposal = proposals().of_order(Order(ACCOUNT, ActionKind.ACCOUNT_KEY, "key1"), by=None, reason="")

    assert plan_of(proposal).reason == "Ordered: no reason was given."


# What an alert says


@pytest.mark.parametrize("key", ["key1", "key2"])
def test_alerts_evidence_asks_for_the_key_that_it_names_and_no_rule_may_decide(key: str) -> None:
    proposal = proposals().of_evidence(samples.evidence(key=key))

    plan = plan_of(proposal)
    assert (plan.action, plan.target, plan.version) == (ActionKind.ACCOUNT_KEY, key, key_sha256(KEYS[key]))
    assert proposal.ground == "an alert is evidence, but does not prove anything"
    assert proposal.verdict.key_name is None
    assert "The token itself is not known" in plan.reason


def test_key_made_after_the_token_was_seen_cannot_have_signed_it() -> None:
    proposal = proposals().of_evidence(samples.evidence(seen_at=NOW - HOUR))

    assert (proposal.plan, proposal.verdict.reason) == (None, Reason.COVERED)
    assert "revoked everything that the previous key had signed" in proposal.verdict.detail


def test_clocks_that_differ_a_little_prove_nothing() -> None:
    assert proposals().of_evidence(samples.evidence(seen_at=NOW - timedelta(seconds=59))).plan is not None


def test_key_of_unknown_age_may_have_signed_it() -> None:
    made = proposals()
    keys = {name: AccountKey(value, None) for name, value in KEYS.items()}
    undated = replace(made, snapshot=replace(made.snapshot, keys=keys))

    assert undated.of_evidence(samples.evidence(seen_at=NOW - HOUR)).plan is not None


# actions that block


def test_order_that_the_account_can_not_take_is_blocked_and_says_why() -> None:
    """The account does not say when its keys were made."""
    proposal = of_order(ActionKind.SAS_EXPIRATION_BLOCK, "7.00:00:00")

    assert (proposal.plan, proposal.verdict.reason) == (None, Reason.BLOCKED)
    assert "creation time" in proposal.verdict.detail


def test_leak_that_the_action_of_its_rule_would_not_stop_gets_the_smallest_action() -> None:
    proposal = of_leak(samples.account_sas(key_name="key1"), rules=locking("sas_expiration_block", "account_sas"))

    plan = plan_of(proposal)
    assert (plan.action, rule_of(proposal)) == (ActionKind.ACCOUNT_KEY, "lock")
    assert "Rule lock asks for another action, which can't be used: " in plan.reason
