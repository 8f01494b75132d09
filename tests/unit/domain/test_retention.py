"""Which records retention may remove."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.retention import prunable
from shared.domain.revocation import HistoryHead, Revocation
from shared.domain.states import Reason, State
from shared.sas import Kind
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(days=500)
BEFORE = LATER - timedelta(days=400)


def dismissed(reason: Reason = Reason.EXPIRED) -> Revocation:
    record = samples.revocation().end(reason, now=NOW, detail="It has ended.")
    return replace(record, announced=record.changes)


def under_policy(expires: str | None) -> Revocation:
    """A record of a token of a stored access policy, whose own end is `expires`."""
    record = dismissed(Reason.COVERED)
    credential = record.finding.credential
    assert credential is not None
    parameters = {"sv": "2023-11-03", "sr": "c", "si": "partners"} | ({"se": expires} if expires else {})
    leaked = replace(credential, kind=Kind.POLICY_SAS, parameters=tuple(sorted(parameters.items())))
    return replace(record, finding=replace(record.finding, credential=leaked))


def test_record_that_ended_long_ago_may_go() -> None:
    assert prunable(dismissed(), before=BEFORE, now=LATER)


def test_record_that_ended_lately_stays() -> None:
    assert not prunable(dismissed(), before=NOW, now=LATER)


@pytest.mark.parametrize(
    "state",
    [State.RECEIVED, State.OBSERVED, State.AWAITING_APPROVAL, State.CONTAINED, State.PROVEN],
)
def test_record_that_has_not_ended_stays(state: State) -> None:
    record = samples.revocation().reach(state, now=NOW, detail="So it is.")
    assert not prunable(replace(record, announced=record.changes), before=BEFORE, now=LATER)


@pytest.mark.parametrize("reason", [Reason.NO_KEY_MATCHES, Reason.POLICY_GONE, Reason.BLOCKED, Reason.TAMPERED])
def test_record_that_requires_a_person_stays(reason: Reason) -> None:
    assert not prunable(dismissed(reason), before=BEFORE, now=LATER)


def test_record_with_something_outstanding_stays() -> None:
    assert not prunable(replace(dismissed(), announced=()), before=BEFORE, now=LATER)


def test_record_that_was_written_lately_stays() -> None:
    """A leak that was reported again has a new line, and no new state."""
    head = HistoryHead("20261121T100000000000", 3, "ab" * 32, LATER - timedelta(days=1))
    assert not prunable(replace(dismissed(), head=head), before=BEFORE, now=LATER)


def test_leak_of_an_ended_policy_stays_while_its_token_has_no_end() -> None:
    """Who re-creates the policy makes the token valid again ("Create a stored access policy")."""
    assert not prunable(under_policy(None), before=BEFORE, now=LATER)


def test_leak_of_an_ended_policy_stays_until_its_token_expires() -> None:
    assert not prunable(under_policy("2051-10-06T00:00:00Z"), before=BEFORE, now=LATER)
    assert prunable(under_policy("2027-01-01T00:00:00Z"), before=BEFORE, now=LATER)


def test_rejected_leak_stays_until_its_token_expires() -> None:
    """Without its record the next report would be decided as a new one, against what people decided."""
    works, over = samples.revocation(), dismissed(Reason.REJECTED)
    record = replace(works.end(Reason.REJECTED, now=NOW, detail="No."), announced=over.changes)
    credential = record.finding.credential
    assert credential is not None
    ended = replace(credential, parameters=tuple(sorted({**dict(credential.parameters), "se": "2026-12-01"}.items())))
    assert not prunable(record, before=BEFORE, now=LATER - timedelta(days=499))
    assert prunable(replace(record, finding=replace(record.finding, credential=ended)), before=BEFORE, now=LATER)
