"""The mail to the owners. It must be sufficient for someone woken at 3 a.m.

HTML of tables and inline styles, since Outlook for Windows renders with Word's engine. Stripped of its tags
it still reads as text: each block is on lines of its own and each label ends with a colon. Its only link leads to the
console, and nothing in it would be reported by a secret scanner again.
"""

from collections.abc import Sequence
from html import escape

from shared.domain.decision.action_spec import Tone
from shared.domain.message import Message
from shared.domain.text import clean, defang, utc
from shared.followup.briefing.headlines import Headline, command, headline, title, why
from shared.followup.briefing.model import Briefing
from shared.followup.mail.html import (
    BREAK,
    FONT,
    bullets,
    command_block,
    facts,
    link,
    page,
    paragraph,
    record_url,
    section,
)

_LONGEST_SUBJECT = 200

_COLORS = {Tone.LIVE: "#a4161a", Tone.PENDING: "#8a5a00", Tone.DONE: "#1b5e33"}


def compose(
    briefing: Briefing,
    *,
    to: Sequence[str],
    security_mailbox: str,
    copies: tuple[str, ...] = (),
    console: str | None = None,
    news: str = "",
) -> Message:
    """Return the mail about `briefing` to the addresses `to`, with copies to the security mailbox and `copies`.

    `console` is the console's URL from the settings, the only link of a mail. `news` is what was found since the last
    mail about the same state.
    """
    owners = tuple(address for address in to if address.lower() != security_mailbox.lower())
    words = headline(briefing)
    sections = [
        section("What was ordered" if briefing.ordered else "What leaked", facts(_leak(briefing))),
        section("Permissions", _allowed(briefing)),
        section("Usage", bullets(briefing.used)) if briefing.used else "",
        section("Action and verification", facts(_outcome(briefing))),
        _impact(briefing, words),
        section("Timeline (seconds since Sasquash received it)", facts(_timeline(briefing))),
        section("Notified", _notified(briefing, security_mailbox)),
    ]
    # While the credential works, the next steps come before all explanations.
    sections.insert(0 if words.tone is Tone.LIVE else 5, section("What to do now", _next(briefing, words)))
    return Message(
        subject=_subject(briefing),
        html=page(
            _subject(briefing),
            _banner(briefing, words),
            _console_link(briefing, console),
            section("New since the last mail", paragraph(news)) if news else "",
            *sections,
            _footer(briefing),
        ),
        to=owners or (security_mailbox,),
        cc=((security_mailbox,) if owners else ()) + copies,
    )


def in_full(briefing: Briefing) -> str:
    """Return what the mail about `briefing` says of the leak and of what to do, as a part of another mail."""
    words = headline(briefing)
    record = [("Record", clean(briefing.fingerprint))]
    return paragraph(words.lead) + facts(_leak(briefing) + _outcome(briefing) + record) + _next(briefing, words)


def _subject(briefing: Briefing) -> str:
    severity, c3id = clean(briefing.severity, limit=20).upper(), clean(briefing.c3id, limit=40)
    text = clean(f"[{severity}] {title(briefing)}", limit=_LONGEST_SUBJECT - len(c3id) - 3)
    return f"{text} [{c3id}]"


def _leak(briefing: Briefing) -> list[tuple[str, str]]:
    named = (
        ("Account", briefing.account),
        ("Key", briefing.key_name),
        ("Stored access policy", briefing.policy),
    )
    rows = [] if briefing.ordered else [("Credential", clean(briefing.kind))]
    rows += [(label, clean(value)) for label, value in named if value]
    if briefing.host:
        rows.append(("Host in the leak", defang(briefing.host)))
    if briefing.expires:
        rows.append(("Valid until", utc(briefing.expires)))
    rows.append(
        ("Reported by", ", ".join(clean(who) for who in (briefing.reported_by, defang(briefing.source)) if who))
    )
    if briefing.reported_because:
        rows.append(("Reason", clean(briefing.reported_because)))
    if briefing.found_at_url:
        rows.append(("Found at (not a link)", defang(briefing.found_at_url)))
    rows.append(("Detected", utc(briefing.detected_at)))
    rows.append(("Received", utc(briefing.received_at)))
    if briefing.account_id:
        rows.append(("Resource", clean(briefing.account_id)))
    if not briefing.ordered:
        rows.append(("Secret ID (C3ID)", clean(briefing.c3id)))
    return rows


