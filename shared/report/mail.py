"""The mail to the owners: for someone woken at 3 a.m. who opens nothing else.

HTML of tables and inline styles, since Outlook for Windows renders with Word's engine. Stripped of its tags
it still reads as text: each block is on lines of its own and each label ends with a colon. There is not one
link in it, and nothing that a secret scanner would report again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from shared.report.briefing import Briefing
from shared.report.text import clean, defang, utc
from shared.report.wording import Headline, Tone, command, headline, title, why

_MOST_ITEMS = 20
_LONGEST_SUBJECT = 200

_COLORS = {Tone.LIVE: "#a4161a", Tone.PENDING: "#8a5a00", Tone.DONE: "#1b5e33"}
_FONT = "font-family:'Segoe UI',Helvetica,Arial,sans-serif"
_CELL = f"{_FONT};font-size:14px;line-height:20px;color:#1f2328;padding:3px 8px 3px 0;vertical-align:top"
_CODE = "font-family:Consolas,Menlo,monospace;font-size:13px;background-color:#eef0f2;color:#1f2328"
_TABLE = 'role="presentation" cellpadding="0" cellspacing="0" border="0"'
_COMMAND = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. `to` and `cc` are plain addresses."""

    subject: str
    html: str
    to: tuple[str, ...]
    cc: tuple[str, ...]

    @property
    def recipients(self) -> tuple[str, ...]:
        return self.to + self.cc


def compose(briefing: Briefing, *, to: Sequence[str], security_mailbox: str) -> Message:
    """Return the mail that tells `briefing` to the addresses `to`; the security mailbox gets a copy."""
    owners = tuple(address for address in to if address.lower() != security_mailbox.lower())
    words = headline(briefing)
    sections = [
        _section("What was ordered" if briefing.ordered else "What leaked, and where", _facts(_leak(briefing))),
        _section("What it allowed", _allowed(briefing)),
        _section("What was done, and what is proven", _facts(_outcome(briefing))),
        _breakage(briefing, words),
        _section("Timeline, in seconds since it reached Sasquash", _facts(_timeline(briefing))),
        _section("Who was told", _told(briefing, security_mailbox)),
    ]
    # While the credential works, what to do comes before all explanations.
    sections.insert(0 if words.tone is Tone.LIVE else 4, _section("What to do now", _next(briefing, words)))
    return Message(
        subject=_subject(briefing),
        html=_page(_subject(briefing), _banner(briefing, words), *sections, _footer(briefing)),
        to=owners or (security_mailbox,),
        cc=(security_mailbox,) if owners else (),
    )


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
        rows.append(("Because", clean(briefing.reported_because)))
    if briefing.found_at_url:
        rows.append(("Found at (not a link)", defang(briefing.found_at_url)))
    rows.append(("Found", utc(briefing.detected_at)))
    rows.append(("Reached Sasquash", utc(briefing.received_at)))
    if briefing.account_id:
        rows.append(("Resource", clean(briefing.account_id)))
    if not briefing.ordered:
        rows.append(("Id of the secret (C3ID)", clean(briefing.c3id)))
    return rows


def _allowed(briefing: Briefing) -> str:
    severity = f"Severity: {clean(briefing.severity).upper()}{', because' if briefing.risk_reasons else '.'}"
    parts = _paragraph(clean(briefing.grants)) + _paragraph(severity) + _bullets(briefing.risk_reasons)
    return parts + (_paragraph("Also:") + _bullets(briefing.notes) if briefing.notes else "")


def _outcome(briefing: Briefing) -> list[tuple[str, str]]:
    rows = [("State", clean(briefing.state))]
    reason = why(briefing)
    if reason:
        rows.append(("Because", reason))
    rows += [("Done", clean(briefing.done)), ("Proven", clean(briefing.proven))]
    if briefing.deadline:
        rows.append(("Decision due", utc(briefing.deadline)))
    return rows


def _breakage(briefing: Briefing, words: Headline) -> str:
    if words.tone is Tone.DONE and not words.pulled:
        return ""
    parts = _bullets(briefing.breaks) or _paragraph("Not known.")
    if not words.pulled:
        return _section("What breaks when it is revoked", parts)
    recovery = command(briefing)
    if recovery:
        parts += _paragraph("Give the new key to everything that used the old one. This prints it:")
        parts += _command(recovery)
    return _section("What breaks, and how to recover", parts)


def _next(briefing: Briefing, words: Headline) -> str:
    parts = _bullets(briefing.next_steps, tag="ol")
    if words.tone is Tone.LIVE:
        parts = parts or _paragraph("No next step is known. Hand this to the security team now.")
        kill = None if words.pulled else command(briefing)
        if kill:
            parts += _paragraph("By hand, this revokes it at once, and breaks what is listed below:")
            parts += _command(kill)
    parts = parts or _paragraph("Nothing more has to be done.")
    return parts + (_paragraph("Still open:") + _bullets(briefing.open_points) if briefing.open_points else "")


