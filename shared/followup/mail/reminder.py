"""The daily reminder: what Azure keeps refusing to revoke, and what to do about it.

One mail for each account and cause, to the owners and the security mailbox. What nobody confirmed shares one mail to
the security mailbox, and so do the groups beyond the number of mails of a day.
"""

from collections.abc import Iterable, Sequence
from html import escape

from shared.domain.message import Message
from shared.domain.text import Code, Line, RichText, clean, defang, utc
from shared.followup.mail.html import (
    BREAK,
    FONT,
    bullets,
    command_block,
    facts,
    linked_bullets,
    page,
    paragraph,
    record_url,
    section,
)
from shared.followup.mail.refused import SHOWN, RefusedGroup, RefusedLeak

_LONGEST_SUBJECT = 200
_RED, _AMBER = "#a4161a", "#8a5a00"
_MOST_COUNTS = 20  # lines of counts in a mail about several groups
_MOST_DETAILS = 3
_LIST_ALL = Code("GET /api/revocations?state=failed")


def compose_reminder(
    group: RefusedGroup, *, security_mailbox: str, console: str | None = None, is_partial: bool = False
) -> Message:
    """Return the mail about the leaks of one account that are refused for one cause, to their owners.

    `is_partial`: there may be more of them.
    """
    owners = tuple(address for address in group.owners if address != security_mailbox.lower())
    lead = f"{'At least ' if is_partial else ''}{_what(group)}"
    severity = clean(group.worst[0].severity, limit=20).upper()
    subject = clean(f"[{severity}] Reminder: {lead}", limit=_LONGEST_SUBJECT)
    return Message(
        subject=subject,
        html=page(
            subject,
            _banner(f"{lead}. First refused: {utc(group.since)}.", _RED),
            section("What to do now", _next(group)),
            section("Refusal", facts(_facts(group))),
            section("Not revoked", _list(group.worst, total=group.total, console=console)),
            _footer("once a day for each account and cause, until nothing is refused any more"),
        ),
        to=owners or (security_mailbox,),
        cc=(security_mailbox,) if owners else (),
    )


def compose_unconfirmed(
    groups: Sequence[RefusedGroup],
    *,
    beyond: int,
    security_mailbox: str,
    console: str | None = None,
    is_partial: bool = False,
) -> Message:
    """Return the mail about the refused findings that nobody confirmed; `beyond` are in none of the groups."""
    total = sum(group.total for group in groups) + beyond
    many = "finding is" if total == 1 else "findings are"
    lead = f"{'At least ' if is_partial else ''}{total} unconfirmed {many} still refused"
    return _overview(
        groups,
        beyond=beyond,
        subject=f"[SUMMARY] {lead}",
        lead=f"{lead}. Azure refuses what would show whether a finding is real. Treat each as active.",
        color=_AMBER,
        security_mailbox=security_mailbox,
        console=console,
    )


def compose_rest(
    groups: Sequence[RefusedGroup],
    *,
    beyond: int,
    security_mailbox: str,
    console: str | None = None,
    is_partial: bool = False,
) -> Message:
    """Return the mail about the groups that have none of their own today; `beyond` leaks are in none of them."""
    total = sum(group.total for group in groups) + beyond
    lead = (
        f"{'At least ' if is_partial else ''}{total} more {'leak' if total == 1 else 'leaks'} {_still_active(total)}"
    )
    return _overview(
        groups,
        beyond=beyond,
        subject=f"[SUMMARY] Reminder: {lead}",
        lead=f"{lead}. There are more than the reminders of a day can be about: no owner was reminded of these.",
        color=_RED,
        security_mailbox=security_mailbox,
        console=console,
    )


