"""The summary mail to the security mailbox: every finding that is not confirmed to be a leak.

Anyone can make up tokens by the thousand; a mail for each would bury the one that counts. Failures come first,
then what requires approval, then the rest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from shared.domain.message import Message
from shared.domain.revocation import Reason, Revocation, State
from shared.domain.text import clean, defang, utc
from shared.followup.mail.html import FONT, bullets, facts, page, paragraph, section

_SHOWN = 50  # lines
_ORDER = (State.FAILED, State.AWAITING_APPROVAL, State.UNRESOLVED)
_TITLES = {
    State.FAILED: "Failed: review required",
    State.AWAITING_APPROVAL: "Approval required",
    State.UNRESOLVED: "Unresolved: treat as active until reviewed",
}
_OTHERS = "Other"


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One record in the summary mail. It holds no credential; its texts come from outside, unchanged."""

    fingerprint: str
    c3id: str
    state: State
    reason: Reason | None
    account: str | None
    host: str | None
    source: str
    url: str | None
    at: datetime
    deadline: datetime | None

    @classmethod
    def of(cls, revocation: Revocation) -> "SummaryLine":
        """Return the line for a record as it stands."""
        finding, credential = revocation.finding, revocation.finding.credential
        return cls(
            fingerprint=revocation.fingerprint,
            c3id=credential.c3id if credential is not None else revocation.fingerprint[:20],
            state=revocation.state,
            reason=revocation.reason,
            account=revocation.account_name,
            host=credential.host if credential is not None else None,
            source=finding.source,
            url=finding.url,
            at=revocation.changes[-1].at,
            deadline=revocation.deadline if revocation.state is State.AWAITING_APPROVAL else None,
        )

    @property
    def key(self) -> str:
        """Return the line's identity: one for each record, state and reason."""
        return f"{self.fingerprint}~{self.state}~{self.reason or ''}"


def compose_summary(lines: Sequence[SummaryLine], *, security_mailbox: str) -> Message:
    """Return the mail with `lines`, of which there is at least one."""
    subject = f"[SUMMARY] {len(lines)} unconfirmed findings{_headline(lines)}"
    shown, sections = 0, []
    for state in (*_ORDER, None):
        group = [line for line in lines if line.state is state or (state is None and line.state not in _ORDER)]
        left = max(_SHOWN - shown, 0)
        if group:
            sections.append(section(_TITLES[state] if state is not None else _OTHERS, _group(group, left)))
        shown += min(len(group), left)
    summary = section("By account and reason", facts(_counted(lines)))
    return Message(
        subject=subject,
        html=page(subject, _banner(len(lines)), summary, *sections, _footer()),
        to=(security_mailbox,),
        cc=(),
    )


def _headline(lines: Sequence[SummaryLine]) -> str:
    failed = sum(line.state is State.FAILED for line in lines)
    waiting = sum(line.state is State.AWAITING_APPROVAL for line in lines)
    parts = [f"{failed} FAILED"] if failed else []
    parts += [f"{waiting} awaiting approval"] if waiting else []
    return f": {', '.join(parts)}" if parts else ""


def _counted(lines: Sequence[SummaryLine]) -> list[tuple[str, str]]:
    counts = Counter((_where(line), _outcome(line)) for line in lines)
    return [(f"{count} x {why}", where) for (where, why), count in counts.most_common(20)]


def _outcome(line: SummaryLine) -> str:
    """Return the reason, or the state without one, as people read it."""
    return "unattributed" if line.reason is Reason.LOOSE else (line.reason or line.state).replace("_", " ")


def _where(line: SummaryLine) -> str:
    if line.account:
        return f"storage account {clean(line.account, limit=60)}"
    return defang(line.host, limit=120) if line.host else "unknown account"


def _group(lines: Sequence[SummaryLine], most: int) -> str:
    # In parts, since a list shows twenty.
    shown = [_line(line) for line in lines[:most]]
    parts = "".join(bullets(shown[start : start + 20]) for start in range(0, len(shown), 20))
    left = len(lines) - len(shown)
    return parts + (paragraph(f"and {left} more. List all of them with GET /api/revocations.") if left else "")


def _line(line: SummaryLine) -> str:
    found = f", found at {defang(line.url, limit=200)}" if line.url else ""
    until = f", decide by {utc(line.deadline)}" if line.deadline else ""
    who = defang(line.source, limit=80)
    what = f"{clean(line.c3id, limit=40)}: {_outcome(line)}, {_where(line)}"
    return f"{what}, reported by {who}{found}{until}; record {line.fingerprint[:12]}"


def _banner(count: int) -> str:
    style = f"{FONT};color:#ffffff;padding:16px 20px"
    heading = "font-size:18px;line-height:26px;font-weight:600;margin:6px 0 0 0"
    lead = f"{count} unconfirmed findings. No owner was notified."
    return f'<tr><td bgcolor="#8a5a00" style="{style}">\n<h1 style="{heading}">{escape(lead)}</h1>\n</td></tr>\n'


def _footer() -> str:
    style = f"{FONT};font-size:12px;line-height:17px;color:#57606a;padding:16px 20px 20px 20px"
    return f'<tr><td style="{style}">Sent by Sasquash. Each finding has a record of its own.</td></tr>\n'
