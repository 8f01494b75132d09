"""Publishes findings on the Event Grid topic, as the signed-in identity: the only right that the intake has."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from shared.cloud.errors import from_azure, translate_errors
from shared.domain import event_size
from shared.domain.finding import Finding
from shared.domain.report import REPORTED
from shared.errors import Blocked, FindingTooLarge, SasquashError, TransientFailure

_LARGEST = 800_000  # bytes of one request; Event Grid takes a megabyte, envelopes included
_MOST = 500  # events of one request

type Event = CloudEvent[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Sends findings. `client` is asked for when there is something to send."""

    client: Callable[[], EventGridPublisherClient]

    async def publish(self, findings: Iterable[Finding], *, source: str) -> None:
        """Publish what the source `source` reported. Raises TransientFailure: then it is to be reported again.

        Some of it may be published by then; twice is once. Raises FindingTooLarge before anything is published.
        """
        found = tuple(findings)
        _require_size(found)
        for batch in _batches(_event(finding, source=source) for finding in found):
            with translate_errors("Publishing findings on the Event Grid topic", meaning=_retryable):
                await self.client().send(batch)


def _require_size(findings: Iterable[Finding]) -> None:
    for finding in findings:
        size = event_size.size_of(finding.to_data())
        if size > event_size.LARGEST:
            raise FindingTooLarge(
                f"Finding {finding.fingerprint[:12]} has {size} bytes, and an event holds {event_size.LARGEST}. "
                "Submit the leak by the responders' API (POST /api/revocations)."
            )


def _retryable(error: AzureError, *, doing: str) -> SasquashError:
    """Return a transient failure even where Azure refuses: the reporter keeps its report and sends it again."""
    meaning = from_azure(error, doing=doing)
    return TransientFailure(str(meaning)) if isinstance(meaning, Blocked) else meaning


def _event(finding: Finding, *, source: str) -> Event:
    return CloudEvent(
        source=f"/intake/{source}",
        type=REPORTED,
        id=finding.fingerprint,
        subject=f"/findings/{finding.fingerprint}",
        data=finding.to_data(),
    )


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    size = 0
    for event in events:
        length = len(json.dumps(event.data)) + 500
        if batch and (size + length > _LARGEST or len(batch) == _MOST):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += length
    if batch:
        yield batch
