"""The summary mail to the security mailbox: every finding that is not confirmed to be a leak.

Anyone can make up tokens by the thousand; a mail for each would bury the one that counts. Failures come first,
then what requires approval, then the rest; of each kind the worst one is shown in full.
"""

from collections.abc import Sequence
from html import escape

from shared.domain.message import Message
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine
from shared.domain.text import clean
from shared.followup.briefing.group import describe
from shared.followup.briefing.model import Briefing
from shared.followup.mail.compose import in_full
from shared.followup.mail.html import FONT, bullets, facts, page, paragraph, section
from shared.followup.mail.tally import ORDER, Tally, outcome

_TITLES = {
    State.FAILED: "Failed: review required",
    State.AWAITING_APPROVAL: "Approval required",
    State.UNRESOLVED: "Unresolved: treat as active until reviewed",
}
_OTHERS = "Other"


def compose_summary(tally: Tally, *, security_mailbox: str, worst: Sequence[Briefing] = ()) -> Message:
    """Return the mail about the lines of `tally`, of which there is at least one.

    `worst` are the worst findings, one of each kind.
    """
    subject = f"[SUMMARY] {_findings(tally)}{_headline(tally)}"
    counts = {state: tally.states[state] for state in ORDER}
    groups = [
        (_TITLES[state], [line for line in tally.worst if line.state is state], counts[state]) for state in ORDER
    ]
    others = [line for line in tally.worst if line.state not in ORDER]
    groups.append((_OTHERS, others, tally.total - sum(counts.values())))
    return Message(
        subject=subject,
        html=page(
            subject,
            _banner(tally),
            section("By account and reason", facts(_counted(tally))),
            *(section("The worst of a kind", in_full(briefing)) for briefing in worst),
            *(section(title, _group(lines, count)) for title, lines, count in groups if count),
            _footer(),
        ),
        to=(security_mailbox,),
        cc=(),
    )


def _findings(tally: Tally) -> str:
    more_than = "more than " if tally.is_cut else ""
    return f"{more_than}{tally.total} unconfirmed finding{'' if tally.total == 1 else 's'}"


def _headline(tally: Tally) -> str:
    failed, waiting = tally.states[State.FAILED], tally.states[State.AWAITING_APPROVAL]
    parts = [f"{failed} FAILED"] if failed else []
    parts += [f"{waiting} awaiting approval"] if waiting else []
    return f": {', '.join(parts)}" if parts else ""


def _counted(tally: Tally) -> list[tuple[str, str]]:
    return [(f"{count} x {why}", where) for (where, why), count in tally.by_account.most_common(20)]


def _group(lines: Sequence[SummaryLine], count: int) -> str:
    # In parts, since a list shows twenty.
    shown = [f"{clean(line.c3id, limit=40)}: {outcome(line)}, {describe(line)}" for line in lines]
    parts = "".join(bullets(shown[start : start + 20]) for start in range(0, len(shown), 20))
    left = count - len(shown)
    return parts + (paragraph(f"and {left} more. List all of them with GET /api/revocations.") if left else "")


def _banner(tally: Tally) -> str:
    style = f"{FONT};color:#ffffff;padding:16px 20px"
    heading = "font-size:18px;line-height:26px;font-weight:600;margin:6px 0 0 0"
    rest = " The next mail is about the rest." if tally.is_cut else ""
    lead = f"{_findings(tally).capitalize()}. No owner was notified.{rest}"
    return f'<tr><td bgcolor="#8a5a00" style="{style}">\n<h1 style="{heading}">{escape(lead)}</h1>\n</td></tr>\n'


def _footer() -> str:
    style = f"{FONT};font-size:12px;line-height:17px;color:#57606a;padding:16px 20px 20px 20px"
    text = (
        "Sent by Sasquash, at most once an hour for each state and reason. Each finding has a record of its own, and "
        "those of a kind share an incident."
    )
    return f'<tr><td style="{style}">{text}</td></tr>\n'
