"""Sends the requests of deliveries."""

import ssl
from collections.abc import Mapping

import aiohttp

from local.event_grid.delivery import Answer


class HttpSender:
    """Sends to loopback, or through the proxy to Azure's host names. aiohttp logs no URLs, which may hold a key."""

    def __init__(self, *, proxy: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._proxy = proxy
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # No proxy from the environment, and no timeout but the caller's. Each connection is used once: a host that
        # closes an idle connection must not fail the first attempt of an event.
        self._session = aiohttp.ClientSession(
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._tls or True),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._session is None:
            raise RuntimeError("EventGrid.start() must be called before deliveries")
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False, proxy=self._proxy
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(status=response.status, headers=names, body=await response.read())
        except aiohttp.ClientError as error:
            raise OSError(type(error).__name__) from None
