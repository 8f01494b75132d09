"""A Storage queue as the destination of the subscription, with delivery as the topic's own identity.

Sources: "Storage queue as an event handler for Azure Event Grid events" and "Event delivery with a managed identity"
(role Storage Queue Data Message Sender); Azure/azure-rest-api-specs, eventgrid 2025-02-15,
StorageQueueEventSubscriptionDestinationProperties (queueMessageTimeToLiveInSeconds: "-1 to indicate that the Time To
Live of the message is Infinite"); "Put Message" (XML, `messagettl`, 64 KiB); "Event Grid message delivery and retry"
for the codes that are not retried.

Whether a message is JSON or base64 of it: MicrosoftDocs/azure-docs#69702 (2021) says JSON, #102923 (2022) base64.
"""

import base64
import json
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from local.event_grid.delivery import Answer, Send
from local.event_grid.schemas import Event

NOT_RETRIED = frozenset({400, 403, 413})  # of Azure resources
_FOREVER = -1
_API_VERSION = "2021-12-02"  # since 2017-07-29 a message may live for ever


class Encoding(StrEnum):
    """The two forms that are reported."""

    PLAIN = "plain"
    BASE64 = "base64"


class StorageQueue:
    """Puts each event into one message. `token` returns an access token of the topic's identity for storage."""

    not_retried = NOT_RETRIED

    def __init__(self, account: str, queue: str, *, send: Send, token: Callable[[], str]) -> None:
        self._url = f"https://{account}.queue.core.windows.net/{queue}/messages?messagettl={_FOREVER}"
        self._send = send
        self._token = token
        self.encoding = Encoding.BASE64

    @property
    def host(self) -> str:
        return urlsplit(self._url).netloc

    async def put(self, event: Event) -> Answer:
        """Put the event into a message. Raises OSError when storage cannot be reached."""
        text = json.dumps(event.envelope)
        if self.encoding is Encoding.BASE64:
            text = base64.b64encode(text.encode()).decode()
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>"
        headers = {
            "authorization": f"Bearer {self._token()}",
            "content-type": "application/xml",
            "x-ms-version": _API_VERSION,
        }
        return await self._send("POST", self._url, headers, body.encode())
