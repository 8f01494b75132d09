"""What was read of an alert, made into findings: the same for every tool that keeps alerts. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.alert import moment_in
from shared.domain.finding import Finding, Reported


@dataclass(frozen=True, slots=True)
class Found:
    """When something was found, as far as a tool says it; `clock` is asked where it does not."""

    clock: Callable[[], datetime]

    def at(self, text: str | None) -> datetime:
        """Return the time in `text`, ISO 8601, in UTC; now where it is none, or yet to come."""
        now = self.clock()
        return min(moment_in(text) or now, now)


def located(loose: Iterable[Finding], around: Iterable[Reported]) -> tuple[Finding, ...]:
    """Return the findings of an alert: each with its address, where the text around it gives one.

    What else stands around it has an alert of its own.
    """
    by_secret = {each.finding.credential.c3id: each.finding for each in around if each.finding.credential is not None}
    return tuple(
        by_secret.get(finding.credential.c3id, finding) if finding.credential is not None else finding
        for finding in loose
    )
