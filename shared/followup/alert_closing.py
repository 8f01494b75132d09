"""Says where a leak was reported that it is dead: closes the alerts that other tools keep of it."""

from collections.abc import Callable, Mapping
from typing import Protocol

from shared.actions.registry import ACTION_SPECS
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.revocation import Outcome, Reason, Revocation
from shared.errors import NotFound
from shared.redaction import redact

_LONGEST = 280  # characters: GitHub takes no longer comment


class ClosesAlerts(Protocol):
    """A tool that keeps alerts."""

    async def close(self, alert: AlertReference, comment: str) -> str:
        """Close `alert`; return what was done, as a sentence. Raises Blocked or TransientFailure."""


class AlertCloser:
    """Closes alerts of the tools that are set up; `tools` make each at its first use, None for one that is not."""

    def __init__(self, tools: Mapping[AlertSource, Callable[[], ClosesAlerts | None]]) -> None:
        self._tools = tools

    async def close(self, alert: AlertReference, revocation: Revocation) -> str:
        """Close `alert`, which the dead leak of `revocation` was reported by. Raises Blocked or TransientFailure.

        Returns what was done as a sentence; also where it can't be closed, and nothing but a person will change that.
        """
        tool = self._tools[alert.source]()
        if tool is None:
            return f"{alert} was left open: the settings have nothing to close it with."
        try:
            return await tool.close(alert, comment(revocation))
        except NotFound:
            return f"{alert} is not there any more, or not for this app."


def comment(revocation: Revocation) -> str:
    """Return what is told of a dead leak where it was reported: at most 280 characters, and no secret."""
    execution, account, credential = revocation.execution, revocation.account, revocation.finding.credential
    if execution is not None and account is not None:
        what = ACTION_SPECS[execution.action].done(execution.target, account.name)
    else:
        what = revocation.detail
    verification = revocation.verification
    if verification is not None and verification.outcome is Outcome.PROVEN:
        how = "Refused, by proof."
    else:
        how = "" if revocation.reason is Reason.COVERED else "Proven by ARM only."
    c3id = f"C3ID {credential.c3id}, " if credential is not None else ""
    ids = f"({c3id}record {revocation.fingerprint[:12]})"
    text = redact(" ".join(part for part in (f"Revoked by Sasquash: {what}", how) if part))
    return f"{text[: _LONGEST - len(ids) - 1]} {ids}"
