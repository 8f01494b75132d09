"""Builds the briefing of several unconfirmed findings of one kind, which share an incident. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.summary_line import SummaryLine
from shared.domain.text import Code, Foreign, Line, RichText, defang, utc
from shared.followup.briefing.build import brief
from shared.followup.briefing.model import Briefing, GroupSize

SHOWN = 10  # lines; the mail has more, and the list has all
_ACCOUNTS = 5


def brief_group(
    group: str,
    *,
    worst_open: Sequence[SummaryLine],
    places: Counter[str],
    total: int,
    worst: Revocation,
    kind: SummaryLine,
    now: datetime,
) -> Briefing:
    """Return what people need to know about the group: its counts, its worst finding, and what to do.

    `worst_open` are the first `SHOWN` of its findings that nobody has dealt with, the worst first; `places` counts
    all of those by `where` they are; `worst` is the record of the first one,
    or of any if none is open. `kind` is any line: it has the state and the reason of all.
    """
    own = brief(worst, now=now)
    if total == 1 and worst_open:
        return replace(own, fingerprint=group, state=kind.state.value, reason=kind.reason)
    state = kind.state if worst_open else State.DISMISSED
    return replace(
        own,
        fingerprint=group,
        c3id=group[:20],
        group=GroupSize(total, places.total()),
        state=state.value,
        reason=kind.reason if worst_open else None,
        grants=f"The worst of them: {describe(worst_open[0])}" if worst_open else "None of them is open any more.",
        key_name=None,
        policy=None,
        action=None,
        target=None,
        expires=None,
        reported_by=None,
        reported_because="",
        found_at_url=None,
        done="Nothing was changed for them.",
        proven="Nobody and no signature has confirmed them.",
        used=(),
        impact=(),
        open_points=tuple(_open_points(worst_open, places)),
        next_steps=tuple(_next_steps(own, worst_open)),
        timeline=(),
        owners=(),
    )


def describe(line: SummaryLine) -> str:
    """Return one line about a finding."""
    found = f", found at {defang(line.url, limit=200)}" if line.url else ""
    until = f", decide by {utc(line.deadline)}" if line.deadline else ""
    severity = f"{line.severity}, " if line.severity else ""
    detail = f". {Foreign(line.detail)}" if line.detail else ""
    reported = f"reported by {defang(line.source, limit=80)}{found}{until}; record {line.fingerprint[:12]}{detail}"
    return f"{severity}{where(line)}, {reported}"


def where(line: SummaryLine) -> str:
    """Return the account of a finding, or its host."""
    if line.account:
        return f"storage account {Foreign(line.account, limit=60)}"
    return defang(line.host, limit=120) if line.host else "unknown account"


def _open_points(lines: Sequence[SummaryLine], places: Counter[str]) -> Iterator[Line]:
    counts = places.most_common(_ACCOUNTS + 1)
    yield from (f"{count} of {place}" for place, count in counts[:_ACCOUNTS])
    yield from map(describe, lines[:SHOWN])
    if places.total() > SHOWN:
        yield f"and {places.total() - SHOWN} more"


def _next_steps(own: Briefing, lines: Sequence[SummaryLine]) -> Iterator[Line]:
    if not lines:
        return
    listed = Code(f"GET /api/revocations?state={lines[0].state}")
    yield RichText.of("Review them, the worst first. This lists all of them: ", listed, ".")
    yield from (_about_the_worst(step) for step in own.next_steps)


def _about_the_worst(step: Line) -> Line:
    if isinstance(step, RichText):
        return RichText.of("The worst of them: ", *step.parts)
    return f"The worst of them: {step}"
