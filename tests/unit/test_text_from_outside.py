"""Text from outside never becomes code, a link or a button, in no channel.

Each property takes a record in which every text that a stranger can choose is hostile, the sentences of ours that may
quote one included, and parses what people and their programs get of it.
"""

import json
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.revocations import rendering
from shared.domain.history import HistoryEntry
from shared.domain.message import Message
from shared.domain.revocation import Revocation
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.summary_line import SummaryLine
from shared.followup.alert_closing import comment
from shared.followup.briefing.build import brief
from shared.followup.briefing.group import brief_group, where
from shared.followup.briefing.model import Briefing
from shared.followup.incidents import sentinel, sharepoint, webhook
from shared.followup.incidents.defender import DefenderIncidents
from shared.followup.mail.compose import compose
from shared.followup.mail.refused import RefusedGroups
from shared.followup.mail.reminder import compose_reminder, compose_rest, compose_unconfirmed
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from tests.support.briefings import SECURITY
from tests.support.foreign_text import (
    ATTACKS,
    FILLED,
    MARK,
    ORIGINS,
    attacks,
    fields_with_text,
    hostile,
    records,
    with_hostile_policy,
)
from tests.support.harmless import Page, check_inert, check_page, check_text, codes_in, is_ours
from tests.support.samples import NOW

CONSOLE = "https://app.example/api/desk"
RECORDS = records()
STATES = (*((state, None) for state in State), *((STATE_OF[reason], reason) for reason in Reason))


def record_of(name: str, text: str, state: State = State.PROVEN, reason: Reason | None = None) -> Revocation:
    """The record of that name in a state, with `text` wherever a stranger can put one."""
    record = replace(with_hostile_policy(RECORDS[name], text), state=state, reason=reason)
    return hostile(record, text)


a_record = st.builds(
    lambda name, text, state: record_of(name, text, *state),
    st.sampled_from(sorted(RECORDS)),
    attacks(),
    st.sampled_from(STATES),
)


def test_each_text_of_a_record_has_an_origin() -> None:
    """A new field of a dataclass has to be listed: can a stranger choose it?"""
    assert fields_with_text(Revocation) == set(ORIGINS)


def test_each_text_of_a_stranger_is_in_the_records() -> None:
    filled: set[str] = set()
    for name in RECORDS:
        hostile(with_hostile_policy(RECORDS[name], "x"), "x", filled)

    assert filled == FILLED


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("name", sorted(RECORDS))
def test_attack_is_text_in_a_mail(name: str, text: str) -> None:
    record = record_of(name, text)

    check_page(mail(record), links={link(record)})


@given(a_record)
def test_no_text_becomes_code_or_a_link_in_a_mail(record: Revocation) -> None:
    check_page(mail(record), links={link(record)})


def mail(record: Revocation) -> Message:
    return compose(brief(record, now=NOW), to=("ada@contoso.com",), security_mailbox=SECURITY, console=CONSOLE)


def link(record: Revocation) -> str:
    return f"{CONSOLE}#/record/{record.fingerprint}"


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_word_of_any_length_is_broken_in_a_mail(name: str) -> None:
    """Without it, one file name makes all of the mail as wide as itself."""
    message = mail(record_of(name, "w" * 3000))

    assert {
        style for style, text in Page.of(message).styled if "w" * 100 in text and "word-break" not in style
    } == set()


@given(a_record)
def test_no_text_becomes_code_or_a_link_in_the_summary_mail(record: Revocation) -> None:
    tally = Tally.of([SummaryLine.of(record)])
    worst = [brief(record, now=NOW)]
    check_page(compose_summary(tally, security_mailbox=SECURITY, worst=worst), links=set())


def reminders(record: Revocation) -> Iterator[Message]:
    """Yield each mail that people may get about a record that is refused."""
    made_up = replace(record, key_name=None, plan=None, execution=None, liveness=None, first_approval=None)
    made_up = replace(made_up, rejections=(), evidence_check=None, finding=replace(record.finding, order=None))
    groups = RefusedGroups.of([record, made_up], now=NOW + timedelta(days=2))
    for group in groups.confirmed:
        yield compose_reminder(group, security_mailbox=SECURITY, console=CONSOLE)
    yield compose_rest(groups.confirmed, beyond=1, security_mailbox=SECURITY, console=CONSOLE)
    yield compose_unconfirmed(groups.unconfirmed, beyond=1, security_mailbox=SECURITY, console=CONSOLE)


