"""One unconfirmed finding, as it is counted and listed in the incident and the mail of its kind. Pure.

A kind is a state and its reason. There are about twenty, whatever is reported: no sender can add one.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.decision.effective_permissions import of_record
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.sas import Severity, assess

_SEVERITIES = {severity.value: number for number, severity in enumerate(reversed(Severity))}
_LONGEST_DETAIL = 400  # characters


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One record. It holds no credential; its texts come from outside, unchanged.

    `monitored`: its account was found. `detail` says what failed; it is empty for other states. Lines that an earlier
    version stored have none of the last three.
    """

    fingerprint: str
    c3id: str
    state: State
    reason: Reason | None
    account: str | None
    host: str | None
    source: str
    url: str | None
    at: datetime
    deadline: datetime | None
    severity: str = ""
    monitored: bool = False
    detail: str = ""

    @classmethod
    def of(cls, revocation: Revocation) -> "SummaryLine":
        """Return the line for a record as it stands."""
        finding, credential = revocation.finding, revocation.finding.credential
        at, granted = revocation.changes[-1].at, of_record(revocation)
        return cls(
            fingerprint=revocation.fingerprint,
            c3id=credential.c3id if credential is not None else revocation.fingerprint[:20],
            state=revocation.state,
            reason=revocation.reason,
            account=revocation.account_name,
            host=credential.host if credential is not None else None,
            source=finding.source,
            url=finding.url,
            at=at,
            deadline=revocation.deadline if revocation.state is State.AWAITING_APPROVAL else None,
            severity=assess(granted, now=at).severity.value if granted is not None else "",
            monitored=revocation.account is not None,
            detail=revocation.detail[:_LONGEST_DETAIL] if revocation.state is State.FAILED else "",
        )

    @property
    def kind(self) -> str:
        """What it shares an incident and a mail with: the findings in the same state for the same reason."""
        return kind_of(self.state, self.reason)

    @property
    def rank(self) -> tuple[bool, int, datetime, str]:
        """Its place among lines of its state, the worst first: monitored accounts, by severity, then by time."""
        return (not self.monitored, _SEVERITIES.get(self.severity, len(_SEVERITIES)), self.at, self.fingerprint)


def kind_of(state: State, reason: Reason | None) -> str:
    """Return the kind of the findings in a state for a reason."""
    return f"{state}~{reason or ''}"
