"""Which findings are processed at once: within budgets that no name in a report can multiply.

A sender chooses the source of its events, and the accounts in them. So beside the quota of each source there is one
for all findings, and a smaller one for those whose account is not known yet: each of them may cost a lookup. A
monitored account that this instance knows has a share of its own, so that a flood about other accounts, or in the
name of another source, does not delay its leaks. What is over loses nothing: it is durable and waits in the queue,
and is decided with the next batch of its account.

In the memory of one process: a quota is per instance (docs/decisions, "Floods").
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.containment.rate_limit import RateLimit

_SHARE = 60  # findings an hour of each known account: one a minute, after the first sixty
_ALL = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Findings an hour: of one source, of all, and of all whose account is not known."""

    source: int
    findings: int
    unattributed: int


class Admission:
    """Counts findings against the budgets."""

    def __init__(self, quotas: Quotas, *, clock: Callable[[], datetime]) -> None:
        self._sources = RateLimit(an_hour=quotas.source, clock=clock)
        self._findings = RateLimit(an_hour=quotas.findings, clock=clock)
        self._unattributed = RateLimit(an_hour=quotas.unattributed, clock=clock)
        self._shares = RateLimit(an_hour=_SHARE, clock=clock)

    def over_by(self, *, source: str, account: str | None) -> float:
        """Count a finding; return in how many seconds it would be within every budget, 0 if it is.

        `account` is the name of the monitored account that it is about, None where none is known. A budget is not
        charged for what another one holds back.
        """
        if account is not None and self._shares.take(account, 1) == 0.0:
            return 0.0
        wait = self._sources.over_by(source)
        if wait == 0.0 and account is None:
            wait = self._unattributed.over_by(_ALL)
        return wait or self._findings.over_by(_ALL)
