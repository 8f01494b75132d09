from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.caller import Caller
from shared.domain.decision.attribution import attribute
from shared.domain.finding import Finding, Order
from shared.domain.revocation import (
    STATE_OF,
    Approval,
    Change,
    ClosedAlert,
    KeyDistribution,
    KeyDistributionOutcome,
    Liveness,
    LockedDown,
    Outcome,
    Owner,
    Reason,
    Revocation,
    Sighting,
    State,
    Verification,
)
from shared.domain.target import ActionKind, Lockdown
from shared.domain.text import Code, RichText
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing, TimelineEntry
from shared.followup.mail.compose import compose
from tests.support import samples
from tests.support.samples import ACCOUNT, ACCOUNT_ID, KEYS, NOW

SECOND = timedelta(seconds=1)


def briefed(**changed: Any) -> Briefing:
    return brief(samples.revocation(**changed), now=NOW)


def contained(**changed: Any) -> Briefing:
    """The briefing of a record whose key2 was regenerated."""
    facts = {
        "state": State.CONTAINED,
        "account": samples.account(),
        "key_name": "key2",
        "attributed_at": NOW + SECOND,
        "plan": samples.plan(),
        "execution": samples.execution(at=NOW + 2 * SECOND),
    }
    return briefed(**(facts | changed))


def verification(outcome: Outcome) -> Verification:
    return Verification(outcome, NOW, ("blob: refused.", "queue: refused."))


UNREADABLE = Finding("ab" * 32, None, "/scanner", None, NOW)


def test_a_briefing_says_what_leaked_and_where() -> None:
    briefing = contained()

    assert (briefing.kind, briefing.account, briefing.account_id) == ("account SAS", ACCOUNT, ACCOUNT_ID)
    assert (briefing.source, briefing.found_at_url) == ("github", "https://github.com/contoso/x/README.md")
    assert briefing.severity == "critical"
    assert briefing.fingerprint == samples.finding().fingerprint


def test_before_the_account_is_known_its_name_is_the_one_that_leaked() -> None:
    assert (briefed().account, briefed().account_id) == (ACCOUNT, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (samples.account_sas(), "account SAS"),
        (samples.blob_sas(), "service SAS"),
        (samples.policy_sas(), "service SAS with a stored access policy"),
        (samples.delegation_sas(), "user delegation SAS"),
        (samples.connection_string(), "account key"),
    ],
)
def test_every_kind_has_a_name(text: str, kind: str) -> None:
    assert briefed(finding=samples.finding(text)).kind == kind


def test_a_policy_is_named() -> None:
    assert briefed(finding=samples.finding(samples.policy_sas())).policy == "partners"


def test_unreadable_report_is_shown_without_guessing() -> None:
    briefing = briefed(finding=UNREADABLE)

    assert (briefing.kind, briefing.account, briefing.severity) == ("unreadable report", None, "high")
    assert briefing.grants == "Unknown: the report could not be read."
    assert briefing.c3id == "ab" * 10


# what was done


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


# what is proven


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


# who, what next, when


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


# by action


def executed(action: ActionKind, target: str, **changed: Any) -> Briefing:
    plan = replace(samples.plan(), action=action, target=target)
    execution = replace(samples.execution(at=NOW), action=action, target=target, notes=("A note.",))
    return contained(plan=plan, execution=execution, **changed)


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


# for every state and reason


def records() -> list[Revocation]:
    """A record in each state, with each reason that it can have."""
    plain = [samples.revocation(state=state, plan=samples.plan(), account=samples.account()) for state in State]
    ended = [
        samples.revocation(state=state, reason=reason, detail="Why.", finding=found)
        for reason, state in STATE_OF.items()
        for found in (samples.finding(), samples.finding(samples.connection_string()), UNREADABLE)
    ]
    return plain + ended


@pytest.mark.parametrize("record", records(), ids=lambda record: f"{record.state}-{record.reason}")
def test_every_record_can_be_mailed(record: Revocation) -> None:
    message = compose(brief(record, now=NOW), to=(), security_mailbox="security@contoso.com")

    assert message.to == ("security@contoso.com",)


@pytest.mark.parametrize("text", [samples.account_sas(), samples.connection_string(), samples.blob_sas()])
def test_a_briefing_holds_nothing_usable(text: str) -> None:
    found = samples.finding(text)
    assert found.credential is not None
    verdict = attribute(found.credential, account=ACCOUNT, keys=KEYS)
    briefing = contained(
        finding=found, detail=verdict.detail, execution=samples.execution(samples.verification_token())
    )

    token_signature = samples.verification_token().query.partition("sig=")[2]
    leaked = text.partition("sig=")[2].split("&")[0]
    secrets = [token_signature, leaked, *(key.rstrip("=") for key in KEYS.values())]
    assert not any(secret in repr(briefing) for secret in secrets if secret)


# What an alert says, and alerts of other tools


def alerted(**changed: Any) -> Briefing:
    facts = {
        "finding": samples.alerted(addresses="203.0.113.0/24"),
        "account": samples.account(),
        "plan": samples.plan(),
    }
    return briefed(**(facts | changed))


def test_an_alerts_evidence_is_shown_as_such() -> None:
    shown = alerted(state=State.AWAITING_APPROVAL)

    assert not shown.ordered
    assert "the token is unknown" in shown.kind
    assert shown.grants == "According to the alert, permissions: Read, List."
    assert shown.notes == (
        "Alert: Unusual SAS token.",
        "Last used at 2026-11-21 10:00 UTC, signed with key2.",
        "Allowed from: 203.0.113.0/24.",
        f"SHA-256 of its signature: {'ab' * 32}.",
    )


def test_an_alert_that_says_little_is_shown_with_that() -> None:
    shown = briefed(finding=samples.alerted(permissions=(), signature_sha256=None))

    assert shown.grants == "Unknown: the alert does not say."
    assert len(shown.notes) == 2


def test_next_step_after_a_revocation_by_evidence_is_to_find_the_leak() -> None:
    shown = alerted(state=State.PROVEN, execution=samples.execution())

    assert "Find out where the token leaked: the alert only shows that it was used." in shown.next_steps


def test_a_mail_about_evidence_names_it() -> None:
    mail = compose(alerted(state=State.AWAITING_APPROVAL), to=[], security_mailbox="security@contoso.com")

    assert "Unusual SAS token" in mail.html
    assert "STILL ACTIVE" in mail.html


def test_an_alert_that_is_still_open_where_it_was_reported_is_an_open_point_and_a_closed_one_is_history() -> None:
    finding = replace(samples.finding(), alert=samples.ALERT)
    still_open = contained(state=State.PROVEN, finding=finding)
    closed = contained(
        state=State.PROVEN, finding=finding, closed_alerts=(ClosedAlert(samples.ALERT, NOW, "It was resolved."),)
    )

    assert "Alert not closed yet: GitHub alert 42 of contoso/x." in still_open.open_points
    assert closed.open_points == ()
    assert TimelineEntry(NOW, "It was resolved") in closed.timeline
