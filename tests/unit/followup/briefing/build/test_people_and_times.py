"""Who is named, what is next, and when things happened."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.approval import Approval, EvidenceCheck, EvidenceOutcome, Rejection
from shared.domain.caller import Caller
from shared.domain.execution import Outcome
from shared.domain.revocation import Change, Owner, Sighting
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.target import ActionKind
from shared.followup.briefing.model import Briefing, TimelineEntry
from tests.support import samples
from tests.support.built_briefings import SECOND, briefed, contained, executed, verification
from tests.support.samples import NOW


def test_rejected_owners_and_other_reporters_are_open_items() -> None:
    briefing = contained(
        owners_rejected=('tag "owner": evil[.]example is not an allowed domain',),
        sightings=(Sighting("gitlab", "https://gitlab.com/x", NOW), Sighting("mail", None, NOW)),
    )

    assert briefing.open_points == (
        'Not notified: tag "owner": evil[.]example is not an allowed domain.',
        "Also reported by gitlab, at hxxps://gitlab[.]com/x.",
        "Also reported by mail.",
    )


def test_owners_are_those_that_were_looked_up() -> None:
    owner = Owner("a@contoso.com", None, "tag owner")

    assert (briefed().owners, briefed(owners=(owner,)).owners) == ((), (owner,))


def test_a_deadline_is_of_a_decision_that_is_still_due() -> None:
    assert briefed(state=State.AWAITING_APPROVAL, deadline=NOW).deadline == NOW
    assert briefed(state=State.CONTAINED, deadline=NOW).deadline is None


@pytest.mark.parametrize("state", [State.OBSERVED, State.AWAITING_APPROVAL])
def test_active_leak_has_next_steps(state: State) -> None:
    assert briefed(state=state).next_steps


@pytest.mark.parametrize("reason", [r for r, state in STATE_OF.items() if state in (State.UNRESOLVED, State.FAILED)])
def test_state_that_requires_a_person_has_next_steps(reason: Reason) -> None:
    briefing = briefed(state=STATE_OF[reason], reason=reason, detail="Remove the lock.")

    assert briefing.next_steps == ("Remove the lock.",) or reason is Reason.STILL_ALIVE
    assert briefing.next_steps


def test_a_key_that_lives_on_is_answered_with_the_switch() -> None:
    briefing = contained(
        state=State.FAILED, reason=Reason.STILL_ALIVE, verification=verification(Outcome.STILL_ALIVE)
    )

    assert "--allow-shared-key-access false" in str(briefing.next_steps[0])


@pytest.mark.parametrize(
    ("action", "target", "step"),
    [
        (ActionKind.STORED_POLICY, "blob/models/partners", "regenerate key2"),
        (ActionKind.DELEGATION_KEY, "all", "Remove the token's issuer from the data roles"),
        (ActionKind.LOCKDOWN, "network", "who opened the account again"),
    ],
)
def test_each_action_that_did_not_work_has_its_own_next_step(action: ActionKind, target: str, step: str) -> None:
    """No switch of keys stops a user delegation SAS, and only production would notice."""
    briefing = executed(
        action,
        target,
        state=State.FAILED,
        reason=Reason.STILL_ALIVE,
        key_name="key2",
        verification=verification(Outcome.STILL_ALIVE),
    )

    assert step in str(briefing.next_steps[0])
    assert "--allow-shared-key-access" not in str(briefing.next_steps[0])


@pytest.mark.parametrize("state", [State.CONTAINED, State.PROVEN, State.CLOSED])
def test_revoked_leak_has_recovery_steps_and_points_to_the_logs(state: State) -> None:
    assert len(contained(state=state).next_steps) == 4


def waiting(**changed: Any) -> Briefing:
    facts = {"state": State.AWAITING_APPROVAL, "plan": samples.plan(), "deadline": NOW}
    return briefed(**(facts | changed))


def lines(briefing: Briefing) -> str:
    return " ".join(map(str, briefing.next_steps))


ORDERED = samples.ordered(ActionKind.ACCOUNT_KEY, "key2")
FIRST = Approval(Caller("Bob", "2", is_person=True), NOW, "d" * 64, "Yes.")


@pytest.mark.parametrize(
    ("changed", "waits_for", "step"),
    [
        ({"key_name": "key2"}, "", "To reject it takes two approvers"),
        ({"finding": ORDERED}, "", "An order takes two people: an approver other than the person who gave it"),
        ({"finding": samples.alerted()}, "It takes two approvers.", "so it takes two approvers"),
        (
            {"finding": samples.alerted(), "first_approval": FIRST},
            "1 of 2 approvals is there, by Bob. Another person with the role Sasquash.Approver has to approve.",
            "1 of 2 approvals is there, by Bob.",
        ),
        (
            {"key_name": "key2", "rejections": (Rejection(FIRST.by, NOW, "No."),)},
            "1 of 2 rejections is there, by Bob. Another person with the role Sasquash.Approver has to decide.",
            "1 of 2 rejections is there, by Bob.",
        ),
    ],
)
def test_request_for_approval_says_whose_decision_is_missing(
    changed: dict[str, Any], waits_for: str, step: str
) -> None:
    briefing = waiting(**changed)

    assert briefing.waits_for == waits_for
    assert step in lines(briefing)


def test_request_for_approval_says_what_is_known_of_the_evidence() -> None:
    check = EvidenceCheck(EvidenceOutcome.UNCHECKED, NOW, "Defender alert dc1 could not be read again.")

    assert check.said in lines(waiting(finding=samples.alerted(), evidence_check=check))


def test_both_approvers_are_named_in_what_was_done() -> None:
    briefing = contained(first_approval=FIRST, approval=replace(FIRST, by=Caller("Ada", "1", is_person=True)))

    assert "Bob and Ada approved it: Yes." in briefing.done
    assert [entry.what for entry in briefing.timeline if "approved" in entry.what] == [
        "approved by Bob",
        "approved by Ada",
    ]


def test_rejected_leak_that_is_reported_again_has_next_steps() -> None:
    again = briefed(state=State.DISMISSED, reason=Reason.REJECTED, reported_again_at=NOW)

    assert again.reported_again_at == NOW
    assert "/retry" in lines(again)
    assert briefed(state=State.DISMISSED, reason=Reason.REJECTED).next_steps == ()


def test_what_is_over_asks_nothing_of_anybody() -> None:
    assert briefed(state=State.DISMISSED, reason=Reason.EXPIRED).next_steps == ()


def test_impact_is_the_plan_s() -> None:
    assert (briefed().impact, contained().impact) == ((), ("Every client that uses key2.",))


def test_timeline_has_each_event_once() -> None:
    changes = (
        Change(State.RECEIVED, NOW),
        Change(State.CONTAINED, NOW + 3 * SECOND),
        Change(State.PROVEN, NOW + 5 * SECOND),
    )

    assert contained(changes=changes).timeline == (
        TimelineEntry(NOW - 20 * SECOND, "found by github"),
        TimelineEntry(NOW, "reported to Sasquash"),
        TimelineEntry(NOW + SECOND, "attributed to key2"),
        TimelineEntry(NOW + 2 * SECOND, "key2 of robustmodels was regenerated"),
        TimelineEntry(NOW + 5 * SECOND, "state: proven"),
    )


def test_timeline_without_an_execution_consists_of_states() -> None:
    changes = (Change(State.RECEIVED, NOW), Change(State.AWAITING_APPROVAL, NOW + SECOND))

    assert briefed(changes=changes).timeline[-1] == TimelineEntry(NOW + SECOND, "state: awaiting approval")


def test_what_a_token_allowed_is_what_its_policy_gave_it() -> None:
    policy = samples.reading(permissions="rl", expires=NOW + timedelta(days=3))
    briefing = briefed(finding=samples.finding(samples.policy_sas()), policy=policy)

    assert briefing.grants.startswith("Read and list ")
    assert briefing.expires == NOW + timedelta(days=3)
    assert not any("may include changing" in reason for reason in briefing.risk_reasons)
