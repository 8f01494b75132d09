"""What Sasquash itself writes is scanned as well, and must yield nothing: else each notice would be a new leak.

The mail, the digest, the incident, the comment at the source, the announcement, the API's answer, the log.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import redaction
from shared.api.intake.registry import TEXT_READERS
from shared.api.revocations import rendering
from shared.domain.alert import cleaned
from shared.domain.execution import Outcome, Verification
from shared.domain.refusal import Refusal
from shared.domain.revocation import Change, Revocation, Sighting
from shared.domain.states import Reason, State
from shared.domain.summary_line import SummaryLine
from shared.followup.alert_closing import comment
from shared.followup.briefing.build import brief
from shared.followup.events import Announcement
from shared.followup.incidents.sharepoint import _columns
from shared.followup.mail.compose import compose
from shared.followup.mail.refused import RefusedGroups
from shared.followup.mail.reminder import compose_rest
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from shared.persistence.revocations import _first_line
from shared.sas import extract
from shared.sources import generic
from shared.sources.parsing import Result, items_of
from tests.support import samples
from tests.support.samples import NOW

LEAKS = [
    samples.account_sas(),
    samples.blob_sas(),
    samples.queue_sas(),
    samples.policy_sas(),
    samples.delegation_sas(),
    samples.connection_string(),
    f"AccountName={samples.ACCOUNT};AccountKey={samples.KEYS['key1']}",
]
MAILBOX = "security@contoso.com"


def records(leak: str) -> Iterator[Revocation]:
    """A leak in every state with a notice, with the leak itself in every text that came from outside."""
    finding = replace(
        samples.finding(leak),
        source=redaction.redact(leak),
        url=redaction.redact(leak),
        reason=redaction.redact(leak),
    )
    record = replace(
        samples.revocation(finding=finding),
        account=samples.account(tags={"sasquash-owner": leak[:250]}),
        plan=samples.plan(),
        sightings=(Sighting(redaction.redact(leak), redaction.redact(leak), NOW),),
        owners_rejected=(cleaned(leak),),
    )
    revoked = replace(
        record,
        execution=samples.execution(),
        verification=Verification(Outcome.PROVEN, NOW, ("Refused.",)),
        key_name="key2",
    )
    yield record.reach(State.OBSERVED, now=NOW, detail="Would have acted.")
    yield record.reach(State.AWAITING_APPROVAL, now=NOW, detail="A person decides.")
    yield revoked.reach(State.CONTAINED, now=NOW, detail="Done.")
    yield revoked.reach(State.PROVEN, now=NOW, detail="Done.")
    for reason in (Reason.BLOCKED, Reason.NO_KEY_MATCHES, Reason.COVERED, Reason.UNREAD):
        yield record.end(reason, now=NOW, detail="So it is.")


def notices(record: Revocation) -> Iterator[tuple[str, str]]:
    """Every text that is written about a record, by what it is."""
    briefing = brief(record, now=NOW)
    message = compose(briefing, to=["model-owner@contoso.com"], security_mailbox=MAILBOX)
    yield "mail", message.html
    yield "mail as text", unescape(re.sub(r"<[^>]+>", " ", message.html))
    yield "subject", message.subject
    yield "digest", compose_summary(Tally.of([SummaryLine.of(record)]), security_mailbox=MAILBOX).html
    refused = replace(record, state=State.FAILED, reason=Reason.BLOCKED, refusal=Refusal(record.detail, NOW, NOW))
    groups = RefusedGroups.of([refused], now=NOW + timedelta(days=1))
    reminder = compose_rest([*groups.confirmed, *groups.unconfirmed], beyond=1, security_mailbox=MAILBOX)
    yield "reminder", reminder.html
    yield "incident", "\n".join(_columns(briefing).values())
    yield "incident as JSON", json.dumps(_columns(briefing))
    yield "comment", comment(record)
    change = Change(record.state, NOW, record.reason)
    yield "announcement", json.dumps(Announcement(record, change).to_event().data)
    yield "answer", msgspec.json.encode(rendering.whole(replace(record, account=None), now=NOW)).decode()
    yield "history", _first_line(record.finding)


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
def test_no_notice_holds_anything_that_can_be_found_in_it(leak: str) -> None:
    assert extract(leak)  # else nothing would be shown
    for record in records(leak):
        assert {what: extract(text) for what, text in notices(record) if extract(text)} == {}


END = {"line": 9999}
MASKING = {"detect-secrets", "trivy"}  # what they report has no text


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
@pytest.mark.parametrize("source", sorted({*TEXT_READERS, "generic"} - MASKING))
def test_a_notice_that_a_scanner_reports_is_no_finding(leak: str, source: str) -> None:
    [*_, revoked, _, _, _, _] = records(leak)
    for _, text in notices(revoked):
        body = {
            "trufflehog": json.dumps({"Raw": text, "RawV2": text}),
            "gitleaks": json.dumps([{"Match": text, "Secret": text}]),
            "sarif": json.dumps({"runs": [{"results": [{"message": {"text": text}}]}]}),
            "ggshield": json.dumps(
                {"entities_with_incidents": [{"incidents": [{"occurrences": [{"match": text}]}]}]}
            ),
            "secretlint": json.dumps(
                [{"filePath": "a", "sourceContent": text, "messages": [{"loc": {"start": {"line": 1}, "end": END}}]}]
            ),
            "betterleaks": json.dumps({"findings": [{"match": {"full": text}}]}),
            "noseyparker": json.dumps([{"matches": [{"snippet": {"matching": text}}]}]),
            "gitlab": json.dumps({"vulnerabilities": [{"raw_source_code_extract": text}]}),
            "kingfisher": json.dumps({"findings": [{"finding": {"snippet": text}}]}),
            "cloudevents": json.dumps({"specversion": "1.0", "id": "1", "type": "x", "data": {"secret": text}}),
        }.get(source) or json.dumps({"findings": [{"text": text}]})
        read = TEXT_READERS.get(source, generic.read)

        [item] = items_of(read(body.encode()), source=source, now=NOW)
        assert item.result is Result.IGNORED


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
def test_no_address_in_a_mail_or_incident_is_one_that_a_scanner_would_open(leak: str) -> None:
    for record in records(leak):
        for what, text in notices(record):
            if what in ("mail as text", "digest", "reminder", "incident", "comment"):
                assert not re.search(r"https?://[a-z0-9-]+\.(blob|queue|table|file|dfs)\.", text), what


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
def test_no_log_line_holds_it_either(leak: str, caplog: pytest.LogCaptureFixture) -> None:
    redaction.install()
    with caplog.at_level(logging.INFO):
        logging.getLogger("anything").warning("Reported: %s", leak)

    assert extract(caplog.text) == ()


@settings(max_examples=60, deadline=None)
@given(before=st.text(max_size=40), after=st.text(max_size=40), leak=st.sampled_from(LEAKS))
def test_whatever_stands_around_it_a_redacted_leak_is_none(before: str, after: str, leak: str) -> None:
    assert extract(redaction.redact(f"{before} {leak} {after}")) == ()
