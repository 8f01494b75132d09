"""CloudEvents over HTTP: our own event `Sasquash.Finding.Reported.v1` with a raw secret in it, one or a batch.

CloudEvents 1.0, "HTTP Protocol Binding", structured and batched content mode. Findings without a secret are accepted
on the Event Grid topic only: a reader of the storage logs knows parameters and hash, so that over HTTP they would
prove nothing (design decision 4).
"""

from collections.abc import Iterator, Mapping

from shared.domain.report import REPORTED, report_of_event
from shared.errors import MalformedEvent
from shared.sources.entries import Entry, Invalid, InvalidPayload, Skip, Skipped, Text, text_of
from shared.sources.json_body import parse


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each event. Raises InvalidPayload or InvalidRequest."""
    events = parse(body)
    if isinstance(events, Mapping):
        events = [events]
    if not isinstance(events, list):
        raise InvalidPayload("The body is neither a CloudEvent nor a batch of them.")
    yield from (_entry(event) for event in events)


def _entry(event: object) -> Entry:
    if not isinstance(event, Mapping):
        return Invalid("The event is not an object.")
    try:
        report = report_of_event(event)
    except MalformedEvent as error:
        return Invalid(str(error))
    if report.event_type != REPORTED:
        return Skipped(Skip.OTHER_EVENT)
    if not isinstance(report.data, Mapping):
        return Invalid("The event's data is not an object.")
    secret = text_of(report.data, "secret")
    if secret is None:
        return Invalid(
            "`data.secret` is missing or not a string. Publish findings without it on the Event Grid topic."
        )
    return Text(secret, url=text_of(report.data, "url"), detected_at=text_of(report.data, "detected_at"))
