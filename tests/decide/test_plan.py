from dataclasses import replace

import pytest

from shared.decide import plan as plans
from shared.decide.attribution import Verdict, attribute
from shared.revocation import AccountFacts, Plan
from shared.sas import key_sha256
from tests import samples
from tests.samples import ACCOUNT, ACCOUNT_ID, KEYS, leak

BREAKS = ("Every client that uses key2.",)


def planned(text: str, *, keys: dict[str, str] = KEYS, account: AccountFacts | None = None) -> Plan:
    credential = leak(text)
    verdict = attribute(credential, account=ACCOUNT, keys=keys)
    return plans.make(credential, verdict, account or samples.account(), breaks=BREAKS)


def test_a_plan_is_to_regenerate_the_key_that_is_behind_the_leak_and_no_other() -> None:
    plan = planned(samples.account_sas(key_name="key2"))

    assert (plan.lever, plan.account_id, plan.target) == ("account_key", ACCOUNT_ID, "key2")
    assert plan.key_sha256 == key_sha256(KEYS["key2"])


def test_a_plan_says_who_breaks() -> None:
    assert planned(samples.account_sas()).breaks == BREAKS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (samples.account_sas(key_name="key1"), "The leaked token was signed by key1 of robustmodels, and "),
        (samples.connection_string(key_name="key2"), "The leaked text is key2 of robustmodels, and "),
    ],
)
def test_a_plan_says_why(text: str, why: str) -> None:
    assert planned(text).reason.startswith(why)


@pytest.mark.parametrize("verdict", [Verdict("", key_name="key1"), Verdict("", key_sha256="0" * 64), Verdict("")])
def test_there_is_no_plan_without_a_proven_key(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match="a verdict that names a key"):
        plans.make(leak(samples.account_sas()), verdict, samples.account(), breaks=BREAKS)


def test_two_leaks_under_one_key_have_one_digest() -> None:
    """An approval is of what is done, whichever leak asked for it."""
    assert planned(samples.account_sas(key_name="key1")).digest == planned(samples.blob_sas(key_name="key1")).digest


def test_the_digest_does_not_depend_on_how_arm_spells_the_id() -> None:
    shouted = replace(samples.account(), id=ACCOUNT_ID.upper())

    assert planned(samples.account_sas(), account=shouted).digest == planned(samples.account_sas()).digest


@pytest.mark.parametrize(
    "changed",
    [
        {"lever": "stored_policy"},
        {"account_id": f"{ACCOUNT_ID}2"},
        {"target": "key1"},
        {"version": "1" * 64},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_digest_goes_stale_with_each_thing_that_a_decision_binds_to(changed: dict[str, str]) -> None:
    bound = {"lever": "account_key", "account_id": ACCOUNT_ID, "target": "key2", "version": "0" * 64}

    assert plans.digest(**(bound | changed)) != plans.digest(**bound)


def test_a_plan_holds_no_key() -> None:
    plan = repr(planned(samples.connection_string()))

    assert not any(key.rstrip("=") in plan for key in KEYS.values())
