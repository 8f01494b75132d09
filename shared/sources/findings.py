"""From the content of an alert to findings. Shared by the tools that keep alerts. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.alert import moment_in
from shared.domain.finding import Finding, Reported


@dataclass(frozen=True, slots=True)
class Found:
    """Reads the time of a finding from a report, with `clock` as the fallback."""

    clock: Callable[[], datetime]

    def at(self, text: str | None) -> datetime:
        """Return the time in `text` (ISO 8601) in UTC; now where it is malformed or in the future."""
        now = self.clock()
        return min(moment_in(text) or now, now)


def located(found: Iterable[Finding], around: Iterable[Reported]) -> tuple[Finding, ...]:
    """Return the findings of an alert, each with its host and path where the surrounding text has them.

    Other credentials in the surrounding text are ignored: they have alerts of their own.
    """
    by_secret = {each.finding.credential.c3id: each.finding for each in around if each.finding.credential is not None}
    return tuple(
        by_secret.get(finding.credential.c3id, finding) if finding.credential is not None else finding
        for finding in found
    )
