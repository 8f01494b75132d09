"""Every state and reason has words of its own."""

from dataclasses import replace

import pytest

from shared.domain.decision.action_spec import Tone
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.followup.briefing.headlines import command, headline, subject_of, title, why
from tests.support.briefings import RECEIVED, briefing


def test_each_state_has_a_lead_of_its_own() -> None:
    assert len({headline(briefing(state=state)).lead for state in State}) == len(State)


@pytest.mark.parametrize("state", ["observed", "awaiting_approval", "unresolved", "failed", "received"])
def test_unrevoked_credential_is_shown_as_active(state: str) -> None:
    words = headline(briefing(state=state))
    assert (words.tone, words.executed) == (Tone.LIVE, False)


def test_unverified_revocation_is_not_shown_as_verified() -> None:
    words = headline(briefing(state="contained"))
    assert "Verification is in progress" in words.lead
    assert words.tone is Tone.PENDING


def test_lead_of_a_revocation_names_the_impact() -> None:
    assert "used key2 stopped working" in headline(briefing(state="proven")).lead


def test_lead_of_a_revoked_policy_names_the_policy_and_not_the_key() -> None:
    policy = briefing(state="proven", action=ActionKind.STORED_POLICY, target="blob/models/partners")
    lead = headline(policy).lead
    assert "the stored access policy partners" in lead
    assert "key2" not in lead


def test_ineffective_revocation_says_so_and_names_the_impact() -> None:
    words = headline(briefing(state="failed", reason="still_alive"))
    assert "STILL ACCEPTED" in words.lead
    assert (words.tone, words.executed) == (Tone.LIVE, True)


def test_a_report_that_could_not_be_read_is_not_called_a_credential() -> None:
    unreadable = briefing(state="unresolved", reason="malformed", kind="unreadable report", account=None)
    assert title(unreadable) == "Unreadable report of a leak: UNRESOLVED, review required"
    assert "a leak report that it cannot read" in headline(unreadable).lead


def test_credential_of_another_service_is_said_not_to_be_handled() -> None:
    other = briefing(state="unresolved", reason="other_service", kind="credential of Azure Batch")
    other = replace(other, account=None, host=None)
    assert title(other) == "Leaked credential of Azure Batch: NOT HANDLED, another service"
    assert "did nothing" in headline(other).lead


def test_an_approval_names_its_deadline() -> None:
    lead = headline(briefing(state="awaiting_approval", deadline=RECEIVED)).lead
    assert "by 2026-11-21 02:58:03 UTC" in lead


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match="not a state"):
        headline(briefing(state="exploded"))


def test_each_reason_is_a_sentence_of_its_own() -> None:
    sentences = {why(briefing(reason=reason)) for reason in Reason}
    assert len(sentences) == len(Reason)
    assert all(sentence and not sentence.startswith("Reason:") for sentence in sentences)


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    assert why(briefing(reason="meteor")) == "Reason: meteor."


def test_no_reason_is_no_sentence() -> None:
    assert why(briefing(reason=None)) is None


@pytest.mark.parametrize(
    ("account", "host", "subject"),
    [
        ("robustmodels", "files.contoso.com", "account SAS of storage account robustmodels"),
        (None, "files.contoso.com", "account SAS for files[.]contoso[.]com"),
        (None, None, "account SAS"),
    ],
)
def test_what_leaked_is_named_as_well_as_it_is_known(account: str | None, host: str | None, subject: str) -> None:
    assert subject_of(briefing(account=account, host=host)) == subject


@pytest.mark.parametrize(
    ("action", "target", "used"),
    [
        (ActionKind.ACCOUNT_KEY, "key1", "used key1 stopped"),
        (ActionKind.STORED_POLICY, "queue/jobs/a/b", "used the stored access policy a/b stopped"),
        (ActionKind.DELEGATION_KEY, "all", "used a user delegation SAS of the account stopped"),
        (ActionKind.LOCKDOWN, "shared_key", "used the account's keys, or what they signed, stopped"),
        (ActionKind.LOCKDOWN, "network", "used the account from public networks stopped"),
    ],
)
def test_each_action_names_its_impact(action: ActionKind, target: str, used: str) -> None:
    assert used in headline(briefing(state="proven", action=action, target=target)).lead


@pytest.mark.parametrize(
    ("action", "target", "starts"),
    [
        (ActionKind.ACCOUNT_KEY, "key1", "az storage account keys renew "),
        (ActionKind.STORED_POLICY, "blob/models/partners", "az storage container policy update "),
        (ActionKind.DELEGATION_KEY, "all", "az storage account revoke-delegation-keys "),
    ],
)
def test_active_credential_has_the_command_of_its_action(action: ActionKind, target: str, starts: str) -> None:
    text = command(briefing(state="awaiting_approval", action=action, target=target))
    assert text is not None
    assert text.code.startswith(starts)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": None, "target": None, "state": "unresolved"},
        {"action": ActionKind.LOCKDOWN, "target": "network", "state": "awaiting_approval"},
        {"action": ActionKind.STORED_POLICY, "target": "blob/models/partners", "state": "proven"},
        {"state": "dismissed"},
    ],
)
def test_there_is_no_command_where_none_is_to_be_run(changes: dict[str, object]) -> None:
    assert command(briefing(**changes)) is None


def test_an_order_is_not_called_a_leak() -> None:
    ordered = briefing(state="proven", ordered=True, kind="order by a responder")
    assert title(ordered).startswith("Access to storage account robustmodels that a responder ordered to be revoked:")
    assert "leaked" not in headline(ordered).lead


@pytest.mark.parametrize("state", ["awaiting_approval", "dismissed", "failed", "unresolved", "observed", "received"])
def test_an_order_that_came_to_nothing_is_not_called_a_leak_either(state: str) -> None:
    ordered = briefing(state=state, ordered=True, kind="order by a responder")
    assert "order by a responder" not in headline(ordered).lead
    assert "leaked" not in headline(ordered).lead


@pytest.mark.parametrize(("state", "reason"), [("contained", None), ("proven", None), ("closed", None)])
def test_lockdown_is_not_shown_as_a_revocation(state: str, reason: str | None) -> None:
    words = headline(briefing(state=state, reason=reason, action=ActionKind.LOCKDOWN, target="shared_key"))
    assert "revokes nothing" in words.lead
    shown = f"{words.label} {words.lead}"
    assert not any(phrase in shown for phrase in ("verified revoked", "was revoked", "No open items"))


def test_ineffective_lockdown_is_shown_as_active() -> None:
    words = headline(briefing(state="failed", reason="still_alive", action=ActionKind.LOCKDOWN, target="network"))
    assert "NO LONGER IN FORCE" in words.lead
    assert words.tone is Tone.LIVE
