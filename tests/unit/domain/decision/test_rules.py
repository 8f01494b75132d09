"""Which rule decides on a leak."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.decision.rules import Conditions, Remedy, RuleOutcome, default_rules, first_that_holds
from shared.domain.target import ActionKind, Lockdown
from shared.sas import Credential, Kind, Service, Severity, assess
from tests.support import samples
from tests.support.samples import ACCOUNT, NOW, leak

DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)
RULES = default_rules(act_alone_hours=24)


def blob_sas(permissions: str, life: timedelta = timedelta(minutes=5)) -> Credential:
    return leak(samples.blob_sas(permissions=permissions, life=life))


def endless(credential: Credential) -> Credential:
    return replace(credential, parameters=tuple((n, "?" if n == "se" else v) for n, v in credential.parameters))


KEY = leak(samples.connection_string())
SMALL = blob_sas("r")
LEAKS = (
    KEY,
    SMALL,
    blob_sas("rw"),
    blob_sas("r", 9 * DAY),
    endless(SMALL),
    leak(samples.account_sas()),
    leak(samples.account_sas(permissions="r", life=DAY)),
    leak(samples.file_sas()),
    leak(samples.queue_sas()),
    leak(samples.table_sas()),
    leak(samples.policy_sas()),
    leak(samples.policy_sas(service=Service.QUEUE, permissions="r", life=DAY)),
    leak(samples.delegation_sas()),
)


def holds(credential: Credential, **conditions: object) -> bool:
    return Conditions(**conditions).hold(credential, account=ACCOUNT, now=NOW)


# the default table


@pytest.mark.parametrize(
    ("credential", "rule", "action"),
    [
        (KEY, "account-key", RuleOutcome.ACT),
        (leak(samples.account_sas(permissions="r", life=timedelta(minutes=5))), "account-wide", RuleOutcome.ACT),
        (blob_sas("w"), "writes", RuleOutcome.ACT),
        (blob_sas("d"), "writes", RuleOutcome.ACT),
        (blob_sas("rc"), "writes", RuleOutcome.ACT),
        (leak(samples.policy_sas()), "writes", RuleOutcome.ACT),  # for all we know
        (blob_sas("r", 2 * DAY), "lives-long", RuleOutcome.ACT),
        (blob_sas("r", DAY + SECOND), "lives-long", RuleOutcome.ACT),
        (endless(SMALL), "lives-long", RuleOutcome.ACT),
        (blob_sas("r", DAY), "small", RuleOutcome.ASK),
        (blob_sas("r", DAY - SECOND), "small", RuleOutcome.ASK),
        (leak(samples.queue_sas()), "small", RuleOutcome.ASK),
        (leak(samples.table_sas()), "small", RuleOutcome.ASK),
        (leak(samples.file_sas()), "small", RuleOutcome.ASK),
        (leak(samples.delegation_sas()), "small", RuleOutcome.ASK),
    ],
)
def test_first_rule_that_applies_decides(credential: Credential, rule: str, action: RuleOutcome) -> None:
    decided = first_that_holds(RULES, credential, account=ACCOUNT, now=NOW)

    assert (decided.name, decided.then) == (rule, action)


def test_settings_say_what_long_is() -> None:
    rules = default_rules(act_alone_hours=1)

    decided = [
        first_that_holds(rules, blob_sas("r", timedelta(hours=hours)), account=ACCOUNT, now=NOW) for hours in (2, 1)
    ]

    assert [rule.name for rule in decided] == ["lives-long", "small"]


def test_no_rule_of_the_default_table_locks_an_account() -> None:
    assert {rule.remedy for rule in RULES} == {Remedy.SMALLEST}


# conditions


@pytest.mark.parametrize("credential", LEAKS)
def test_no_condition_holds_always(credential: Credential) -> None:
    assert holds(credential)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("credential", LEAKS)
def test_kind_holds_for_its_own(credential: Credential, kind: Kind) -> None:
    assert holds(credential, kinds=frozenset({kind})) is (credential.kind is kind)


@pytest.mark.parametrize(
    ("credential", "services", "held"),
    [
        (SMALL, {Service.BLOB}, True),
        (SMALL, {Service.BLOB, Service.FILE}, True),
        (SMALL, {Service.QUEUE, Service.FILE}, False),
        (leak(samples.account_sas()), {Service.QUEUE}, True),
        (KEY, {Service.TABLE}, True),
    ],
)
def test_services_hold_for_a_leak_that_opens_one_of_them(
    credential: Credential, services: set[Service], held: bool
) -> None:
    assert holds(credential, services=frozenset(services)) is held


@pytest.mark.parametrize(("credential", "writes"), [(SMALL, False), (blob_sas("rw"), True), (KEY, True)])
def test_writing_can_be_asked_for_either_way(credential: Credential, writes: bool) -> None:
    assert holds(credential, writes=writes)
    assert not holds(credential, writes=not writes)


@pytest.mark.parametrize(
    ("credential", "unknown"), [(SMALL, False), (leak(samples.policy_sas()), True), (KEY, False)]
)
def test_unknown_rights_can_be_asked_for_either_way(credential: Credential, unknown: bool) -> None:
    assert holds(credential, permissions_unknown=unknown)
    assert not holds(credential, permissions_unknown=not unknown)


@pytest.mark.parametrize(("hours", "held"), [(0, True), (47, True), (48, False), (876000, False)])
def test_leak_lives_longer_than_fewer_hours_than_it_has_left(hours: int, held: bool) -> None:
    assert holds(blob_sas("r", 2 * DAY), lives_longer_than_hours=hours) is held


@pytest.mark.parametrize("credential", [KEY, endless(SMALL)])
def test_what_has_no_end_lives_longer_than_any_number_of_hours(credential: Credential) -> None:
    assert holds(credential, lives_longer_than_hours=876000)


@pytest.mark.parametrize("least", list(Severity))
@pytest.mark.parametrize("credential", LEAKS)
def test_severity_holds_for_what_is_as_bad_or_worse(credential: Credential, least: Severity) -> None:
    order = ["low", "medium", "high", "critical"]
    severity = assess(credential, now=NOW).severity

    assert holds(credential, severity_at_least=least) is (order.index(severity) >= order.index(least))


@pytest.mark.parametrize(
    ("accounts", "held"), [({ACCOUNT}, True), ({ACCOUNT, "other"}, True), ({ACCOUNT[:-1]}, False)]
)
def test_account_is_meant_by_its_exact_name(accounts: set[str], held: bool) -> None:
    assert holds(SMALL, accounts=frozenset(accounts)) is held


# imply

CONDITIONS = st.builds(
    Conditions,
    kinds=st.frozensets(st.sampled_from(list(Kind)), min_size=1),
    services=st.none() | st.frozensets(st.sampled_from(samples.SERVICES), min_size=1),
    writes=st.none() | st.booleans(),
    permissions_unknown=st.none() | st.booleans(),
    lives_longer_than_hours=st.none() | st.sampled_from([0, 1, 24, 876000]),
    severity_at_least=st.sampled_from(list(Severity)),
    accounts=st.none() | st.frozensets(st.sampled_from([ACCOUNT, "other"]), min_size=1),
)


@given(CONDITIONS)
def test_conditions_imply_themselves_and_no_condition(conditions: Conditions) -> None:
    assert conditions.imply(conditions)
    assert conditions.imply(Conditions())


@given(CONDITIONS, CONDITIONS, st.sampled_from(LEAKS))
def test_what_is_implied_holds_wherever_the_conditions_do(
    conditions: Conditions, other: Conditions, credential: Credential
) -> None:
    held = conditions.hold(credential, account=ACCOUNT, now=NOW)

    assert not (held and conditions.imply(other)) or other.hold(credential, account=ACCOUNT, now=NOW)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (Conditions(kinds=frozenset({Kind.ACCOUNT_SAS})), Conditions()),
        (Conditions(services=frozenset({Service.BLOB})), Conditions()),
        (
            Conditions(services=frozenset({Service.BLOB})),
            Conditions(services=frozenset({Service.BLOB, Service.FILE})),
        ),
        (Conditions(writes=True), Conditions()),
        (Conditions(permissions_unknown=False), Conditions()),
        (Conditions(lives_longer_than_hours=2), Conditions(lives_longer_than_hours=1)),
        (Conditions(lives_longer_than_hours=0), Conditions()),
        (Conditions(severity_at_least=Severity.HIGH), Conditions(severity_at_least=Severity.MEDIUM)),
        (Conditions(accounts=frozenset({"one"})), Conditions(accounts=frozenset({"one", "two"}))),
    ],
)
def test_narrow_conditions_imply_wide_ones_and_not_the_other_way_round(narrow: Conditions, wide: Conditions) -> None:
    assert narrow.imply(wide)
    assert not wide.imply(narrow)


# remedies


def test_remedy_names_the_action_that_blocks_and_its_target() -> None:
    assert [remedy.block and (remedy.block.action, remedy.block.target) for remedy in Remedy] == [
        None,
        (ActionKind.LOCKDOWN, Lockdown.SHARED_KEY),
        (ActionKind.LOCKDOWN, Lockdown.NETWORK),
        (ActionKind.SAS_EXPIRATION_BLOCK, None),
    ]


def test_default_table_blocks_nothing() -> None:
    assert {rule.remedy for rule in default_rules(act_alone_hours=24)} == {Remedy.SMALLEST}
