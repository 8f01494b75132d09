"""The text of an incident, the same for every sink."""

from shared.domain.text import clean, defang, prose
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
    lines = (
        words.lead,
        why(briefing),
        clean(briefing.grants),
        f"Action: {clean(briefing.done)}",
        f"Verification: {clean(briefing.proven)}",
        briefing.reported_by and f"Reported by {clean(briefing.reported_by)}: {clean(briefing.reported_because)}",
        briefing.found_at_url and f"Found at {defang(briefing.found_at_url)}",
        f"C3ID: {clean(briefing.c3id)}",
        *(f"Usage: {prose(point)}" for point in briefing.used),
        *(f"Impact: {prose(point)}" for point in briefing.impact),
        by_hand and f"{'Print the new key' if words.executed else 'Revoke manually'}: {by_hand}",
        *(f"Open item: {prose(point)}" for point in briefing.open_points),
    )
    return "\n".join(line for line in lines if line)


def steps(briefing: Briefing) -> str:
    """Return what to do next, numbered, one line each."""
    return "\n".join(f"{number}. {prose(step)}" for number, step in enumerate(briefing.next_steps, start=1))
