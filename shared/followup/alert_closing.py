"""Closes the alerts of other tools that reported a leak, once it is revoked and they prove to be about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.actions.registry import ACTION_SPECS
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Revoked
from shared.domain.execution import Outcome
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.text import inert
from shared.errors import NotFound

_LONGEST = 280  # characters of a comment, the limit of GitHub


class ClosesAlerts(Protocol):
    """A tool with alerts."""

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        """Close `alert` if it is about what was `revoked`, else leave it open. Raises Blocked or TransientFailure."""


@dataclass(frozen=True, slots=True)
class AlertCloser:
    """Closes alerts of the configured tools; `tools` create each at its first use, None for one without settings."""

    tools: Mapping[AlertSource, Callable[[], ClosesAlerts | None]]

    async def close(self, alert: AlertReference, revocation: Revocation) -> Closing:
        """Close `alert`, which a report of the revoked leak named. Raises Blocked or TransientFailure.

        Returns what was done, also where the alert was left open for good.
        """
        tool = self.tools[alert.source]()
        if tool is None:
            return Closing(f"{alert} was left open: closing it is not configured.", closed=False)
        try:
            return await tool.close(alert, comment(revocation), revoked=Revoked.of(revocation))
        except NotFound:
            said = f"{alert} was left open: it does not exist any more, or the app has no access to it."
            return Closing(said, closed=False)


def comment(revocation: Revocation) -> str:
    """Return the comment on the alert of a revoked leak: at most 280 characters, no secret."""
    execution, account, credential = revocation.execution, revocation.account, revocation.finding.credential
    if execution is not None and account is not None:
        what = ACTION_SPECS[execution.action].happened(execution, account.name)
    else:
        what = revocation.detail
    verification = revocation.verification
    if verification is not None and verification.outcome is Outcome.PROVEN:
        how = "Verified: Azure no longer accepts it."
    else:
        how = "" if revocation.reason is Reason.COVERED else "Verified by ARM only."
    c3id = f"C3ID {credential.c3id}, " if credential is not None else ""
    ids = f"({c3id}record {revocation.fingerprint[:12]})"
    by = "Revoked by Sasquash" if execution is None or execution.is_ours else "Revoked"
    text = inert(" ".join(part for part in (f"{by}: {what}", how) if part))
    return f"{text[: _LONGEST - len(ids) - 1]} {ids}"
