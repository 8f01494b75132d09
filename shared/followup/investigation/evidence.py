"""Reads alerts again at their services, before people are asked to act on what a report quotes from one.

A publisher on the topic can make evidence up (decision 40), or report a real alert's evidence first and name another
alert. So each alert that reports name may confirm the evidence, those of later reports included. What a service says
is the responder's own reading; where it can't be read, the request for approval says so.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from shared.domain.alert import AlertEvidence, AlertReference, AlertSource
from shared.domain.approval import EvidenceCheck, EvidenceOutcome, ReadAlert
from shared.domain.finding import Finding
from shared.domain.pending_steps import awaits_evidence_check, needs_evidence_check, unread_alerts
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.text import clean
from shared.errors import Blocked, NotFound, TransientFailure
from shared.followup.step import Done
from shared.persistence.store import Store
from shared.sources.findings import Found
from shared.sources.registry import Tool

_PATIENCE = timedelta(minutes=10)  # then people are asked, although a service does not respond
_BUDGET = 30.0  # seconds for the alerts of one run
_LATER = 60.0  # seconds until an alert whose service did not respond is read again, where others were read
_UPDATED_WITHIN = timedelta(days=1)  # an alert without a signature, since it was reported
_LONGEST_FAILURE = 500
_MOST_SAID = 3  # alerts of which `said` says why they do not confirm the evidence
_ON_THEIR_WORD = "Nothing but the report itself says that this token was used."
_NONE_NAMED = "The report names no alert that could be read again."
_MORE = "Reports named further alerts, which were not read: check in their tools."


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the service of an alert says about the evidence. `why` is one English sentence."""

    read: ReadAlert
    why: str


