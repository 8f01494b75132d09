"""From the content of an alert to findings. Shared by the tools that keep alerts. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.alert import moment_in


@dataclass(frozen=True, slots=True)
class Found:
    """Reads the time of a finding from a report, with `clock` as the fallback."""

    clock: Callable[[], datetime]

    def at(self, text: str | None) -> datetime:
        """Return the time in `text` (ISO 8601) in UTC; now where it is malformed or in the future."""
        now = self.clock()
        return min(moment_in(text) or now, now)
