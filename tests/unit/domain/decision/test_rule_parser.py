"""What the text of a rule table may say."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.decision.rule_parser import parse
from shared.domain.decision.rules import Conditions, Remedy, RuleOutcome, default_rules, first_that_holds
from shared.sas import Kind, Service, Severity
from tests.support import samples
from tests.support.paths import ROOT
from tests.support.samples import ACCOUNT, NOW, leak

LAST = {"name": "rest", "then": "ask", "why": "nobody said otherwise"}
RULE = {"name": "mine", "when": {"writes": True}, "then": "act", "why": "it writes"}
LEAKS = [
    leak(text)
    for text in (
        samples.connection_string(),
        samples.account_sas(),
        samples.blob_sas(),
        samples.queue_sas(),
        samples.policy_sas(),
        samples.delegation_sas(),
    )
]


def table(*rules: object) -> str:
    return json.dumps(rules)


def refusal(text: str) -> str:
    with pytest.raises(ValueError, match=r"^(is|must|names) ") as raised:
        parse(text)
    return str(raised.value)


# what is accepted


def test_documented_table_is_the_default() -> None:
    [documented] = re.findall(r"```json\n(.+?)```", (ROOT / "docs/rules.md").read_text(), re.DOTALL)

    assert parse(documented) == default_rules(act_alone_hours=24)


def test_rule_has_every_condition_that_it_names() -> None:
    when = {
        "kinds": ["policy_sas", "service_sas"],
        "services": ["blob", "queue"],
        "writes": False,
        "permissions_unknown": True,
        "lives_longer_than_hours": 12,
        "severity_at_least": "high",
        "accounts": ["contosodata"],
    }

    rule, _ = parse(table({**RULE, "when": when, "with": "lockdown_shared_key"}, LAST))

    assert (rule.then, rule.remedy, rule.why) == (RuleOutcome.ACT, Remedy.LOCKDOWN_SHARED_KEY, "it writes")
    assert rule.when == Conditions(
        kinds=frozenset({Kind.POLICY_SAS, Kind.SERVICE_SAS}),
        services=frozenset({Service.BLOB, Service.QUEUE}),
        writes=False,
        permissions_unknown=True,
        lives_longer_than_hours=12,
        severity_at_least=Severity.HIGH,
        accounts=frozenset({"contosodata"}),
    )


def test_rule_uses_the_smallest_action_by_default() -> None:
    assert parse(table(LAST))[0].remedy is Remedy.SMALLEST


def test_table_of_one_rule_may_decide_everything() -> None:
    assert [rule.name for rule in parse(table({**LAST, "when": {}}))] == ["rest"]


def test_last_rule_may_name_every_kind() -> None:
    assert len(parse(table({**LAST, "when": {"kinds": list(Kind)}}))) == 1


# what is refused


@pytest.mark.parametrize("text", ["", "act", "[", '"[]"x', "[NaN", "\ud800", "[" * 100_000, "[" + "9" * 5000 + "]"])
def test_what_is_not_json_is_refused(text: str) -> None:
    assert refusal(text) == "must be JSON"


@pytest.mark.parametrize("text", ["[]", "{}", "null", '"x"', "1", "NaN"])
def test_what_is_no_list_of_rules_is_refused(text: str) -> None:
    assert refusal(text) == "must be a JSON list of one or more rules"


def test_field_that_is_named_twice_is_refused() -> None:
    assert refusal('[{"name": "a", "then": "ask", "then": "act", "why": "x"}]') == (
        "names a field twice in one object"
    )


@pytest.mark.parametrize("item", [1, None, "rule", [], True])
def test_rule_that_is_no_object_is_refused(item: object) -> None:
    assert refusal(table(LAST, item)) == "is wrong in rule 2: it must be an object"


@pytest.mark.parametrize("name", ["name", "then", "why"])
def test_rule_that_lacks_a_field_is_refused(name: str) -> None:
    rule = {key: value for key, value in RULE.items() if key != name}
    label = "1" if name == "name" else "'mine'"

    assert refusal(table(rule, LAST)) == f"is wrong in rule {label}: {name} is missing"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "Mine"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a--b"}, "name"),
        ({"name": "a" * 41}, "name"),
        ({"name": 7}, "name"),
        ({"then": "rotate"}, "then"),
        ({"then": ["act"]}, "then"),
        ({"then": None}, "then"),
        ({"with": "lockdown"}, "with"),
        ({"why": ""}, "why"),
        ({"why": "a\nb"}, "why"),
        ({"why": "x" * 201}, "why"),
        ({"why": 1}, "why"),
        ({"whne": {}}, "whne"),
        ({"a\nb" * 90: {}}, "a"),
        ({"when": []}, "when"),
        ({"when": {"kind": ["account_sas"]}}, "when.kind"),
        ({"when": {"name": "other"}}, "when.name"),
        ({"when": {"kinds": "account_sas"}}, "when.kinds"),
        ({"when": {"kinds": []}}, "when.kinds"),
        ({"when": {"kinds": ["sas"]}}, "when.kinds"),
        ({"when": {"kinds": [["account_sas"]]}}, "when.kinds"),
        ({"when": {"services": ["multiple"]}}, "when.services"),
        ({"when": {"writes": "true"}}, "when.writes"),
        ({"when": {"writes": 1}}, "when.writes"),
        ({"when": {"permissions_unknown": None}}, "when.permissions_unknown"),
        ({"when": {"lives_longer_than_hours": -1}}, "when.lives_longer_than_hours"),
        ({"when": {"lives_longer_than_hours": 1.5}}, "when.lives_longer_than_hours"),
        ({"when": {"lives_longer_than_hours": True}}, "when.lives_longer_than_hours"),
        ({"when": {"lives_longer_than_hours": 876001}}, "when.lives_longer_than_hours"),
        ({"when": {"lives_longer_than_hours": float("nan")}}, "when.lives_longer_than_hours"),
        ({"when": {"severity_at_least": "severe"}}, "when.severity_at_least"),
        ({"when": {"accounts": []}}, "when.accounts"),
        ({"when": {"accounts": ["Contoso"]}}, "when.accounts"),
        ({"when": {"accounts": ["contoso*"]}}, "when.accounts"),
        ({"when": {"accounts": [1]}}, "when.accounts"),
        ({"when": {"accounts": "contoso"}}, "when.accounts"),
    ],
)
def test_malformed_field_is_refused_in_one_line_with_its_rule_and_its_name(
    changed: dict[str, object], field: str
) -> None:
    said = refusal(table(RULE | changed, LAST))

    assert re.match(rf"is wrong in rule ('mine'|1): {re.escape(field)}\b", said)
    assert "\n" not in said
    assert len(said) < 300


def test_two_rules_of_one_name_are_refused() -> None:
    assert refusal(table(RULE, {**LAST, "name": "mine"})) == ("is wrong in rule 'mine': name is another rule's, too")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({}, {"writes": True}),
        ({}, {}),
        ({"kinds": list(Kind)}, {"kinds": ["account_sas"]}),
        ({"kinds": ["account_sas", "service_sas"]}, {"kinds": ["account_sas"], "writes": True}),
        ({"lives_longer_than_hours": 24}, {"lives_longer_than_hours": 48}),
        ({"severity_at_least": "medium"}, {"severity_at_least": "critical"}),
    ],
)
def test_rule_that_can_never_be_reached_is_refused(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    said = refusal(table({**RULE, "when": earlier}, {**RULE, "name": "late", "when": later}, LAST))

    assert said == "is wrong in rule 'late': when is never reached: rule 'mine' applies before it"


def test_table_that_leaves_a_leak_undecided_is_refused() -> None:
    assert refusal(table(RULE)).startswith("is wrong in rule 'mine': when must be empty")


@pytest.mark.parametrize("remedy", ["lockdown_shared_key", "lockdown_network"])
@pytest.mark.parametrize("when", [{}, {"kinds": ["account_key"]}, {"writes": True, "kinds": list(Kind)}])
def test_leaked_account_key_is_never_answered_with_a_lockdown(remedy: str, when: dict[str, Any]) -> None:
    assert "without account_key" in refusal(table({**RULE, "with": remedy, "when": when}, LAST))


def test_user_delegation_sas_is_not_answered_with_what_does_not_stop_it() -> None:
    when = {"kinds": ["user_delegation_sas", "policy_sas"]}

    assert "without user_delegation_sas" in refusal(
        table({**RULE, "with": "lockdown_shared_key", "when": when}, LAST)
    )
    assert parse(table({**RULE, "with": "lockdown_network", "when": when}, LAST))


@pytest.mark.parametrize("kind", ["account_key", "policy_sas", "user_delegation_sas"])
def test_sas_expiration_policy_is_no_answer_to_what_it_does_not_stop(kind: str) -> None:
    rule = {**RULE, "with": "sas_expiration_block"}
    assert f"without {kind}" in refusal(table({**rule, "when": {"kinds": ["account_sas", kind]}}, LAST))
    assert parse(table({**rule, "when": {"kinds": ["account_sas", "service_sas"]}}, LAST))


# anything

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=12,
)
_CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "kinds": st.lists(st.sampled_from([*Kind, "no_kind"]), max_size=3),
        "services": st.lists(st.sampled_from(["blob", "queue", "table", "file", "multiple"]), max_size=2),
        "writes": st.booleans(),
        "permissions_unknown": st.booleans(),
        "lives_longer_than_hours": st.integers(-1, 900_000),
        "severity_at_least": st.sampled_from([*Severity, "none"]),
        "accounts": st.lists(st.sampled_from([ACCOUNT, "other", "No"]), max_size=2),
    },
)
_RULES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a", "b", "c", "d", "E"]),
        "then": st.sampled_from(["act", "ask", "observe", "rotate"]),
        "why": st.sampled_from(["it is so", ""]),
    },
    optional={"when": _CONDITIONS | _JSON, "with": st.sampled_from([*Remedy, "nothing"]), "else": _JSON},
)


@given(st.text())
def test_no_text_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)


@given(_JSON | st.lists(_RULES | _JSON, max_size=4))
def test_no_json_is_more_than_refused_and_in_one_line(value: object) -> None:
    said = "accepted"
    try:
        parse(json.dumps(value))
    except ValueError as error:
        said = str(error)

    assert said.isprintable()


_GOOD_RULES = st.fixed_dictionaries(
    {"then": st.sampled_from(list(RuleOutcome)), "why": st.just("it is so")},
    optional={
        "with": st.sampled_from(list(Remedy)),
        "when": st.fixed_dictionaries(
            {},
            optional={
                "kinds": st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=2),
                "writes": st.booleans(),
                "lives_longer_than_hours": st.integers(0, 100),
                "severity_at_least": st.sampled_from(list(Severity)),
                "accounts": st.just([ACCOUNT]),
            },
        ),
    },
)


@given(st.lists(_GOOD_RULES, max_size=3), st.sampled_from(LEAKS))
def test_every_table_that_is_accepted_decides_every_leak(rules: list[dict[str, Any]], credential: Any) -> None:
    named = [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
    try:
        accepted = parse(table(*named, LAST))
    except ValueError:
        return

    rule = first_that_holds(accepted, credential, account=ACCOUNT, now=NOW)

    assert rule in accepted
    assert rule.remedy.block is None or credential.kind not in rule.remedy.block.misses