@dataclass(slots=True)
class _Reading:
    """The alerts of one run: those that were read, that failed for now, and for which there was no time."""

    waiting: list[AlertReference]
    answers: list[_Answer] = field(default_factory=list)
    failed: dict[AlertReference, TransientFailure] = field(default_factory=dict)

    @property
    def confirmed(self) -> _Answer | None:
        return next((one for one in self.answers if one.read.outcome is EvidenceOutcome.CONFIRMED), None)

    def next(self) -> AlertReference:
        """Take the next one; those of a service that does not respond come last: each may take long."""
        down = {alert.source for alert in self.failed}
        alert = next((alert for alert in self.waiting if alert.source not in down), self.waiting[0])
        self.waiting.remove(alert)
        return alert


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceStep:
    """Reads the alerts of a record that stands for evidence. `tools` are as in `AlertReader`."""

    name: ClassVar[str] = "evidence"
    leased: ClassVar[bool] = False

    tools: Mapping[AlertSource, Callable[[], Tool | None]]
    store: Store

    def due_in(self, revocation: Revocation) -> float | None:
        """Due once for each evaluation that requires approval, and for each alert that is named later."""
        return 0 if needs_evidence_check(revocation) else None

    async def run(self, revocation: Revocation) -> Done:
        """Read the alerts, until one confirms the evidence.

        Raises TransientFailure where services do not respond: at first for some minutes, before people are asked.
        """
        evidence = revocation.finding.evidence
        if evidence is None or not needs_evidence_check(revocation):
            return Done()
        reading = await self._read(unread_alerts(revocation), evidence)
        if reading.failed and reading.confirmed is None:
            people_wait = awaits_evidence_check(revocation)
            if (people_wait and self._is_early(revocation)) or not (people_wait or reading.answers):
                raise next(iter(reading.failed.values()))

        def checked(current: Revocation) -> Revocation | None:
            if not needs_evidence_check(current):
                return None
            return replace(current, evidence_check=self._check(reading, current))

        again = _LATER if reading.failed else 0.0 if reading.waiting else None
        return Done(
            checked, self._check(reading, revocation).said, again=again if reading.confirmed is None else None
        )

    async def _read(self, alerts: Sequence[AlertReference], evidence: AlertEvidence) -> _Reading:
        reading, time = _Reading(list(alerts)), asyncio.get_running_loop().time
        until = time() + _BUDGET
        while reading.waiting and reading.confirmed is None and time() < until:
            alert = reading.next()
            try:
                reading.answers.append(await self._answer(alert, evidence))
            except TransientFailure as error:
                reading.failed[alert] = error
        return reading

    async def _answer(self, alert: AlertReference, evidence: AlertEvidence) -> _Answer:
        """Return what the alert's service says. Raises TransientFailure."""
        tool = self.tools[alert.source]()
        if tool is None:
            why = f"{alert} could not be read again: its tool is not configured."
            return _Answer(ReadAlert(alert, EvidenceOutcome.UNCHECKED), why)
        try:
            found = await tool.read(alert, Found(self.store.clock))
        except NotFound:
            why = f"{alert} does not exist, or the app has no access to it."
            return _Answer(ReadAlert(alert, EvidenceOutcome.DIFFERS), why)
        except Blocked as error:
            return _Answer(ReadAlert(alert, EvidenceOutcome.UNCHECKED), _not_read(alert, error))
        if any(_says_the_same(one, evidence) for one in _evidence(found)):
            why = f"{alert} was read again at its service, and names this account and key."
            return _Answer(ReadAlert(alert, EvidenceOutcome.CONFIRMED), why)
        why = f"{alert} was read again at its service, and does not say this."
        return _Answer(ReadAlert(alert, EvidenceOutcome.DIFFERS), why)

    def _check(self, reading: _Reading, current: Revocation) -> EvidenceCheck:
        """Return the check with what was read now, beside what another run has read."""
        before = current.evidence_check.read if current.evidence_check is not None else ()
        new = tuple(one.read for one in reading.answers if one.read not in before)
        read, now = (*before, *new), self.store.clock()
        if reading.confirmed is not None:
            return EvidenceCheck(EvidenceOutcome.CONFIRMED, now, reading.confirmed.why, read)
        whys = [one.why for one in reading.answers]
        whys += [_not_read(alert, error) for alert, error in reading.failed.items()]
        outcomes = {one.outcome for one in read}
        differs = outcomes == {EvidenceOutcome.DIFFERS} and not reading.failed
        others = len({one.alert for one in read} | reading.failed.keys()) - len(whys[:_MOST_SAID])
        said = [
            *(whys[:_MOST_SAID] or [_NONE_NAMED]),
            *((f"{others} other alerts that reports name do not confirm it either.",) if others > 0 else ()),
            *((_MORE,) if current.named_alerts.left_out else ()),
            _ON_THEIR_WORD,
        ]
        outcome = EvidenceOutcome.DIFFERS if differs else EvidenceOutcome.UNCHECKED
        return EvidenceCheck(outcome, now, " ".join(said), read)

    def _is_early(self, revocation: Revocation) -> bool:
        asked = revocation.reached(State.AWAITING_APPROVAL) or revocation.received_at
        return self.store.clock() - asked < _PATIENCE


def _not_read(alert: AlertReference, error: Exception) -> str:
    return f"{alert} could not be read again: {clean(str(error), limit=_LONGEST_FAILURE)}"


def _evidence(found: Iterable[Finding]) -> Iterable[AlertEvidence]:
    return (one.evidence for one in found if one.evidence is not None)


def _says_the_same(read: AlertEvidence, reported: AlertEvidence) -> bool:
    """Whether both are about one token of this account and key: about one signature.

    Where the alert has none, title and time stand for it, as in `AlertEvidence.fingerprint`; the alert may have been
    updated since the report. Without this, one real alert would confirm any number of made-up reports, each of which
    has a mail of its own then.
    """
    if (read.account, read.key, read.signature_sha256) != (reported.account, reported.key, reported.signature_sha256):
        return False
    is_same_use = read.title == reported.title and timedelta(0) <= read.seen_at - reported.seen_at <= _UPDATED_WITHIN
    return read.signature_sha256 is not None or is_same_use