def _overview(
    groups: Sequence[RefusedGroup],
    *,
    beyond: int,
    subject: str,
    lead: str,
    color: str,
    security_mailbox: str,
    console: str | None,
) -> Message:
    largest = sorted(groups, key=lambda group: -group.total)
    total = sum(group.total for group in groups) + beyond
    worst = sorted((leak for group in groups for leak in group.worst), key=lambda leak: leak.rank)[:SHOWN]
    details: list[Line] = [group.detail for group in largest[:_MOST_DETAILS]]
    details.append(RichText.of("This lists all of them: ", _LIST_ALL, "."))
    return Message(
        subject=subject,
        html=page(
            subject,
            _banner(lead, color),
            section("What to do now, the most frequent causes first", bullets(details, tag="ol")),
            section("By account and cause", _counts(largest, total=total)),
            section("The worst of them", _list(worst, total=total, console=console)),
            _footer("once a day, until nothing is refused any more"),
        ),
        to=(security_mailbox,),
        cc=(),
    )


def _what(group: RefusedGroup) -> str:
    where = f" of storage account {clean(group.account, limit=60)}" if group.account else ""
    if group.orders == group.total:
        many = "ordered revocation" if group.total == 1 else "ordered revocations"
        return f"{group.total} {many}{where} {'is' if group.total == 1 else 'are'} STILL REFUSED"
    return f"{group.total} {'leak' if group.total == 1 else 'leaks'}{where} {_still_active(group.total)}"


def _still_active(total: int) -> str:
    return f"{'is' if total == 1 else 'are'} STILL ACTIVE"


def _next(group: RefusedGroup) -> str:
    retry = Code(f"POST /api/revocations/{group.newest}/retry")
    at_once = (
        RichText.of("To try at once: ", retry, ".") if group.total == 1 else "To try one at once, retry its record."
    )
    if group.next_at is None:
        steps: list[Line] = [group.detail, "Sasquash does not try again by itself.", at_once]
    else:
        again = f"Sasquash tries again daily, next at {utc(group.next_at)}."
        by_hand = "If you revoke one by hand, leave its record open: Sasquash verifies that and closes it."
        steps = [group.detail, again, at_once, by_hand]
    parts = bullets(steps, tag="ol")
    if group.commands:
        parts += paragraph("To revoke by hand. The record of each leak says which clients stop working:")
        parts += "".join(command_block(command) for command in group.commands)
    return parts


def _facts(group: RefusedGroup) -> list[tuple[str, str]]:
    return [
        ("Account", clean(group.account, limit=60) or "unknown"),
        ("Cause", clean(group.cause)),
        ("Refused since", utc(group.since)),
        ("Next attempt", utc(group.next_at) if group.next_at is not None else "none"),
    ]


def _counts(largest: Sequence[RefusedGroup], *, total: int) -> str:
    shown = largest[:_MOST_COUNTS]
    rows = [(f"{group.total} x {clean(group.account, limit=60) or 'unknown'}", clean(group.cause)) for group in shown]
    left = total - sum(group.total for group in shown)
    return facts(rows) + (paragraph(f"and {left} more") if left else "")


def _list(leaks: Iterable[RefusedLeak], *, total: int, console: str | None) -> str:
    items = [(_describe(leak), record_url(console, leak.fingerprint) if console else None) for leak in leaks]
    return linked_bullets(items, more=total - len(items))


def _describe(leak: RefusedLeak) -> str:
    until = f", valid until {utc(leak.ends)}" if leak.ends is not None else ""
    return (
        f"{clean(leak.severity, limit=20)}, refused since {utc(leak.since)}{until}, reported by "
        f"{defang(leak.source, limit=80)}; secret ID {clean(leak.c3id, limit=40)}, record {leak.fingerprint[:12]}"
    )


def _banner(lead: str, color: str) -> str:
    style = f"{FONT};color:#ffffff;padding:16px 20px"
    heading = f"font-size:18px;line-height:26px;font-weight:600;margin:6px 0 0 0;{BREAK}"
    return f'<tr><td bgcolor="{color}" style="{style}">\n<h1 style="{heading}">{escape(lead)}</h1>\n</td></tr>\n'


def _footer(when: str) -> str:
    style = f"{FONT};font-size:12px;line-height:17px;color:#57606a;padding:16px 20px 20px 20px"
    text = f"Sent by Sasquash, {when}. This mail contains no credential. Do not include one in a reply."
    return f'<tr><td style="{style}">{text}</td></tr>\n'
