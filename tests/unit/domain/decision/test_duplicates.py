"""What another report does to a record."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.alert import AlertReference, AlertSource
from shared.domain.approval import Approval
from shared.domain.decision.duplicates import revived, says_nothing_until, with_report
from shared.domain.execution import KeyDistribution, KeyDistributionOutcome, LockedDown, Outcome, Verification
from shared.domain.finding import Finding
from shared.domain.known_paths import KnownPaths
from shared.domain.named_alerts import MOST_LEFT_OUT, MOST_WAITING, NamedAlerts
from shared.domain.revocation import ClosedAlert, Notification, Owner, Revocation
from shared.domain.states import Reason, State
from shared.domain.target import Lockdown
from tests.support import samples
from tests.support.samples import NOW

LATER = NOW + timedelta(minutes=2)
ANOTHER = replace(samples.finding(), source="gitlab", url=None)
LOCKED = LockedDown(Lockdown.NETWORK, NOW, "{}")


def ended(reason: Reason, **changed: object) -> Revocation:
    return samples.revocation(**changed).end(reason, now=NOW, detail="")


def reported(current: Revocation, finding: Finding = ANOTHER, *, now: datetime = LATER) -> Revocation:
    noted = with_report(current, finding, now=now)
    assert noted is not None
    return noted


def test_report_from_elsewhere_is_noted() -> None:
    noted = reported(samples.revocation())

    assert [(s.source, s.url) for s in noted.sightings] == [("gitlab", None)]


def test_leak_that_is_valid_again_is_decided_on_anew_and_keeps_what_was_undone_without_its_tokens() -> None:
    execution = samples.execution()
    closed = samples.revocation(execution=execution).reach(State.CLOSED, now=NOW, detail="")
    again = revived(closed, now=LATER, detail="It is back.")

    assert (again.state, again.reason, again.execution) == (State.RECEIVED, Reason.REVIVED, None)
    assert again.undone == replace(execution, verification_tokens=())


def test_leak_that_nobody_revoked_is_valid_again_with_nothing_undone() -> None:
    assert revived(ended(Reason.POLICY_GONE), now=LATER, detail="It is back.").undone is None


@pytest.mark.parametrize("finding", [samples.finding(), replace(samples.finding(), detected_at=LATER)])
def test_same_report_again_changes_nothing(finding: Finding) -> None:
    assert with_report(samples.revocation(), finding, now=LATER) is None


def test_second_report_from_elsewhere_is_noted_once() -> None:
    assert with_report(reported(samples.revocation()), ANOTHER, now=LATER) is None


def test_leak_that_is_reported_from_everywhere_does_not_outgrow_its_record() -> None:
    record = samples.revocation()
    for number in range(50):
        record = with_report(record, replace(ANOTHER, source=str(number)), now=LATER) or record

    assert len(record.sightings) == 20


def alert(number: int) -> AlertReference:
    return AlertReference(AlertSource.GITHUB, "contoso/x", str(number))


def flooded(record: Revocation, numbers: range) -> tuple[Revocation, int]:
    """The record after a report of each of these alerts, and how often it was written."""
    writes = 0
    for number in numbers:
        joined = with_report(record, replace(ANOTHER, alert=alert(number)), now=LATER)
        record, writes = joined or record, writes + (joined is not None)
    return record, writes


def test_ten_thousand_alerts_do_not_outgrow_it_and_it_says_how_many_were_left_out() -> None:
    record, writes = flooded(samples.revocation(), range(1, 10_001))

    assert (len(record.sightings), len(record.alerts)) == (20, 20 + MOST_WAITING)
    assert (len(record.named_alerts.left_out), writes) == (MOST_LEFT_OUT, 20 + MOST_WAITING + MOST_LEFT_OUT)


def test_alert_beyond_the_places_that_are_shown_is_still_checked() -> None:
    record, _ = flooded(samples.revocation(), range(1, 22))

    assert alert(21) in record.alerts
    assert record.named_alerts.left_out == ()


def test_alert_takes_the_place_of_one_that_was_checked_although_it_was_left_out_before() -> None:
    record, _ = flooded(samples.revocation(), range(1, 20 + MOST_WAITING + 3))
    settled = [ClosedAlert(known, NOW, "It was left open.", closed=False) for known in record.named_alerts.waiting]
    freed = record.with_settled(settled, now=LATER)
    late = alert(20 + MOST_WAITING + 2)

    again = reported(freed, replace(ANOTHER, alert=late))

    assert late not in record.alerts
    assert late in again.alerts
    assert len(again.named_alerts.left_out) == len(record.named_alerts.left_out) - 1


def test_alert_that_was_checked_takes_no_place_again() -> None:
    record, _ = flooded(samples.revocation(), range(1, 22))
    settled = record.with_settled([ClosedAlert(alert(21), NOW, "It was resolved.")], now=LATER)

    assert with_report(settled, replace(ANOTHER, alert=alert(21)), now=LATER) is None


def test_further_report_without_an_alert_takes_no_place_of_one() -> None:
    record = samples.revocation()
    for number in range(50):
        record = with_report(record, replace(ANOTHER, source=str(number)), now=LATER) or record

    assert record.named_alerts == NamedAlerts()


def test_long_addresses_do_not_outgrow_it_either() -> None:
    record = samples.revocation()
    for number in range(20):
        url = f"https://git.contoso.com/{number}/".ljust(2048, "x")
        record = with_report(record, replace(ANOTHER, url=url), now=LATER) or record

    assert len(record.sightings) == 2


@pytest.mark.parametrize(
    "reason", [Reason.NO_KEY_MATCHES, Reason.POLICY_GONE, Reason.POLICY_EXPIRED, Reason.BLOCKED, Reason.NOT_OURS]
)
def test_record_without_an_execution_is_reopened(reason: Reason) -> None:
    assert reported(ended(reason)).state is State.RECEIVED


def test_observed_record_is_reopened() -> None:
    record = samples.revocation().reach(State.OBSERVED, now=NOW, detail="")

    assert reported(record).state is State.RECEIVED


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.COVERED, Reason.REJECTED, Reason.OTHER_SERVICE])
def test_what_is_certain_stays_ended(reason: Reason) -> None:
    record = ended(reason)

    assert reported(record).state is record.state


def test_what_is_being_decided_goes_on_being_decided() -> None:
    record = samples.revocation().reach(State.AWAITING_APPROVAL, now=NOW, detail="")

    assert reported(record).state is State.AWAITING_APPROVAL


def test_report_within_a_minute_is_the_same_report() -> None:
    assert reported(ended(Reason.NO_KEY_MATCHES), now=NOW + timedelta(minutes=1)).state is State.UNRESOLVED


def test_executed_record_is_not_reopened() -> None:
    record = ended(Reason.STILL_ALIVE, execution=samples.execution())

    assert reported(record).state is State.FAILED


def test_record_of_an_undone_lockdown_is_reopened() -> None:
    record = ended(
        Reason.LOCKDOWN_UNDONE,
        execution=samples.execution(),
        verification=Verification(Outcome.ARM_ONLY, NOW, ()),
        lockdown=replace(LOCKED, undone_at=NOW),
    )

    anew = reported(record)

    assert (anew.state, anew.execution, anew.verification, anew.lockdown) == (State.RECEIVED, None, None, None)


def test_way_back_from_a_lockdown_that_stands_is_never_lost() -> None:
    assert reported(ended(Reason.BLOCKED, lockdown=LOCKED)).lockdown == LOCKED


def test_reopened_record_keeps_its_notifications_alone() -> None:
    record = ended(
        Reason.NO_KEY_MATCHES,
        key_name="key2",
        key_sha256="0" * 64,
        attributed_at=NOW,
        decided_by="approved",
        plan=samples.plan(),
        deadline=LATER,
        approval=samples.approval("d" * 64),
        liveness=samples.liveness(False),
        key_distribution=KeyDistribution(KeyDistributionOutcome.NOT_ASKED, NOW, "No tag names a secret."),
        owners=(Owner("a@contoso.com", None, "tag owner"),),
        owners_rejected=("b@example.com",),
        account_lookups=1,
        notifications=(Notification(State.FAILED, ("a@contoso.com",), NOW),),
    )

    anew = reported(record)

    assert replace(anew, changes=(), sightings=(), detail="") == Revocation(
        record.finding, NOW, notifications=record.notifications
    )


@pytest.mark.parametrize("second", [None, samples.approval("d" * 64)])
def test_first_approval_is_kept_unless_it_was_used(second: Approval | None) -> None:
    first = replace(samples.approval("d" * 64), reason="The first")
    anew = reported(ended(Reason.NO_KEY_MATCHES, first_approval=first, approval=second))

    assert (anew.first_approval, anew.approval) == (first if second is None else None, None)


def rejected(**changed: object) -> Revocation:
    return ended(Reason.REJECTED, paths=KnownPaths(verified=True), **changed)


@pytest.mark.parametrize("finding", [ANOTHER, samples.finding()], ids=["from elsewhere", "the same report"])
def test_people_are_to_hear_that_a_rejected_leak_is_reported_again(finding: Finding) -> None:
    again = reported(rejected(), finding)

    assert (again.state, again.reason, again.reported_again_at) == (State.DISMISSED, Reason.REJECTED, LATER)


@pytest.mark.parametrize(
    ("finding", "after", "again"),
    [
        (ANOTHER, timedelta(hours=24), False),
        (ANOTHER, timedelta(hours=25), True),
        (samples.finding(), timedelta(days=7), False),
        (samples.finding(), timedelta(days=8), True),
    ],
)
def test_they_hear_of_a_new_place_once_a_day_and_of_the_same_report_once_a_week(
    finding: Finding, after: timedelta, *, again: bool
) -> None:
    record = with_report(rejected(reported_again_at=NOW), finding, now=NOW + after)

    assert (record is not None and record.reported_again_at == NOW + after) is again


def test_report_just_after_the_rejection_is_the_one_that_was_rejected() -> None:
    assert with_report(rejected(), samples.finding(), now=NOW + timedelta(seconds=30)) is None


@pytest.mark.parametrize(("alive", "is_kept"), [(True, True), (False, False), (None, False)])
def test_that_azure_accepted_the_token_once_stays_known(alive: bool | None, is_kept: bool) -> None:
    said = samples.liveness(alive)

    assert (reported(ended(Reason.NO_KEY_MATCHES, liveness=said)).liveness == said) is is_kept


def test_alert_about_a_known_leak_is_noted_once_so_that_it_is_closed_in_the_end() -> None:
    same_place = replace(samples.finding(), alert=samples.ALERT)
    noted = reported(samples.revocation(), same_place)

    assert noted.alerts == (samples.ALERT,)
    assert with_report(noted, same_place, now=LATER) is None


@pytest.mark.parametrize(
    ("current", "seconds"),
    [
        (samples.revocation(), 30),
        (ended(Reason.NO_KEY_MATCHES), 30),
        (ended(Reason.EXPIRED), 30),
    ],
    ids=["being decided", "may be reopened, in a minute", "never reopened"],
)
def test_same_report_says_nothing_for_half_a_minute(current: Revocation, seconds: int) -> None:
    assert says_nothing_until(current, now=NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("age", [31, 59, 60, 90])
def test_what_may_be_reopened_sooner_is_reported_anew_then(age: int) -> None:
    now = NOW + timedelta(seconds=age)

    assert says_nothing_until(ended(Reason.NO_KEY_MATCHES), now=now) == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("age", [31, 59, 60, 90])
def test_repeat_within_the_time_in_which_it_says_nothing_reopens_nothing(age: int) -> None:
    current, now = ended(Reason.NO_KEY_MATCHES), NOW + timedelta(seconds=age)
    last = says_nothing_until(current, now=now)

    assert last <= now or with_report(current, samples.finding(), now=last) is None


# Evidence


def evidence(seen_at: datetime) -> Finding:
    """The finding of an alert about one token, seen in use then."""
    found = samples.evidence(seen_at=seen_at)
    return Finding.of_evidence(found, source="defender", url=None, detected_at=NOW, alert=None)


def test_token_that_was_seen_later_than_first_reported_is_no_longer_covered() -> None:
    """A forged report that comes first, with a time before the key was made, must not bury the real one."""
    covered = Revocation.of(evidence(NOW - timedelta(days=400)), now=NOW).end(Reason.COVERED, now=NOW, detail="")
    later = evidence(NOW - timedelta(hours=1))
    joined = with_report(covered, later, now=NOW)
    assert joined is not None
    assert (joined.state, joined.finding.evidence) == (State.RECEIVED, later.evidence)


def test_token_that_was_seen_earlier_stays_covered() -> None:
    covered = Revocation.of(evidence(NOW - timedelta(hours=1)), now=NOW).end(Reason.COVERED, now=NOW, detail="")
    joined = with_report(covered, evidence(NOW - timedelta(days=400)), now=NOW)
    assert joined is None or joined.finding.evidence == covered.finding.evidence
