"""The digest: one mail that a person can read, however many findings it is about and whatever they hold."""

from dataclasses import replace
from datetime import timedelta

from shared.domain.states import Reason, State
from shared.domain.summary_line import SummaryLine
from shared.followup.mail.summary import compose_summary
from shared.followup.mail.tally import Tally
from tests.support import samples
from tests.support.samples import NOW

MAILBOX = "security@contoso.com"
LINE = SummaryLine.of(samples.revocation().end(Reason.NO_KEY_MATCHES, now=NOW, detail=""))


def lines(count: int, **changed: object) -> list[SummaryLine]:
    return [replace(LINE, fingerprint=f"{n:064x}", c3id=f"c3id{n}", **changed) for n in range(count)]  # type: ignore[arg-type]


def body(*several: SummaryLine) -> str:
    return compose_summary(Tally.of(several), security_mailbox=MAILBOX).html


def test_it_goes_to_the_security_mailbox_alone() -> None:
    message = compose_summary(Tally.of([LINE]), security_mailbox=MAILBOX)

    assert (message.to, message.cc) == ((MAILBOX,), ())


def test_subject_has_the_number_and_what_is_urgent() -> None:
    several = [*lines(3), replace(LINE, state=State.FAILED), replace(LINE, state=State.AWAITING_APPROVAL)]

    subject = compose_summary(Tally.of(several), security_mailbox=MAILBOX).subject

    assert subject == "[SUMMARY] 5 unconfirmed findings: 1 FAILED, 1 awaiting approval"


def test_what_failed_comes_before_what_waits_before_the_rest() -> None:
    text = body(
        LINE,
        replace(LINE, state=State.AWAITING_APPROVAL, reason=None, deadline=NOW + timedelta(hours=4)),
        replace(LINE, state=State.FAILED, reason=Reason.BLOCKED),
    )

    places = [text.index(word) for word in ("Failed: review", "Approval required", "Unresolved: treat")]
    assert places == sorted(places)


def test_deadline_is_shown() -> None:
    text = body(replace(LINE, state=State.AWAITING_APPROVAL, deadline=NOW))

    assert f"decide by {NOW:%Y-%m-%d %H:%M:%S} UTC" in text


def test_hundreds_are_counted_and_fifty_are_shown() -> None:
    text = body(*lines(300))

    assert (text.count("<li "), "and 250 more" in text, "300 x no key matches" in text) == (50, True, True)


def test_text_from_outside_is_no_markup_and_no_link() -> None:
    text = body(replace(LINE, source="<script>alert(1)</script>", url="https://evil.example/?a=<b>"))

    assert "<script>" not in text
    assert "https://evil" not in text


def test_nothing_in_it_is_a_secret() -> None:
    text = body(replace(LINE, source=f"see {samples.account_sas()}", url=samples.account_sas()))

    assert "sig=" not in text.replace("sig=REDACTED", "")


def test_record_has_one_line_for_each_state_and_reason() -> None:
    record = samples.revocation().end(Reason.NO_KEY_MATCHES, now=NOW, detail="")
    again = record.end(Reason.PATH_LOST, now=NOW, detail="")

    assert SummaryLine.of(record).kind == LINE.kind
    assert SummaryLine.of(again).kind != LINE.kind


def test_mail_says_that_there_are_more_than_it_has_counted() -> None:
    tally = Tally.of(lines(3))
    tally.is_cut = True
    message = compose_summary(tally, security_mailbox=MAILBOX)

    assert message.subject == "[SUMMARY] more than 3 unconfirmed findings"
    assert "More than 3 unconfirmed findings. No owner was notified. The next mail is about the rest." in message.html
