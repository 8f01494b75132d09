"""The queue `findings`, in which Event Grid puts events in a private network, where it can't call the app.

A message is one event in either schema, as JSON or as base64 of it: reports about the form contradict each other
(MicrosoftDocs/azure-docs#69702, #102923). A list of events is read too, since that is how Event Grid calls a webhook.
"""

import json
from collections.abc import Mapping

from shared.domain.report import Report, report_of_event
from shared.errors import MalformedEvent
from shared.persistence.queues import json_in


def read(stored: bytes) -> tuple[Report, ...]:
    """Return the reports in a message. Raises MalformedEvent for what Event Grid did not write."""
    try:
        found: object = json.loads(json_in(stored).decode())
    except (ValueError, RecursionError):
        raise _foreign() from None
    events = found if isinstance(found, list) else [found]
    if not events:
        raise _foreign()
    return tuple(_report(event) for event in events)


def _report(event: object) -> Report:
    if not isinstance(event, Mapping):
        raise _foreign()
    return report_of_event(event)


def _foreign() -> MalformedEvent:
    return MalformedEvent("A message of the queue for findings is no event: only Event Grid may write to it.")
