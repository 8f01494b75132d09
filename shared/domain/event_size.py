"""How large the event of a finding may be.

In a private network Event Grid writes each event into a message of a Storage queue ("Put Message": "the encoded
message can be up to 64 KiB"). It writes JSON or base64 of it, a third longer; reports contradict each other
(MicrosoftDocs/azure-docs#69702, #102923). What is larger would reach the responder as a dead letter, minutes late.
A publisher does not know where its topic delivers to, so the limit holds everywhere.
"""

import json
from collections.abc import Mapping

_MESSAGE = 64 * 1024
_ENVELOPE = 1024  # of the event, around its data
LARGEST = _MESSAGE * 3 // 4 - _ENVELOPE
"""Bytes of an event's data, as JSON."""


def size_of(data: object) -> int:
    """Return the bytes of `data` as Event Grid's SDK sends it: JSON with every character beyond ASCII escaped."""
    return len(json.dumps(data))


def fits(data: Mapping[str, object]) -> bool:
    """Whether an event may carry `data`."""
    return size_of(data) <= LARGEST
