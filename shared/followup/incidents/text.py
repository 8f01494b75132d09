"""The text of an incident, the same for every sink.

A sink, or what reads from it, may render HTML or Markdown: all text but our own commands is `inert`.
"""

from shared.domain.text import defang, inert
from shared.followup.briefing.headlines import command, headline, why
from shared.followup.briefing.model import Briefing

PAGES = frozenset({"failed", "awaiting_approval", "unresolved"})
"""The states that page the person on call."""

CLOSED = frozenset({"closed", "dismissed"})
"""The states in which an incident is closed."""


def summary(briefing: Briefing) -> str:
    """Return what happened, one line each, the most important first."""
    words = headline(briefing)
    by_hand = command(briefing)
    lines: tuple[str | None, ...] = (
        inert(words.lead),
        inert(why(briefing) or ""),
        inert(briefing.grants),
        f"Action: {inert(briefing.done)}",
        f"Verification: {inert(briefing.proven)}",
        briefing.reported_by and f"Reported by {inert(briefing.reported_by)}: {inert(briefing.reported_because)}",
        briefing.found_at_url and f"Found at {inert(defang(briefing.found_at_url))}",
        f"C3ID: {inert(briefing.c3id)}",
        *(f"Usage: {inert(point)}" for point in briefing.used),
        *(f"Impact: {inert(point)}" for point in briefing.impact),
        f"{'Print the new key' if words.executed else 'Revoke manually'}: {by_hand}" if by_hand else None,
        *(f"Open item: {inert(point)}" for point in briefing.open_points),
    )
    return "\n".join(line for line in lines if line)


def steps(briefing: Briefing) -> str:
    """Return what to do next, numbered, one line each."""
    return "\n".join(f"{number}. {inert(step)}" for number, step in enumerate(briefing.next_steps, start=1))
