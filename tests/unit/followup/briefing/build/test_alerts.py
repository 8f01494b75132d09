"""What an alert says, and alerts of other tools."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.named_alerts import MOST_LEFT_OUT, NamedAlerts
from shared.domain.revocation import ClosedAlert
from shared.domain.states import State
from shared.followup.briefing.model import Briefing, TimelineEntry
from shared.followup.mail.compose import compose
from tests.support import samples
from tests.support.built_briefings import briefed, contained
from tests.support.samples import NOW


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


def test_an_alert_that_was_left_open_is_an_open_point_with_its_reason() -> None:
    left = ClosedAlert(samples.ALERT, NOW, "It was left open: its secret is another one.", closed=False)
    shown = briefed(state=State.CLOSED, closed_alerts=(left,))

    assert left.said in shown.open_points


@pytest.mark.parametrize(("left_out", "number"), [(3, "3"), (MOST_LEFT_OUT, f"At least {MOST_LEFT_OUT}")])
def test_alerts_that_found_no_place_are_counted(left_out: int, number: str) -> None:
    named = NamedAlerts(left_out=tuple(f"{number:016x}" for number in range(left_out)))
    shown = briefed(state=State.CLOSED, named_alerts=named)

    assert f"{number} more alerts were reported than Sasquash checks at a time. They were left open." in (
        shown.open_points
    )


def test_of_many_open_alerts_the_first_are_listed_and_the_rest_is_counted() -> None:
    named = NamedAlerts(tuple(replace(samples.ALERT, alert=str(number)) for number in range(1, 46)))
    points = contained(state=State.PROVEN, named_alerts=named).open_points

    assert sum(str(point).startswith("Alert not closed yet") for point in points) == 20
    assert "25 more alerts are not closed yet." in points


def test_an_alert_that_is_still_open_where_it_was_reported_is_an_open_point_and_a_closed_one_is_history() -> None:
    finding = replace(samples.finding(), alert=samples.ALERT)
    still_open = contained(state=State.PROVEN, finding=finding)
    closed = contained(
        state=State.PROVEN, finding=finding, closed_alerts=(ClosedAlert(samples.ALERT, NOW, "It was resolved."),)
    )

    assert "Alert not closed yet: GitHub alert 42 of contoso/x." in still_open.open_points
    assert closed.open_points == ()
    assert TimelineEntry(NOW, "It was resolved") in closed.timeline
