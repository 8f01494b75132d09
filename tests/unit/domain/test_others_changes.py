"""What somebody else did to a leak's key or policy, and when it is looked up who it was."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.changed_by import Unknown
from shared.domain.decision.duplicates import revived
from shared.domain.others_changes import lookup_due_in, others_change
from shared.domain.revocation import ForeignChange, Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.domain.text import RichText
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(days=1)
OURS = replace(samples.execution(), action=ActionKind.STORED_POLICY, target=str(samples.POLICY))


def by_hand() -> Revocation:
    record = samples.revocation(
        account=samples.account(),
        execution=samples.execution(confirmed_by="others"),
        signer=samples.SIGNER,
    )
    return record.reach(State.CONTAINED, now=LATER, detail="")


def put_back() -> Revocation:
    closed = samples.revocation(account=samples.account(), execution=OURS).reach(State.CLOSED, now=NOW, detail="")
    again = revived(closed, now=LATER, detail="")
    return replace(again, execution=OURS).reach(State.CONTAINED, now=LATER, detail="")


def test_rotation_by_hand_was_after_the_leak_was_verified() -> None:
    change = others_change(by_hand())
    assert change is not None
    assert (change.since, change.is_undoing, change.own) == (samples.SIGNER.at, False, ())


def test_revival_was_after_our_execution_which_is_not_somebody_elses_nor_is_the_next_one() -> None:
    change = others_change(put_back())
    assert change is not None
    assert (change.since, change.is_undoing) == (OURS.at, True)
    assert change.own == (replace(OURS, verification_tokens=()), OURS)


@pytest.mark.parametrize("record", [samples.revocation(), samples.revocation(execution=samples.execution())])
def test_record_that_nobody_else_touched_is_not_looked_up(record: Revocation) -> None:
    assert (others_change(record), lookup_due_in(record, now=LATER)) == (None, None)


def known(record: Revocation, unknown: Unknown | None, *, at: datetime) -> Revocation:
    change = others_change(record)
    assert change is not None
    return replace(record, changed_by=ForeignChange(change.known, at, RichText.of("Who."), unknown))


@pytest.mark.parametrize("record", [by_hand(), put_back()])
def test_it_is_looked_up_at_once_and_once_more_when_the_logs_have_it(record: Revocation) -> None:
    lag = timedelta(minutes=20)
    assert lookup_due_in(record, now=LATER) == 0.0
    early = known(record, Unknown.NOT_FOUND, at=LATER)
    assert [lookup_due_in(early, now=LATER + wait) for wait in (timedelta(0), lag, 2 * lag)] == [1200.0, 0.0, 0.0]
    assert lookup_due_in(known(record, Unknown.NOT_FOUND, at=LATER + lag), now=LATER + lag) is None


@pytest.mark.parametrize("unknown", [None, Unknown.NO_LOGS, Unknown.NOT_READABLE, Unknown.AMBIGUOUS])
def test_what_does_not_change_is_looked_up_once(unknown: Unknown | None) -> None:
    assert lookup_due_in(known(by_hand(), unknown, at=LATER), now=LATER + timedelta(hours=1)) is None


def test_another_revival_is_looked_up_anew() -> None:
    first = known(put_back(), None, at=LATER)
    second = revived(first.reach(State.CLOSED, now=LATER, detail=""), now=LATER + timedelta(days=1), detail="")
    again = replace(second, execution=OURS).reach(State.CONTAINED, now=LATER + timedelta(days=1), detail="")
    assert lookup_due_in(again, now=LATER) == 0.0


def test_nothing_is_looked_up_before_the_record_is_decided() -> None:
    closed = samples.revocation(account=samples.account(), execution=OURS).reach(State.CLOSED, now=NOW, detail="")
    assert lookup_due_in(revived(closed, now=LATER, detail=""), now=LATER) is None
