"""Reads of Azure Resource Manager without an SDK of their own: plain GETs through the storage management client.

Paths are built by the callers, from ids that ARM itself returned.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient

from shared.cloud.errors import translate_errors
from shared.errors import Blocked

_MOST_PAGES = 1000


class ArmReader:
    """Reads resources and lists of them. Both raise TransientFailure or Blocked."""

    def __init__(self, client_for: Callable[[str], StorageManagementClient], *, resource_manager: str) -> None:
        """`resource_manager` is ARM's URL."""
        self._client_for = client_for
        self._resource_manager = resource_manager

    async def one(self, subscription: str, path: str, *, doing: str) -> Mapping[str, Any]:
        """Return the resource at `path`, which has its api-version."""
        return await self._get(subscription, path, doing=doing)

    async def rows(self, subscription: str, path: str, *, doing: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items of the list at `path`, page after page."""
        url = path
        for _ in range(_MOST_PAGES):
            body = await self._get(subscription, url, doing=doing)
            for row in body.get("value") or ():
                yield row
            url = body.get("nextLink") or ""
            if not url:
                return
            if not url.startswith(f"{self._resource_manager}/"):  # our token is sent along
                raise Blocked(f"{doing} failed: its next page is not on Azure Resource Manager. Check the network.")

    async def _get(self, subscription: str, url: str, *, doing: str) -> Mapping[str, Any]:
        return await json_of(self._client_for(subscription), HttpRequest("GET", url), doing=doing)


async def json_of(
    client: StorageManagementClient, request: HttpRequest, *, doing: str, **options: Any
) -> Mapping[str, Any]:
    """Return ARM's response to a request without an SDK; `options` are the pipeline's.

    Raises TransientFailure or Blocked.
    """
    with translate_errors(doing):
        response = await client.send_request(request, **options)
        await response.read()
        response.raise_for_status()
    body: Mapping[str, Any] = response.json()
    return body
