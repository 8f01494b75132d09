"""What each action says of itself."""

from dataclasses import replace

import pytest

from shared.domain.approval import Approval
from shared.domain.caller import Caller
from shared.domain.execution import KeyDistribution, KeyDistributionOutcome, Liveness, LockedDown, Outcome
from shared.domain.finding import Finding, Order
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.domain.text import Code, RichText
from shared.followup.briefing.model import TimelineEntry
from tests.support import samples
from tests.support.built_briefings import briefed, contained, executed, verification
from tests.support.samples import ACCOUNT, NOW


@pytest.mark.parametrize(
    ("action", "target", "done", "recovery"),
    [
        (
            ActionKind.STORED_POLICY,
            "blob/models/partners",
            "The stored access policy 'partners' of container models of robustmodels was revoked",
            "Never re-create or extend the stored access policy 'partners'",
        ),
        (
            ActionKind.DELEGATION_KEY,
            "all",
            "All user delegation keys of robustmodels were revoked",
            "get a new user delegation key",
        ),
        (
            ActionKind.LOCKDOWN,
            "shared_key",
            "Shared key access of robustmodels was switched off",
            "Revoke the credential itself",
        ),
        (
            ActionKind.LOCKDOWN,
            "network",
            "robustmodels was closed to public networks",
            "Revoke the credential itself",
        ),
    ],
)
def test_each_action_says_what_it_did_and_how_to_recover(
    action: ActionKind, target: str, done: str, recovery: str
) -> None:
    briefing = executed(action, target)

    assert briefing.done.startswith(done)
    assert briefing.done.endswith("A note.")
    assert "the other key" not in briefing.done
    assert recovery in str(briefing.next_steps[0])


def test_a_policy_that_is_gone_does_not_say_that_nothing_was_changed() -> None:
    briefing = briefed(state=State.UNRESOLVED, reason=Reason.POLICY_GONE, detail="A tombstone was left.")

    assert briefing.done == "A tombstone was left."


def test_approval_is_shown_with_name_and_reason() -> None:
    approval = Approval(Caller("Ada", "1"), NOW, "d" * 64, "seen in the logs")

    assert contained(approval=approval, decided_by="approved by Ada").done.endswith(
        "Ada approved it: seen in the logs."
    )
    assert TimelineEntry(NOW, "approved by Ada") in contained(approval=approval).timeline


def test_a_plan_that_waits_says_how_to_decide() -> None:
    steps = briefed(state=State.AWAITING_APPROVAL, plan=samples.plan()).next_steps

    approve, reject = (
        f"POST /api/revocations/{samples.finding().fingerprint}/{what}" for what in ("approve", "reject")
    )
    assert "signed by key2" in str(steps[0])
    assert steps[1] == RichText.of("To approve: ", Code(approve), " with the plan digest ", Code("d" * 64), ".")
    assert steps[2] == RichText.of("To reject: ", Code(reject), ".")


def test_distributed_key_is_shown_and_an_undistributed_one_is_an_open_item() -> None:
    done = KeyDistribution(KeyDistributionOutcome.DONE, NOW, "The new key is in the vault.")
    declined = replace(done, outcome=KeyDistributionOutcome.DECLINED, said="The secret holds another value.")

    assert contained(key_distribution=done).done.endswith("The new key is in the vault.")
    assert contained(key_distribution=declined).open_points == (
        "The new key was not written to Key Vault: The secret holds another value.",
    )


@pytest.mark.parametrize(("alive", "open_points"), [(True, ()), (False, ("Asked.",)), (None, ("Asked.",))])
def test_a_token_that_did_not_show_that_it_lives_is_open(alive: bool | None, open_points: tuple[str, ...]) -> None:
    briefing = briefed(liveness=Liveness(NOW, alive, "Asked."))

    assert briefing.open_points == open_points
    assert TimelineEntry(NOW, "Asked.") in briefing.timeline


def test_a_lockdown_is_open_until_it_is_undone() -> None:
    locked = LockedDown(Lockdown.SHARED_KEY, NOW, "{}", "{}")

    assert executed(ActionKind.LOCKDOWN, "shared_key", lockdown=locked).open_points
    assert not executed(ActionKind.LOCKDOWN, "shared_key", lockdown=replace(locked, undone_at=NOW)).open_points


def test_a_lockdown_that_was_undone_is_not_to_be_undone_again() -> None:
    undone = LockedDown(Lockdown.SHARED_KEY, NOW, "{}", "{}", undone_at=NOW)

    steps = executed(ActionKind.LOCKDOWN, "shared_key", state=State.CLOSED, lockdown=undone).next_steps

    assert not any("undo-lockdown" in str(step) for step in steps)


def test_verified_lockdown_is_not_shown_as_a_revocation() -> None:
    proven = executed(ActionKind.LOCKDOWN, "shared_key", verification=verification(Outcome.ARM_ONLY)).proven

    assert proven == "blob: refused. queue: refused."


def test_reporter_is_named_with_the_reason() -> None:
    found = replace(samples.finding(), reported_by=Caller("Ravn", "1"), reason="Found in a wiki")
    briefing = briefed(finding=found)

    assert (briefing.reported_by, briefing.reported_because) == ("Ravn", "Found in a wiki")


def test_order_is_shown_as_an_order() -> None:
    ordered = Finding("cd" * 32, None, "responder", None, NOW, order=Order(ACCOUNT, ActionKind.ACCOUNT_KEY, "key1"))
    briefing = briefed(finding=ordered)

    assert (briefing.kind, briefing.account, briefing.ordered) == ("order by a responder", ACCOUNT, True)
    assert "ordered this" in briefing.grants


def test_who_ordered_has_no_place_to_take_a_credential_out_of() -> None:
    ordered = samples.ordered(ActionKind.ACCOUNT_KEY, "key1")

    assert not any("Remove the credential" in str(step) for step in contained(finding=ordered).next_steps)
