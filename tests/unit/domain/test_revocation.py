from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from shared.domain.execution import Outcome, Verification
from shared.domain.named_alerts import NamedAlerts
from shared.domain.revocation import Change, ClosedAlert, Filed, Notification, Owner, Revocation, Sighting, StepLease
from shared.domain.states import REOPENED_BY_A_NEW_REPORT, STATE_OF, Reason, State
from tests.support import samples
from tests.support.samples import KEYS, NOW

LATER = NOW + timedelta(seconds=2)


def test_record_of_an_earlier_version_is_read_without_the_fields_about_alerts_that_were_left_open() -> None:
    closed = {"alert": {"source": "github", "place": "contoso/x", "alert": "42"}, "at": NOW, "said": "Closed."}
    stored = msgspec.json.decode(msgspec.json.encode(samples.revocation()))
    del stored["named_alerts"]

    assert msgspec.json.decode(msgspec.json.encode(closed), type=ClosedAlert).closed
    assert msgspec.json.decode(msgspec.json.encode(stored), type=Revocation).named_alerts == NamedAlerts()


def test_a_record_begins_as_received() -> None:
    record = Revocation.of(samples.finding(), now=NOW)

    assert (record.state, record.reason, record.received_at) == (State.RECEIVED, None, NOW)
    assert record.reached(State.RECEIVED) == NOW


def test_a_record_has_the_identity_of_its_finding() -> None:
    assert samples.revocation().fingerprint == samples.finding().fingerprint


def test_a_record_keeps_every_state_that_it_reached_in_order() -> None:
    record = Revocation.of(samples.finding(), now=NOW)
    moved = record.reach(State.CONTAINED, now=LATER, detail="done").reach(State.PROVEN, now=LATER, detail="verified")

    assert [change.state for change in moved.changes] == [State.RECEIVED, State.CONTAINED, State.PROVEN]
    assert (moved.state, moved.detail) == (State.PROVEN, "verified")


def test_reaching_a_state_leaves_the_record_before_it_alone() -> None:
    record = Revocation.of(samples.finding(), now=NOW)
    record.reach(State.CONTAINED, now=LATER, detail="")

    assert record == Revocation.of(samples.finding(), now=NOW)


def test_a_record_that_is_opened_again_forgets_why_it_had_ended() -> None:
    ended = Revocation.of(samples.finding(), now=NOW).end(Reason.LOOSE, now=NOW, detail="")

    assert ended.reach(State.RECEIVED, now=LATER, detail="again").reason is None


def test_a_state_reached_twice_was_reached_the_last_time() -> None:
    record = Revocation.of(samples.finding(), now=NOW).reach(State.RECEIVED, now=LATER, detail="again")

    assert record.reached(State.RECEIVED) == LATER


def test_a_state_that_was_not_reached_has_no_time() -> None:
    assert Revocation.of(samples.finding(), now=NOW).reached(State.PROVEN) is None


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_ends_a_record_in_its_state(reason: Reason) -> None:
    ended = Revocation.of(samples.finding(), now=NOW).end(reason, now=LATER, detail="why")

    assert (ended.state, ended.reason, ended.detail) == (STATE_OF[reason], reason, "why")


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.EXPIRED, State.DISMISSED),
        (Reason.COVERED, State.DISMISSED),
        (Reason.NOT_OURS, State.DISMISSED),
        (Reason.INVALID, State.DISMISSED),
        (Reason.NO_KEY_MATCHES, State.UNRESOLVED),
        (Reason.UNKNOWN_VERSION, State.UNRESOLVED),
        (Reason.PATH_LOST, State.UNRESOLVED),
        (Reason.LOOSE, State.UNRESOLVED),
        (Reason.NOT_COVERED, State.UNRESOLVED),
        (Reason.BLOCKED, State.FAILED),
    ],
)
def test_reasons_stand_where_the_design_puts_them(reason: Reason, state: State) -> None:
    assert STATE_OF[reason] is state


def test_only_what_is_certain_or_decided_by_a_person_or_elsewhere_dismisses() -> None:
    dismissing = {reason for reason, state in STATE_OF.items() if state is State.DISMISSED}
    certain = {Reason.EXPIRED, Reason.COVERED, Reason.NOT_OURS, Reason.INVALID}

    assert dismissing == certain | {Reason.REJECTED, Reason.DUPLICATE}


@pytest.mark.parametrize("state", [State.CONTAINED, State.PROVEN, State.CLOSED, State.AWAITING_APPROVAL])
def test_a_new_report_does_not_reopen_what_was_done_or_is_being_decided(state: State) -> None:
    assert state not in REOPENED_BY_A_NEW_REPORT


def test_a_leak_that_is_reopened_every_minute_does_not_outgrow_its_record() -> None:
    record = samples.revocation()
    for _ in range(1000):
        record = record.reach(State.RECEIVED, now=NOW, detail="").end(Reason.NO_KEY_MATCHES, now=LATER, detail="")

    assert len(record.changes) == 30
    assert record.changes[-1] == Change(State.UNRESOLVED, LATER, Reason.NO_KEY_MATCHES)


def test_a_record_survives_its_json() -> None:
    execution = samples.execution(samples.verification_token(accepted_before=True))
    record = samples.revocation(
        state=State.PROVEN,
        account=samples.account(tags={"owner": "a@contoso.com"}, secondary=True),
        plan=samples.plan(),
        deadline=LATER,
        execution=execution,
        verification=Verification(Outcome.PROVEN, LATER, ("refused",)),
        filed=Filed("7", State.FAILED, Reason.BLOCKED),
        notifications=(Notification(State.FAILED, ("a@contoso.com",), LATER, Reason.BLOCKED),),
        announced=(Change(State.FAILED, NOW, Reason.BLOCKED),),
        leases=(StepLease("mail", LATER),),
        owners=(Owner("a@contoso.com", None, "tag owner"),),
        sightings=(Sighting("gitlab", None, NOW),),
    )

    assert msgspec.json.decode(msgspec.json.encode(record), type=Revocation) == record


def test_verification_token_hides_its_query_in_repr() -> None:
    token = samples.verification_token()
    record = samples.revocation(execution=samples.execution(token))

    assert token.query.partition("sig=")[2] not in f"{token} {token!r} {record}"


def test_a_record_shows_no_key_and_no_leaked_signature() -> None:
    record = samples.revocation(plan=samples.plan(), account=samples.account(), execution=samples.execution())

    signature = samples.account_sas().partition("sig=")[2].split("&")[0]
    assert signature not in repr(record)
    assert not any(key.rstrip("=") in repr(record) for key in KEYS.values())


def test_a_changed_record_is_another_one() -> None:
    record = samples.revocation()

    with pytest.raises(AttributeError):
        record.state = State.CLOSED  # type: ignore[misc]
    assert replace(record, state=State.CLOSED).state is State.CLOSED