def _allowed(briefing: Briefing) -> str:
    severity = f"Severity: {clean(briefing.severity).upper()}{', because' if briefing.risk_reasons else '.'}"
    parts = paragraph(clean(briefing.grants)) + paragraph(severity) + bullets(briefing.risk_reasons)
    return parts + (paragraph("Also:") + bullets(briefing.notes) if briefing.notes else "")


def _outcome(briefing: Briefing) -> list[tuple[str, str]]:
    rows = [("State", clean(briefing.state.replace("_", " ")))]
    reason = why(briefing)
    if reason:
        rows.append(("Reason", reason))
    rows += [("Action", clean(briefing.done)), ("Verification", clean(briefing.proven))]
    if briefing.deadline:
        rows.append(("Decide by", utc(briefing.deadline)))
    return rows


def _impact(briefing: Briefing, words: Headline) -> str:
    if words.tone is Tone.DONE and not words.executed:
        return ""
    parts = bullets(briefing.impact) or paragraph("Unknown.")
    if not words.executed:
        return section("Impact of the revocation", parts)
    recovery = command(briefing)
    if recovery:
        parts += paragraph("Update every client that used the old key. This command prints the new key:")
        parts += command_block(recovery)
    return section("Impact and recovery", parts)


def _next(briefing: Briefing, words: Headline) -> str:
    parts = bullets(briefing.next_steps, tag="ol")
    if words.tone is Tone.LIVE:
        parts = parts or paragraph("No next step is known. Contact the security team now.")
        by_hand = None if words.executed else command(briefing)
        if by_hand:
            parts += paragraph("To revoke it manually, run this command. Its impact is listed below:")
            parts += command_block(by_hand)
    parts = parts or paragraph("No further action is needed.")
    return parts + (paragraph("Open items:") + bullets(briefing.open_points) if briefing.open_points else "")


def _timeline(briefing: Briefing) -> list[tuple[str, str]]:
    rows = []
    for entry in sorted(briefing.timeline, key=lambda entry: entry.at):
        seconds = round((entry.at - briefing.received_at).total_seconds(), 1) or 0.0  # not -0.0
        since = f" ({seconds:+.1f} s)" if abs(seconds) < 3600 else ""
        rows.append((utc(entry.at), f"{clean(entry.what)}{since}"))
    return rows


def _notified(briefing: Briefing, security_mailbox: str) -> str:
    people = [
        f"{f'{clean(owner.name)}, ' if owner.name else ''}{clean(owner.address)} ({clean(owner.found_by)})"
        for owner in briefing.owners
    ]
    if not people:
        people = ["No owner. Owners are notified of confirmed leaks; a tag such as sasquash-owner names them."]
    return bullets([*people, f"{security_mailbox} (security mailbox)"])


def _banner(briefing: Briefing, words: Headline) -> str:
    style = f"{FONT};color:#ffffff;padding:16px 20px"
    above = "font-size:13px;line-height:18px;letter-spacing:1px"
    heading = f"font-size:18px;line-height:26px;font-weight:600;margin:6px 0 0 0;{BREAK}"
    severity = clean(briefing.severity, limit=20).upper()
    return (
        f'<tr><td bgcolor="{_COLORS[words.tone]}" style="{style}">\n'
        f'<div style="{above}">{escape(severity)}: {escape(words.label)}</div>\n'
        f'<h1 style="{heading}">{escape(words.lead)}</h1>\n'
        "</td></tr>\n"
    )


def _console_link(briefing: Briefing, console: str | None) -> str:
    """Return the link to the console, if it is configured."""
    if console is None:
        return ""
    url = record_url(console, briefing.fingerprint)
    style = f"{FONT};font-size:14px;line-height:20px;color:#1f2328;padding:12px 20px 0 20px;word-break:break-all"
    return f'<tr><td style="{style}">Open in the console: {link(url)}</td></tr>\n'


def _footer(briefing: Briefing) -> str:
    style = f"{FONT};font-size:12px;line-height:17px;color:#57606a;padding:16px 20px 20px 20px"
    return (
        f'<tr><td style="{style}">'
        "Sent by Sasquash. This mail contains no credential. Do not include one in a reply.<br>\n"
        f"Finding fingerprint: {escape(clean(briefing.fingerprint))}</td></tr>\n"
    )
