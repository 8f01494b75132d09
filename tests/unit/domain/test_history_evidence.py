"""The evidence for each change of a record, in its history."""

from dataclasses import replace

import pytest

from shared.domain import history_evidence
from shared.domain.approval import Approval
from shared.domain.execution import Outcome, Verification
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.sas import key_sha256
from tests.support import samples
from tests.support.samples import NOW, PERSON

KEY_HASH = key_sha256(samples.KEYS["key2"])
KNOWN = samples.revocation(key_name="key2", key_sha256=KEY_HASH)


def reach(record: Revocation, state: State) -> Revocation:
    return record.reach(state, now=NOW, detail="")


def test_execution_is_evidenced_by_signature_and_azure_s_response() -> None:
    said = history_evidence.of(reach(replace(KNOWN, execution=samples.execution()), State.CONTAINED))

    assert f"Signature verified: signed by key2 (SHA-256 {KEY_HASH[:12]}…)." in said
    assert "Confirmed by Azure's response" in said


def test_execution_with_a_lost_response_is_evidenced_by_the_current_state() -> None:
    record = replace(KNOWN, execution=samples.execution(confirmed_by="listing"))

    assert "Confirmed by the current state" in history_evidence.of(reach(record, State.CONTAINED))


@pytest.mark.parametrize(("by", "who"), [(PERSON, PERSON.name), (None, "nobody (deadline passed")])
def test_approved_execution_names_the_approver(by: object, who: str) -> None:
    approval = Approval(by, NOW, "d" * 64, "Ours.")  # type: ignore[arg-type]
    record = replace(KNOWN, execution=samples.execution(), approval=approval)

    assert f"Approved by {who}" in history_evidence.of(reach(record, State.CONTAINED))


def test_approval_itself_names_the_plan() -> None:
    record = replace(KNOWN, approval=samples.approval("d" * 64))

    assert "plan dddddddddddd…" in history_evidence.of(reach(record, State.RECEIVED))


def test_both_approvers_are_named() -> None:
    first = replace(samples.approval("d" * 64), by=replace(PERSON, name="bob@contoso.com"))
    record = replace(KNOWN, first_approval=first, approval=samples.approval("d" * 64))

    assert f"Approved by {first.who} and {PERSON}: plan" in history_evidence.of(reach(record, State.RECEIVED))


@pytest.mark.parametrize("state", [State.PROVEN, State.FAILED])
def test_verification_has_its_evidence(state: State) -> None:
    record = replace(KNOWN, verification=Verification(Outcome.PROVEN, NOW, ("blob: refused.", "queue: refused.")))

    assert history_evidence.of(reach(record, state)) == "blob: refused. queue: refused."


def test_azure_s_response_to_a_token_is_evidence() -> None:
    record = samples.revocation(liveness=samples.liveness())

    assert history_evidence.of(reach(record, State.AWAITING_APPROVAL)) == "Azure accepted it."


@pytest.mark.parametrize("state", [State.RECEIVED, State.CLOSED, State.UNRESOLVED])
def test_state_without_evidence_has_no_text(state: State) -> None:
    assert history_evidence.of(reach(samples.revocation(), state)) == ""


def test_only_an_execution_has_azure_s_correlation_id() -> None:
    record = replace(KNOWN, execution=samples.execution())

    assert history_evidence.correlation_id(reach(record, State.CONTAINED)) == "11111111-2222-4333-8444-555555555555"
    assert history_evidence.correlation_id(reach(record, State.PROVEN)) is None
    assert history_evidence.correlation_id(samples.revocation().end(Reason.EXPIRED, now=NOW, detail="")) is None
