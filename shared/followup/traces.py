"""One trace for each leak, from its finding to the mail, in Application Insights (OpenTelemetry).

Spans are built from the record after the fact, not while a key is being revoked: a trace delays neither the cold
start nor the revocation, and continues on another machine. Ids are derived from the record, so that repetitions are
one span (docs/decisions/0019). Nothing depends on a trace: the exporter logs what it cannot send. The queries of
infra/queries read these spans.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.domain.revocation import Change, Notification, Revocation
from shared.domain.states import State
from shared.domain.text import clean

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_RESOURCE = Resource({"service.name": "sasquash"})
_ROOT = "finding"
_MAIL = "mail"
_NOT_WELL = frozenset({State.FAILED, State.UNRESOLVED})
_TIMEOUT = 10.0  # seconds, for one request


@dataclass(frozen=True, slots=True)
class Milestone:
    """A state or mail, and when it was reached. `since` is when the work for it began."""

    name: str
    since: datetime
    at: datetime
    well: bool = True
    reason: str = ""


def of_changes(revocation: Revocation, changes: Iterable[Change]) -> Iterator[Milestone]:
    """Yield the milestone of each state; with the first decided one, that of the finding itself."""
    for change in changes:
        before = _before(revocation, change)
        well, reason = change.state not in _NOT_WELL, change.reason.value if change.reason is not None else ""
        if all(earlier.state is State.RECEIVED for earlier in before):
            yield Milestone(_ROOT, revocation.received_at, change.at, well, reason)
        yield Milestone(change.state.value, _since(revocation, change), change.at, well, reason)


def _before(revocation: Revocation, change: Change) -> list[Change]:
    """Return the changes before this one, in the order in which they were written: the clocks of instances differ."""
    return list(takewhile(lambda earlier: earlier != change, revocation.changes))


def _since(revocation: Revocation, change: Change) -> datetime:
    """Return when Sasquash could start on that state: the receipt, the approval, or a new start."""
    starts = [earlier.at for earlier in _before(revocation, change) if earlier.state is State.RECEIVED]
    if revocation.approval is not None and change.state is not State.AWAITING_APPROVAL:
        starts.append(revocation.approval.at)
    return max((start for start in starts if start <= change.at), default=revocation.received_at)


def of_mail(revocation: Revocation, sent: Notification) -> Milestone:
    """Return the time from the state to its mail."""
    return Milestone(_MAIL, revocation.reached(sent.state) or revocation.received_at, sent.at)


class Traces:
    """Sends milestones as spans, in batches, from a thread of its own."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._processor = BatchSpanProcessor(exporter)

    def reached(self, revocation: Revocation, changes: Iterable[Change]) -> None:
        """Send within a few seconds that a record reached these states. Neither waits nor raises."""
        for milestone in of_changes(revocation, changes):
            self._processor.on_end(_span(revocation, milestone))

    def mailed(self, revocation: Revocation, sent: Notification) -> None:
        """Send within a few seconds that a mail was sent. Neither waits nor raises."""
        self._processor.on_end(_span(revocation, of_mail(revocation, sent)))

    def flush(self) -> None:
        """Send all pending spans, and wait for it."""
        self._processor.force_flush()


def azure_monitor(connection_string: str, *, client_id: str | None, authority: str) -> Traces:
    """Return traces to Application Insights, as the app's identity. Its imports take a quarter of a second."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415 -- heavy, and blocking
    from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter  # noqa: PLC0415 -- the same

    credential = (
        DefaultAzureCredential(authority=authority)
        if client_id is None
        else ManagedIdentityCredential(client_id=client_id)
    )
    exporter = AzureMonitorTraceExporter(
        connection_string=connection_string,
        credential=credential,
        disable_offline_storage=True,  # the platform's disks outlive the instance
        timeout=_TIMEOUT,
    )
    return Traces(exporter)


def _span(revocation: Revocation, milestone: Milestone) -> ReadableSpan:
    """Return a milestone as a span: the finding itself as its root, the others below it."""
    is_root = milestone.name == _ROOT
    root = _context(revocation, _ROOT)
    return ReadableSpan(
        name=milestone.name,
        context=root if is_root else _context(revocation, f"{milestone.name} {milestone.at.isoformat()}"),
        parent=None if is_root else root,
        kind=SpanKind.CONSUMER if is_root else SpanKind.INTERNAL,
        resource=_RESOURCE,
        start_time=_nanoseconds(milestone.since),
        end_time=_nanoseconds(milestone.at),
        status=Status(StatusCode.OK if milestone.well else StatusCode.ERROR),
        attributes=_attributes(revocation, milestone),
    )


def _attributes(revocation: Revocation, milestone: Milestone) -> dict[str, str]:
    """The attributes that the queries read: names and states, no credential."""
    plan = revocation.plan
    return {
        "sasquash.fingerprint": revocation.fingerprint,
        "sasquash.reason": milestone.reason,
        "sasquash.source": clean(revocation.finding.source),
        "sasquash.account": revocation.account.name if revocation.account is not None else "",
        "sasquash.action": plan.action.value if plan is not None else "",
    }


def _context(revocation: Revocation, name: str) -> SpanContext:
    """Return a span's ids. Made of the record and its time: the same leak, reported again, is the same trace."""
    trace = hashlib.sha256(f"{revocation.fingerprint} {revocation.received_at.isoformat()}".encode()).digest()
    span = hashlib.sha256(trace + name.encode()).digest()
    return SpanContext(
        trace_id=int.from_bytes(trace[:16]),
        span_id=int.from_bytes(span[:8]),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _nanoseconds(at: datetime) -> int:
    """Return nanoseconds since 1970, to the microsecond."""
    return round(at.timestamp() * 1_000_000) * 1000