@given(st.sampled_from(sorted(RECORDS)), attacks())
def test_no_text_becomes_code_or_a_link_in_a_reminder(name: str, text: str) -> None:
    record = record_of(name, text, State.FAILED, Reason.BLOCKED)
    for message in reminders(record):
        check_page(message, links={link(record)})


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_word_of_any_length_is_broken_in_a_reminder(name: str) -> None:
    for message in reminders(record_of(name, "w" * 3000, State.FAILED, Reason.BLOCKED)):
        shown = Page.of(message).styled
        assert [text for style, text in shown if "w" * 50 in text and "word-break" not in style] == []


@given(a_record, st.integers(1, 3))
def test_no_text_becomes_markup_in_an_incident_that_findings_share(record: Revocation, total: int) -> None:
    line = SummaryLine.of(record)
    group = brief_group(
        "ab" * 32,
        worst_open=[line] * total,
        places=Counter({where(line): total}),
        total=total,
        worst=record,
        kind=line,
        now=NOW,
    )
    for text in sharepoint._columns(group).values():
        check_inert(text)


class Graph:
    """Takes what would be sent to Graph, without a network."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def call(self, method: str, path: str, *, body: dict[str, Any] | None = None, **_: object) -> object:
        self.bodies.append(body or {})
        return {"incidentId": "7"}


def run[T](coroutine: Coroutine[object, None, T]) -> T:
    """Return the result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")


def incident_texts(briefing: Briefing) -> Iterator[str]:
    """Yield each text that a sink of incidents gets."""
    yield from sharepoint._columns(briefing).values()
    yield from texts_in(sentinel._body(briefing, {}, may_open=True))
    yield from texts_in(webhook._body("incident.filed", briefing)["incident"])
    graph = Graph()
    run(DefenderIncidents(graph).file(briefing))  # type: ignore[arg-type]
    yield from texts_in([body for body in graph.bodies if body])


def texts_in(value: object) -> Iterator[str]:
    match value:
        case str() if not value.startswith("microsoft.graph."):
            yield value
        case dict():
            for each in value.values():
                yield from texts_in(each)
        case list() | tuple():
            for each in value:
                yield from texts_in(each)


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("name", sorted(RECORDS))
def test_attack_is_text_in_an_incident(name: str, text: str) -> None:
    for shown in incident_texts(brief(record_of(name, text), now=NOW)):
        check_inert(shown)


@given(a_record)
def test_no_text_becomes_code_or_a_link_in_an_incident(record: Revocation) -> None:
    for text in incident_texts(brief(record, now=NOW)):
        check_inert(text)


@given(st.sampled_from(sorted(RECORDS)), attacks(), st.sampled_from(STATES))
def test_no_text_adds_a_line_to_an_incident(name: str, text: str, state: tuple[State, Reason | None]) -> None:
    benign, attacked = (
        [shown.count("\n") for shown in incident_texts(brief(record_of(name, each, *state), now=NOW))]
        for each in ("word.pkl", f"a{text}")
    )

    # The benign name has every line: of a file that runs, and a command that can be pasted into a shell.
    assert all(lines <= benign_lines for lines, benign_lines in zip(attacked, benign, strict=True))


@given(a_record)
def test_comment_on_a_closed_alert_is_inert(record: Revocation) -> None:
    check_inert(comment(record))


@given(a_record)
def test_api_has_only_commands_of_ours_as_code(record: Revocation) -> None:
    text = record.finding.source
    history = [HistoryEntry(NOW, text, record.state, text, text)]

    answer = json.loads(msgspec.json.encode(rendering.whole(record, now=NOW, history=history)))

    codes = list(codes_in(answer))
    assert [code for code in codes if not is_ours(code) or MARK in code] == []
    assert {"remains"} >= {name for name, value in answer.items() if list(codes_in(value))}


@given(a_record)
def test_what_the_api_says_of_a_leak_is_harmless(record: Revocation) -> None:
    """It is computed of the leak's own parameters, and not stored."""
    leak = rendering.whole(record, now=NOW).leak

    for text in (leak.grants, *leak.reasons, *leak.notes) if leak is not None else ():
        check_text(text)


def test_text_of_a_page_is_unescaped_once() -> None:
    """The checks see what a reader sees: an entity in a text is shown as it was written."""
    message = mail(record_of("key", "&#96;x&#96;"))

    assert "&#96;x&#96;" in "".join(Page.of(message).text)
    assert "`" not in unescape(message.html)
