"""What a plan for the SAS expiration policy says: its period, what it does not stop, and the SAS in use that stop.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs, 2025-07-30).
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from azure.storage.blob import generate_account_sas

from shared.actions.registry import ACTION_SPECS
from shared.actions.sas_expiration_spec import SasExpirationBlockSpec
from shared.domain import sas_period
from shared.domain.account import AccountFacts, AccountKey, SasPolicy
from shared.domain.decision.attribution import attribute
from shared.domain.decision.planner import Proposal, Proposals
from shared.domain.decision.rules import Conditions, Remedy, Rule, RuleOutcome
from shared.domain.decision.snapshot import Snapshot
from shared.domain.logged_sas import LoggedSas, LoggedTokens
from shared.domain.target import ActionKind
from shared.sas import Credential
from tests.support import samples
from tests.support.samples import ACCOUNT, KEYS, NOW

SPEC = SasExpirationBlockSpec()
WEEK = "7.00:00:00"
NOTHING = LoggedTokens(())


def account(policy: SasPolicy | None = None) -> AccountFacts:
    return replace(samples.account(), keys_created=dict.fromkeys(KEYS, NOW), sas_policy=policy)


def token(*, start: bool = False, life: timedelta = timedelta(days=9000)) -> str:
    return generate_account_sas(ACCOUNT, KEYS["key1"], "o", "r", expiry=NOW + life, start=NOW if start else None)


def credential(query: str) -> Credential:
    return samples.leak(f"https://{ACCOUNT}.blob.core.windows.net/models/a?{query}")


# the period


@pytest.mark.parametrize(
    ("period", "text", "spoken"),
    [
        (timedelta(days=7), "7.00:00:00", "7 days"),
        (timedelta(days=1), "1.00:00:00", "1 day"),
        (timedelta(hours=36), "1.12:00:00", "36 hours"),
        (timedelta(days=1, seconds=5), "1.00:00:05", "1.00:00:05"),
    ],
)
def test_period_is_written_as_arm_reads_it(period: timedelta, text: str, spoken: str) -> None:
    assert (sas_period.text_of(period), sas_period.parse(text), sas_period.spoken(period)) == (text, period, spoken)


@pytest.mark.parametrize("text", ["", "7", "7 days", "P7D", "\u0667.00:00:00", None])
def test_other_text_is_no_period(text: str | None) -> None:
    assert sas_period.parse(text) is None


def test_target_becomes_the_shortest_of_order_setting_and_present_policy() -> None:
    day, month = SasPolicy(timedelta(days=1), blocks=False), SasPolicy(timedelta(days=30), blocks=True)
    assert SPEC.settled_target("30.00:00:00", account(), limit=WEEK) == WEEK
    assert SPEC.settled_target(WEEK, account(day), limit=WEEK) == "1.00:00:00"
    assert SPEC.settled_target(WEEK, account(month), limit=WEEK) == WEEK
    assert SPEC.settled_target(WEEK, account(SasPolicy(None, blocks=True)), limit=None) == WEEK


# what it does not stop


@pytest.mark.parametrize(
    ("leaked", "says"),
    [
        (samples.connection_string(), "an account key is no SAS"),
        (samples.policy_sas(), "a stored access policy"),
        (samples.delegation_sas(), "HDFS"),
    ],
)
def test_leak_of_a_kind_that_it_does_not_stop_is_named(leaked: str, says: str) -> None:
    assert says in SPEC.obstacle(account(), WEEK, samples.leak(leaked))


@pytest.mark.parametrize(
    ("query", "stops"),
    [
        (token(), True),
        (token(life=timedelta(minutes=5)), True),
        (token(start=True), True),
        (token(start=True, life=timedelta(days=7, seconds=1)), True),
        (token(start=True, life=timedelta(days=7)), False),
    ],
)
def test_token_stops_without_a_start_or_with_a_longer_life(query: str, *, stops: bool) -> None:
    assert (SPEC.obstacle(account(), WEEK, credential(query)) == "") is stops


@pytest.mark.parametrize("known", [{}, {"key1": NOW}, {"key2": NOW}])
def test_account_with_a_key_without_a_creation_time_takes_no_policy(known: dict[str, object]) -> None:
    of_before = replace(samples.account(), keys_created=dict.fromkeys(known, NOW))
    assert "creation time" in SPEC.obstacle(of_before, WEEK, None)


# the SAS in use


def used(*queries: str) -> LoggedTokens:
    return LoggedTokens(
        tuple(
            LoggedSas(
                account=ACCOUNT,
                resource_id=None,
                signature_sha256=f"{number:064x}",
                key_name="key1",
                urls=(f"https://{ACCOUNT}.blob.core.windows.net/models/a?{query.partition('&sig=')[0]}&sig=XXXXX",),
                first=NOW,
                last=NOW,
                requests=1,
                accepted=1,
                addresses=(),
                agents=(),
                operations=(),
            )
            for number, query in enumerate(queries)
        )
    )


def read(tokens: LoggedTokens | None) -> Snapshot:
    keys = {name: AccountKey(value, NOW) for name, value in KEYS.items()}
    return Snapshot(account(), keys, (), (), NOW, sas_in_use=tokens)


def test_sas_in_use_that_stop_are_counted_by_kind() -> None:
    tokens = used(
        token(), token(life=timedelta(hours=1)), token(start=True), token(start=True, life=timedelta(days=1))
    )
    [said] = SPEC.impact_read(read(tokens), WEEK)
    assert "3 of 4 SAS in use stop: 2 without a start, 1 that are valid for too long" in said


def test_what_the_logs_do_not_show_is_unknown_and_never_none() -> None:
    [said] = SPEC.impact_read(read(None), WEEK)
    assert "Impact unknown" in said
    assert SPEC.doubt(read(None), WEEK)
    assert not SPEC.doubt(read(NOTHING), WEEK)


# the rule that asks for it


def proposed(leaked: str, in_use: LoggedTokens | None = NOTHING, *, without: ActionKind | None = None) -> Proposal:
    rule = Rule(
        name="block", when=Conditions(), then=RuleOutcome.ACT, remedy=Remedy.SAS_EXPIRATION_BLOCK, why="of a test"
    )
    policy = replace(samples.settings(mode="auto").decision_policy(ACTION_SPECS), rules=(rule,))
    found = credential(leaked)
    verdict = attribute(found, account=ACCOUNT, keys=KEYS)
    return Proposals(read(in_use), policy, NOW).of_leak(found, verdict, None, without=without)


def test_rule_plans_it_for_a_leak_that_it_stops() -> None:
    proposal = proposed(token())
    assert proposal.plan is not None
    assert (proposal.plan.action, proposal.plan.target) == (ActionKind.SAS_EXPIRATION_BLOCK, WEEK)
    assert isinstance(proposal.ground, Rule)


def test_rule_leaves_it_to_a_person_while_the_impact_is_unknown() -> None:
    assert proposed(token(), None).ground == "it is unknown which SAS in use would stop working"


def test_rule_plans_the_key_for_a_leak_that_it_does_not_stop_and_says_why() -> None:
    plan = proposed(token(start=True, life=timedelta(days=1))).plan
    assert plan is not None
    assert (plan.action, plan.target) == (ActionKind.ACCOUNT_KEY, "key1")
    assert "Rule block asks for another action, which can't be used" in plan.reason


def test_rule_plans_the_key_where_azure_did_not_enforce_it() -> None:
    plan = proposed(token(), without=ActionKind.SAS_EXPIRATION_BLOCK).plan
    assert plan is not None
    assert plan.action is ActionKind.ACCOUNT_KEY
