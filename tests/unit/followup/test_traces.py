"""One trace a leak: its spans, and that repetitions are one span."""

from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from shared.domain.revocation import Change, Notification, Revocation
from shared.domain.states import Reason, State
from shared.followup.traces import Traces
from tests.support import samples
from tests.support.samples import NOW

SECOND = timedelta(seconds=1)


def record(*changes: Change, **changed: object) -> Revocation:
    """A record that was received at NOW and went through these states."""
    made = samples.revocation(**changed)
    return replace(made, received_at=NOW, changes=(Change(State.RECEIVED, NOW), *changes))


CONTAINED, PROVEN = Change(State.CONTAINED, NOW + 2 * SECOND), Change(State.PROVEN, NOW + 5 * SECOND)


def sent(revocation: Revocation, *changes: Change, mailed: Notification | None = None) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    traces = Traces(exporter)
    traces.reached(revocation, changes)
    if mailed is not None:
        traces.mailed(revocation, mailed)
    traces.flush()
    return list(exporter.get_finished_spans())


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_state_says_how_long_it_took_from_the_receipt() -> None:
    spans = sent(record(CONTAINED, PROVEN), CONTAINED, PROVEN)

    assert [(span.name, seconds(span)) for span in spans] == [("finding", 2.0), ("contained", 2.0), ("proven", 5.0)]


def test_what_waited_for_a_person_counts_from_their_yes() -> None:
    asked, yes = Change(State.AWAITING_APPROVAL, NOW + SECOND), NOW + timedelta(hours=3)
    contained = Change(State.CONTAINED, yes + 2 * SECOND)
    approved = replace(samples.approval("digest"), at=yes)

    spans = sent(record(asked, contained, approval=approved), asked, contained)

    assert [(span.name, seconds(span)) for span in spans] == [
        ("finding", 1.0),
        ("awaiting_approval", 1.0),
        ("contained", 2.0),
    ]


def test_a_record_that_was_opened_again_counts_from_then() -> None:
    ended = Change(State.UNRESOLVED, NOW + SECOND, Reason.POLICY_GONE)
    again = Change(State.RECEIVED, NOW + timedelta(days=3))
    contained = Change(State.CONTAINED, again.at + 2 * SECOND)

    assert [seconds(span) for span in sent(record(ended, again, contained), contained)] == [2.0]


def test_all_are_of_one_trace_below_the_finding() -> None:
    mail_sent = Notification(State.PROVEN, ("owner@contoso.com",), NOW + 6 * SECOND)

    root, *others = sent(record(CONTAINED, PROVEN), CONTAINED, PROVEN, mailed=mail_sent)

    assert root.parent is None
    assert root.kind is SpanKind.CONSUMER
    assert {span.context.trace_id for span in (root, *others) if span.context} == {root.context.trace_id}
    assert {span.parent.span_id for span in others if span.parent} == {root.context.span_id}
    assert len(others) == 3


def test_the_finding_is_sent_with_the_first_decision_only() -> None:
    assert [span.name for span in sent(record(CONTAINED, PROVEN), PROVEN)] == ["proven"]


def test_finding_is_sent_once_although_a_later_instance_has_an_earlier_clock() -> None:
    proven = replace(PROVEN, at=CONTAINED.at - SECOND)

    assert [span.name for span in sent(record(CONTAINED, proven), CONTAINED, proven)] == [
        "finding",
        "contained",
        "proven",
    ]


def test_mail_span_lasts_from_the_state_to_the_mail() -> None:
    mail_sent = Notification(State.PROVEN, ("owner@contoso.com",), NOW + 6 * SECOND)

    [*_, mail] = sent(record(CONTAINED, PROVEN), mailed=mail_sent)

    assert (mail.name, seconds(mail)) == ("mail", 1.0)


def test_repetition_is_one_span() -> None:
    once, again = (sent(record(CONTAINED, PROVEN), CONTAINED, PROVEN) for _ in range(2))

    assert [span.context for span in once] == [span.context for span in again]
    assert len({span.context.span_id for span in once if span.context}) == 3


def test_two_plans_that_wait_for_a_person_are_two_spans() -> None:
    asked = [Change(State.AWAITING_APPROVAL, NOW + n * SECOND) for n in (1, 9)]

    spans = sent(record(*asked), *asked)

    assert [span.name for span in spans] == ["finding", "awaiting_approval", "awaiting_approval"]
    assert spans[1].context != spans[2].context


@pytest.mark.parametrize(
    ("state", "reason", "well"),
    [
        (State.FAILED, Reason.BLOCKED, False),
        (State.UNRESOLVED, Reason.NO_KEY_MATCHES, False),
        (State.PROVEN, None, True),
    ],
)
def test_what_needs_a_person_is_not_well(state: State, reason: Reason | None, well: bool) -> None:
    change = Change(state, NOW + SECOND, reason)

    [root, span] = sent(record(change), change)

    assert [each.status.is_ok for each in (root, span)] == [well, well]
    assert (span.attributes or {})["sasquash.reason"] == (reason or "")


def test_a_span_says_whose_leak_it_is_and_nothing_that_could_be_used() -> None:
    hostile = replace(samples.finding(), source=f"scanner\n{samples.account_sas()}")
    change = CONTAINED

    [_, span] = sent(replace(record(change), finding=hostile), change)

    attributes = dict(span.attributes or {})
    signature = samples.account_sas().partition("sig=")[2].partition("&")[0]
    assert attributes["sasquash.fingerprint"] == hostile.fingerprint
    assert signature not in str(attributes)
    assert "\n" not in str(attributes["sasquash.source"])
