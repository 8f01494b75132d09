"""What was done, and what is verified."""

from dataclasses import replace

import pytest

from shared.domain.execution import Outcome
from shared.domain.states import Reason, State
from tests.support import samples
from tests.support.built_briefings import briefed, contained, verification


def test_rotation_names_the_untouched_key_and_its_id() -> None:
    assert contained().done == (
        "key2 of robustmodels was regenerated (ARM correlation id 11111111-2222-4333-8444-555555555555); the other "
        "key was not touched."
    )


def test_execution_without_a_response_says_how_it_is_known() -> None:
    done = contained(execution=samples.execution(confirmed_by="listing")).done

    assert done.endswith(
        "Confirmed by reading the current state: Azure's response was lost, or no change was needed."
    )
    assert "correlation id" not in done


def test_action_without_approval_says_so() -> None:
    assert contained(decided_by="rule account-wide: why").done.endswith(
        "No approval was required: rule account-wide: why."
    )


@pytest.mark.parametrize("state", [State.OBSERVED, State.AWAITING_APPROVAL, State.UNRESOLVED, State.DISMISSED])
def test_without_an_execution_nothing_was_changed(state: State) -> None:
    assert briefed(state=state, detail="This is why.").done == "Nothing was changed. This is why."


def test_covered_leak_is_not_shown_as_unchanged() -> None:
    detail = "key2 of robustmodels was regenerated for another leak that it had signed."
    briefing = briefed(state=State.DISMISSED, reason=Reason.COVERED, detail=detail, key_name="key2")

    assert briefing.done == detail
    assert briefing.proven == (
        "Signature verified: signed by key2. Verified with the finding that it was revoked for."
    )


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.PENDING, "Not verified yet."),
        (Outcome.PROVEN, "Verified revoked."),
        (Outcome.ARM_ONLY, "Verified by ARM only: the data plane could not be checked."),
        (Outcome.STILL_ALIVE, "STILL ACCEPTED: Azure accepts a test token of the same kind."),
    ],
)
def test_each_outcome_has_its_evidence(outcome: Outcome, said: str) -> None:
    proven = contained(verification=verification(outcome)).proven

    assert proven == f"Signature verified: signed by key2. {said} blob: refused. queue: refused."


def test_unverified_execution_is_not_shown_as_verified() -> None:
    assert contained().proven == "Signature verified: signed by key2. Not verified yet."


def test_key_regenerated_by_a_crashed_instance_is_not_shown_as_signer() -> None:
    unsigned = replace(samples.execution(confirmed_by="listing"), old_sha256="")

    assert contained(execution=unsigned).proven == "Not verified yet."


def test_leak_without_an_execution_is_not_shown_as_revoked() -> None:
    assert briefed().proven == "Not revoked."


def test_arm_s_word_alone_leaves_something_open() -> None:
    assert any(
        "Check from a network" in point
        for point in contained(verification=verification(Outcome.ARM_ONLY)).open_points
    )
    assert contained(verification=verification(Outcome.PROVEN)).open_points == ()
