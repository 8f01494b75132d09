"""What every action has in common: its texts are filled with its target, the account and the signing key."""

from collections.abc import Callable

import pytest

from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import ActionSpec
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Plan
from shared.domain.target import ActionKind
from tests.support import samples


class Spec(ActionSpec):
    kind = ActionKind.ACCOUNT_KEY
    impact_texts = ("{target} of {account} stops.",)
    done_text = "{target} of {account} was changed."
    recovery_texts = ("Replace {target}.",)
    still_accepted_text = "Check {target}, and {key}."

    def check_target(self, target: str) -> None: ...

    def version(self, snapshot: Snapshot, target: str) -> str:
        return target

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        return ()

    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        return False


def test_texts_name_target_and_account() -> None:
    spec = Spec()

    assert spec.impact(samples.account(), "key2") == ("key2 of robustmodels stops.",)
    assert spec.done("key2", "robustmodels") == "key2 of robustmodels was changed."
    assert spec.used("key2") == "key2"
    assert spec.recovery(samples.revocation(), samples.execution()) == ("Replace key2.",)


@pytest.mark.parametrize(("undone", "said"), [(False, "key2 was changed"), (True, "key2 was put back")])
def test_what_others_did_to_it_names_the_target(undone: bool, said: str) -> None:
    assert Spec().by_others("key2", undone=undone) == said


@pytest.mark.parametrize(
    ("key_name", "said"), [("key1", "Check key2, and key1."), (None, "Check key2, and the key that signed them.")]
)
def test_advice_for_an_ineffective_execution_names_the_signer(key_name: str | None, said: str) -> None:
    assert Spec().if_still_accepted(samples.revocation(key_name=key_name), samples.execution()) == said


def test_braces_from_outside_stay_text() -> None:
    assert Spec().done("{account}", "robustmodels") == "{account} of robustmodels was changed."


@pytest.mark.parametrize("command", [Spec().by_hand, Spec().afterwards])
def test_no_command_by_default(command: Callable[[str, str], str | None]) -> None:
    assert command(samples.ACCOUNT_ID, "key2") is None
