"""JSON over HTTPS for services without an SDK: each call has a time limit and raises the errors of `shared.errors`.

A call is sent once: callers have a queue that retries, and azure-core's own policy would sleep for as long as
Retry-After says.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncHTTPPolicy, SansIOHTTPPolicy, UserAgentPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.cloud.clients import Transport
from shared.cloud.errors import from_azure, from_status, retry_after
from shared.errors import AnswerTooLarge, TransientFailure

_LARGEST = 4 * 1024 * 1024  # bytes of an answer
_TIME = 20.0  # seconds for a call
_OPTIONS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "stream": True}  # no redirects are followed


class Parts(TypedDict, total=False):
    """The optional parts of a call; `body` is sent as JSON, `content` is JSON that was signed as it is."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object
    content: bytes


class Rest:
    """One service. Callers build its paths from validated values.

    `authentication` is the pipeline's policy that adds credentials; without one, `call` gets them as headers.
    """

    def __init__(
        self,
        base_url: str,
        transport: Transport,
        *,
        authentication: AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        policies = [
            UserAgentPolicy(base_user_agent="sasquash"),
            *((authentication,) if authentication is not None else ()),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            self._base_url, policies=policies, transport=transport
        )

    async def call(self, method: str, path: str, *, doing: str, right: str, **parts: Unpack[Parts]) -> Any:
        """Return the JSON of a successful answer, None where it is empty. `path` begins with "/".

        `doing` completes "… failed"; `right` is the permission that is missing after a refusal. Raises
        NotFound, Blocked or TransientFailure; their messages hold nothing of the answer.
        """
        content = await self.content(method, path, doing=doing, right=right, **parts)
        if not content:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise TransientFailure(f"{doing} failed: the answer is not JSON.") from None

    async def content(self, method: str, path: str, *, doing: str, right: str, **parts: Unpack[Parts]) -> bytes:
        """Return the body of a successful answer. As `call` in all else."""
        headers = dict(parts.get("headers", {}))
        if "content" in parts:
            headers["Content-Type"] = "application/json"
        request = HttpRequest(
            method,
            f"{self._base_url}{path}",
            params=dict(parts.get("query", {})),
            headers=headers,
            json=parts.get("body"),
            content=parts.get("content"),
        )
        try:
            async with asyncio.timeout(_TIME):
                return await self._send(request, doing=doing, right=right)
        except AzureError as error:
            # Without a cause: its text may hold the answer.
            raise from_azure(error, doing=doing) from None
        except TimeoutError:
            raise TransientFailure(f"{doing} failed: no answer within {_TIME:.0f} s.") from None

    async def _send(self, request: HttpRequest, *, doing: str, right: str) -> bytes:
        async with await self._client.send_request(request, **_OPTIONS) as response:
            if response.status_code >= 300:
                status = 429 if _is_throttled(response) else response.status_code
                wait = retry_after(response.headers)
                raise from_status(status, None, doing=doing, retry_after=wait, right=right)
            content = bytearray()
            async for part in response.iter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise AnswerTooLarge(f"{doing} failed: the response is over {_LARGEST} bytes. Check the service.")
            return bytes(content)


def _is_throttled(response: AsyncHttpResponse) -> bool:
    """Whether a refusal only means that there were too many calls.

    GitHub says 403 as well as 429 then ("Rate limits for the REST API", "Exceeding the rate limit").
    """
    headers = response.headers
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return response.status_code == 403 and spent
