"""Reads an alert again at its service, before people are asked to act on what a report quotes from it.

A publisher on the topic can make evidence up (decision 40). What the service says is the responder's own reading;
where it can't be read, the request for approval says so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from shared.domain.alert import AlertEvidence, AlertSource
from shared.domain.approval import EvidenceCheck, EvidenceOutcome
from shared.domain.finding import Finding
from shared.domain.pending_steps import needs_evidence_check
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.text import clean
from shared.errors import Blocked, NotFound, TransientFailure
from shared.followup.step import Done
from shared.persistence.store import Store
from shared.sources.findings import Found
from shared.sources.registry import Tool

_PATIENCE = timedelta(minutes=10)  # then people are asked, although the service does not respond
_LONGEST_FAILURE = 500
_ON_THEIR_WORD = "Nothing but the report itself says that this token was used."


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceStep:
    """Reads the alert of a record that stands for evidence. `tools` are as in `AlertReader`."""

    name: ClassVar[str] = "evidence"
    leased: ClassVar[bool] = False

    tools: Mapping[AlertSource, Callable[[], Tool | None]]
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once for each evaluation that requires approval."""
        return 0 if needs_evidence_check(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Read it. Raises TransientFailure for some minutes; then the record says that it could not be read."""
        evidence = revocation.finding.evidence
        if evidence is None:
            return Done()
        outcome, said = await self._read(evidence, revocation)
        check = EvidenceCheck(outcome, self.store.clock(), said)

        def checked(current: Revocation) -> Revocation | None:
            return replace(current, evidence_check=check) if needs_evidence_check(current) else None

        return Done(checked, said)

    async def _read(self, evidence: AlertEvidence, revocation: Revocation) -> tuple[EvidenceOutcome, str]:
        alert = revocation.finding.alert
        if alert is None:
            return EvidenceOutcome.UNCHECKED, f"The report names no alert that could be read again. {_ON_THEIR_WORD}"
        tool = self.tools[alert.source]()
        if tool is None:
            why = f"{alert} could not be read again: its tool is not configured."
            return EvidenceOutcome.UNCHECKED, f"{why} {_ON_THEIR_WORD}"
        try:
            found = await tool.read(alert, Found(self.store.clock))
        except NotFound:
            why = f"{alert} does not exist, or the app has no access to it."
            return EvidenceOutcome.DIFFERS, f"{why} {_ON_THEIR_WORD}"
        except (Blocked, TransientFailure) as error:
            if isinstance(error, TransientFailure) and self._is_early(revocation):
                raise
            why = f"{alert} could not be read again: {clean(str(error), limit=_LONGEST_FAILURE)}"
            return EvidenceOutcome.UNCHECKED, f"{why} {_ON_THEIR_WORD}"
        if any(_says_the_same(one, evidence) for one in _evidence(found)):
            return (
                EvidenceOutcome.CONFIRMED,
                f"{alert} was read again at its service, and names this account and key.",
            )
        return (
            EvidenceOutcome.DIFFERS,
            f"{alert} was read again at its service, and does not say this. {_ON_THEIR_WORD}",
        )

    def _is_early(self, revocation: Revocation) -> bool:
        asked = revocation.reached(State.AWAITING_APPROVAL) or revocation.received_at
        return self.store.clock() - asked < _PATIENCE


def _evidence(found: Iterable[Finding]) -> Iterable[AlertEvidence]:
    return (one.evidence for one in found if one.evidence is not None)


def _says_the_same(read: AlertEvidence, reported: AlertEvidence) -> bool:
    """Whether both are about one token: its account and key, and its signature where the report has it."""
    signature = reported.signature_sha256
    same_token = signature is None or read.signature_sha256 == signature
    return (read.account, read.key) == (reported.account, reported.key) and same_token
