"""The public keys of the tenant's access tokens, fetched from Entra ID at first use and cached.

Source: learn.microsoft.com, "Signing key rollover in the Microsoft identity platform". New keys are published before
they are used; in an emergency, a key is replaced immediately.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from shared.cloud.errors import from_status, retry_after, translate_errors
from shared.errors import SasquashError, TransientFailure

_log = logging.getLogger(__name__)

_LIFETIME = timedelta(hours=24)  # then they are fetched again, so that a withdrawn key stops being trusted
_PAUSE = timedelta(minutes=1)  # between two fetches: anyone can send tokens with invented key ids
_PAUSE_AFTER_FAILURE = timedelta(seconds=5)
_TIMEOUT = 5.0  # seconds
_DOING = "Fetching Entra ID's signing keys"


class _KeySet(msgspec.Struct):
    """RFC 7517, section 5."""

    keys: list[dict[str, Any]]


class SigningKeys:
    """The keys at `url` (a JSON Web Key Set), by id."""

    def __init__(
        self,
        url: str,
        new_transport: Callable[[], AsyncHttpTransport[HttpRequest, AsyncHttpResponse]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._url = url
        self._new_transport = new_transport
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetching = asyncio.Lock()
        self._fetch_at = self._stale_at = datetime.min.replace(tzinfo=UTC)
        self._failed = False

    async def find(self, key_id: str) -> PyJWK | None:
        """Return the key, None if Entra ID has no key with this id. Raises TransientFailure if the fetch failed."""
        if self._needs_fetch(key_id):
            async with self._fetching:
                if self._needs_fetch(key_id):  # another caller may have fetched them meanwhile
                    await self._refresh()
        key = self._keys.get(key_id)
        if key is None and self._failed:
            raise TransientFailure(
                f"{_DOING} failed, and the token's key is not cached.",
                retry_after=_PAUSE_AFTER_FAILURE.total_seconds(),
            )
        return key

    def _needs_fetch(self, key_id: str) -> bool:
        now = self._clock()
        return now >= self._fetch_at and (key_id not in self._keys or now >= self._stale_at)

    async def _refresh(self) -> None:
        """Fetch the keys; on failure, keep the cached ones."""
        now = self._clock()
        try:
            self._keys = await self._fetch()
        except SasquashError as error:
            _log.warning("%s", error)
            self._failed, self._fetch_at = True, now + _PAUSE_AFTER_FAILURE
        else:
            self._failed, self._fetch_at, self._stale_at = False, now + _PAUSE, now + _LIFETIME

    async def _fetch(self) -> dict[str, PyJWK]:
        request = HttpRequest("GET", self._url, headers={"Accept": "application/json"})
        with translate_errors(_DOING):
            try:
                async with asyncio.timeout(_TIMEOUT), self._new_transport() as transport:
                    response = await transport.send(request, connection_timeout=_TIMEOUT, read_timeout=_TIMEOUT)
                    body = await response.read()
            except TimeoutError:
                raise TransientFailure(f"{_DOING} failed: no answer within {_TIMEOUT:.0f} s.") from None
        if response.status_code != 200:
            raise from_status(response.status_code, None, doing=_DOING, retry_after=retry_after(response.headers))
        keys = _read(body)
        if not keys:
            raise TransientFailure(f"{_DOING} failed: the response has none.")
        return keys


def _read(body: bytes) -> dict[str, PyJWK]:
    """Return the RSA signing keys in a key set, and ignore all others."""
    try:
        entries = msgspec.json.decode(body, type=_KeySet).keys
    except msgspec.DecodeError:
        return {}
    return {entry["kid"]: key for entry in entries if (key := _key(entry)) is not None}


def _key(entry: dict[str, Any]) -> PyJWK | None:
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
        return None
    try:
        return PyJWK(entry, algorithm="RS256")
    except PyJWTError:
        return None