def _timeline(briefing: Briefing) -> list[tuple[str, str]]:
    rows = []
    for entry in sorted(briefing.timeline, key=lambda entry: entry.at):
        seconds = round((entry.at - briefing.received_at).total_seconds(), 1) or 0.0  # not -0.0
        since = f" ({seconds:+.1f} s)" if abs(seconds) < 3600 else ""
        rows.append((utc(entry.at), f"{clean(entry.what)}{since}"))
    return rows


def _told(briefing: Briefing, security_mailbox: str) -> str:
    people = [
        f"{f'{clean(owner.name)}, ' if owner.name else ''}{clean(owner.address)} ({clean(owner.found_by)})"
        for owner in briefing.owners
    ]
    if not people:
        people = ["No owner: owners hear of confirmed leaks, and are those that a tag like sasquash-owner names."]
    return _bullets([*people, f"{security_mailbox} (the security mailbox, always)"])


def _banner(briefing: Briefing, words: Headline) -> str:
    style = f"{_FONT};color:#ffffff;padding:16px 20px"
    above = "font-size:13px;line-height:18px;letter-spacing:1px"
    heading = "font-size:18px;line-height:26px;font-weight:600;margin:6px 0 0 0"
    severity = clean(briefing.severity, limit=20).upper()
    return (
        f'<tr><td bgcolor="{_COLORS[words.tone]}" style="{style}">\n'
        f'<div style="{above}">{escape(severity)}: {escape(words.label)}</div>\n'
        f'<h1 style="{heading}">{escape(words.lead)}</h1>\n'
        "</td></tr>\n"
    )


def _section(title: str, body: str) -> str:
    heading = f"{_FONT};font-size:15px;line-height:20px;font-weight:700;color:#1f2328;margin:0 0 6px 0"
    return (
        f'<tr><td style="padding:16px 20px 0 20px">\n<h2 style="{heading}">{escape(title)}</h2>\n{body}</td></tr>\n'
    )


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><td style="{_CELL};color:#57606a;width:190px">{escape(label)}:</td> '
        f'<td style="{_CELL};word-break:break-word">{escape(value)}</td></tr>\n'
        for label, value in rows
    )
    return f'<table {_TABLE} width="100%">\n{cells}</table>\n'


def _paragraph(text: str) -> str:
    return f'<p style="{_CELL};margin:0 0 6px 0">{escape(text)}</p>\n'


def _bullets(items: Sequence[str], *, tag: str = "ul") -> str:
    if not items:
        return ""
    lines = "".join(f'<li style="{_CELL}">{_prose(item)}</li>\n' for item in items[:_MOST_ITEMS])
    if len(items) > _MOST_ITEMS:
        lines += f'<li style="{_CELL}">and {len(items) - _MOST_ITEMS} more</li>\n'
    return f'<{tag} style="margin:0 0 6px 0;padding:0 0 0 20px">\n{lines}</{tag}>\n'


def _prose(text: str) -> str:
    """Escape `text`; what stands between backticks is a command."""
    return _COMMAND.sub(rf'<code style="{_CODE}">\1</code>', escape(clean(text)))


def _command(text: str) -> str:
    style = f"{_CODE};padding:8px 10px;margin:0 0 6px 0;white-space:pre-wrap;word-break:break-word"
    return f'<pre style="{style}">{escape(text)}</pre>\n'


def _footer(briefing: Briefing) -> str:
    style = f"{_FONT};font-size:12px;line-height:17px;color:#57606a;padding:16px 20px 20px 20px"
    return (
        f'<tr><td style="{style}">'
        "Sent by Sasquash. This mail holds no credential: please put none in an answer.<br>\n"
        f"Fingerprint of the finding: {escape(clean(briefing.fingerprint))}</td></tr>\n"
    )


def _page(title: str, *rows: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        # Asks phones to make no links of what looks like an address, a date or a number.
        '<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no">\n'
        f"<title>{escape(title)}</title>\n</head>\n"
        '<body style="margin:0;padding:0;background-color:#f3f4f6">\n'
        f'<table {_TABLE} width="100%" bgcolor="#f3f4f6"><tr><td align="center" style="padding:12px">\n'
        f'<table {_TABLE} width="100%" bgcolor="#ffffff" style="max-width:720px;text-align:left">\n'
        f"{''.join(rows)}</table>\n</td></tr></table>\n</body>\n</html>\n"
    )
