"""The daily reminder: what is still active, since when, why, and what to do about it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.message import Message
from shared.domain.revocation import Owner, Revocation
from shared.followup.mail.refused import RefusedGroup, RefusedGroups
from shared.followup.mail.reminder import compose_reminder, compose_rest, compose_unconfirmed
from tests.support import samples
from tests.support.harmless import Page
from tests.support.refused import refused
from tests.support.samples import NOW

MAILBOX = "security@contoso.com"
CONSOLE = "https://app.example/api/desk"
DAY = timedelta(days=1)


def several(count: int) -> list[Revocation]:
    return [refused(number) for number in range(count)]


def group(*records: Revocation) -> RefusedGroup:
    [only] = RefusedGroups.of(records, now=NOW).confirmed
    return only


def mail(*records: Revocation, console: str | None = CONSOLE, is_partial: bool = False) -> Message:
    return compose_reminder(group(*records), security_mailbox=MAILBOX, console=console, is_partial=is_partial)


def text(message: Message) -> str:
    return "".join(Page.of(message).text)


@pytest.mark.parametrize(
    ("records", "subject"),
    [
        (several(1), "[CRITICAL] Reminder: 1 leak of storage account robustmodels is STILL ACTIVE"),
        (several(2), "[CRITICAL] Reminder: 2 leaks of storage account robustmodels are STILL ACTIVE"),
        (
            [refused(order=True)],
            "[HIGH] Reminder: 1 ordered revocation of storage account robustmodels is STILL REFUSED",
        ),
        (
            [refused(1, order=True), refused(2, order=True)],
            "[HIGH] Reminder: 2 ordered revocations of storage account robustmodels are STILL REFUSED",
        ),
    ],
)
def test_subject_says_how_many_are_still_active_where(records: Sequence[Revocation], subject: str) -> None:
    assert mail(*records).subject == subject


def test_count_that_may_be_too_low_is_called_so() -> None:
    assert "Reminder: At least 3 leaks" in mail(*several(3), is_partial=True).subject


def test_mail_says_since_when_why_when_it_is_tried_again_and_what_to_do() -> None:
    shown = text(mail(refused(since=NOW - 3 * DAY, next_at=NOW + timedelta(hours=2))))

    assert "First refused: 2026-11-18 10:00:00 UTC" in shown
    assert "Cause: a lock" in shown.replace("\n", " ")
    assert "next at 2026-11-21 12:00:00 UTC" in shown
    assert "409 ScopeLocked: remove the lock." in shown


def test_leak_that_is_not_tried_again_says_so() -> None:
    shown = text(mail(refused(next_at=None)))

    assert "Sasquash does not try again by itself." in shown
    assert "tries again daily" not in shown


def test_command_by_hand_and_the_retry_of_the_only_leak_are_shown_as_code() -> None:
    record = refused()
    retry, by_hand = Page.of(mail(record)).code

    assert retry == f"POST /api/revocations/{record.fingerprint}/retry"
    assert by_hand.startswith("az storage account keys renew ")


def test_20_leaks_are_listed_with_their_links_and_the_others_counted() -> None:
    message = mail(*several(45))

    assert len(set(Page.of(message).links)) == 20
    assert f'<a href="{CONSOLE}#/record/{0:064x}"' in message.html
    assert "and 25 more" in text(message)
    assert "0 more" not in text(mail(*several(20)))


def test_without_a_console_the_mail_has_no_link() -> None:
    assert Page.of(mail(refused(), console=None)).links == []


def test_owners_are_addressed_and_security_gets_a_copy() -> None:
    message = mail(replace(refused(), owners=(Owner("ada@contoso.com", "Ada", "a tag"),)))

    assert (message.to, message.cc) == (("ada@contoso.com",), (MAILBOX,))


@pytest.mark.parametrize("owners", [None, (), (Owner("Security@contoso.com", None, "a tag"),)])
def test_without_another_owner_the_security_mailbox_is_addressed(owners: tuple[Owner, ...] | None) -> None:
    message = mail(replace(refused(), owners=owners))

    assert (message.to, message.cc) == ((MAILBOX,), ())


@pytest.mark.parametrize(
    ("count", "subject"),
    [
        (1, "[SUMMARY] 1 unconfirmed finding is still refused"),
        (30, "[SUMMARY] 30 unconfirmed findings are still refused"),
    ],
)
def test_unconfirmed_findings_share_a_mail_to_the_security_mailbox(count: int, subject: str) -> None:
    owners = (Owner("ada@contoso.com", None, "a tag"),)
    records = [replace(record, key_name=None, plan=None, owners=owners) for record in several(count)]
    groups = RefusedGroups.of(records, now=NOW).unconfirmed
    message = compose_unconfirmed(groups, beyond=0, security_mailbox=MAILBOX, console=CONSOLE)

    assert (message.subject, message.recipients) == (subject, (MAILBOX,))
    assert f"{count} x robustmodels" in text(message)
    assert len(set(Page.of(message).links)) == min(count, 20)


def test_groups_beyond_the_mails_of_a_day_are_counted_in_one() -> None:
    records = [replace(refused(n), account=replace(samples.account(), name=f"account{n}")) for n in range(30)]
    groups = RefusedGroups.of(records, now=NOW).confirmed
    message = compose_rest(groups, beyond=7, security_mailbox=MAILBOX, console=CONSOLE, is_partial=True)

    assert message.subject == "[SUMMARY] Reminder: At least 37 more leaks are STILL ACTIVE"
    assert text(message).count("1 x account") == 20
    assert text(message).count("and 17 more") == 2
    assert "1 more leak is STILL ACTIVE" in compose_rest(groups[:1], beyond=0, security_mailbox=MAILBOX).subject
