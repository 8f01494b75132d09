"""Reads of Azure Resource Manager without an SDK of their own: plain GETs through the storage management client.

Paths are built by the callers, from ids that ARM itself returned.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient

from shared.cloud.errors import translate_errors
from shared.errors import Blocked

_MOST_PAGES = 1000


@dataclass(frozen=True, slots=True)
class ArmReader:
    """Reads resources and lists of them. All raise TransientFailure or Blocked.

    `resource_manager` is ARM's URL.
    """

    client_for: Callable[[str], StorageManagementClient]
    _: KW_ONLY
    resource_manager: str

    async def one(self, subscription: str, path: str, *, doing: str) -> Mapping[str, Any]:
        """Return the resource at `path`, which has its api-version."""
        return await self._get(subscription, path, doing=doing)

    async def rows(self, subscription: str, path: str, *, doing: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items of the list at `path`, page after page."""
        async for page in self.pages(subscription, path, doing=doing):
            for row in page:
                yield row

    async def pages(self, subscription: str, path: str, *, doing: str) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Yield the pages of the list at `path`, for callers that stop early."""
        url = path
        for _ in range(_MOST_PAGES):
            body = await self._get(subscription, url, doing=doing)
            yield body.get("value") or ()
            url = body.get("nextLink") or ""
            if not url:
                return
            if not url.startswith(f"{self.resource_manager}/"):  # our token is sent along
                raise Blocked(f"{doing} failed: its next page is not on Azure Resource Manager. Check the network.")

    async def _get(self, subscription: str, url: str, *, doing: str) -> Mapping[str, Any]:
        return await json_of(self.client_for(subscription), HttpRequest("GET", url), doing=doing)


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
