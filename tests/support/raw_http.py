"""Requests as bytes, for what HTTP clients do not send."""

import asyncio
import io
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RawAnswer:
    """A response. `headers` have names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


async def exchange(base_url: str, head: str, body: bytes = b"") -> RawAnswer:
    """Send `head` (lines without Host) and `body` on a connection of its own. Raises ConnectionError on a reset."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        lines = [*head.strip().splitlines(), f"Host: {parts.netloc}", "Connection: close"]
        writer.write("\r\n".join(line.strip() for line in lines).encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()
        received = await reader.read()
    finally:
        writer.close()
    answer = HTTPResponse(_Bytes(received), method=head.split(maxsplit=1)[0])  # type: ignore[arg-type]
    answer.begin()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return RawAnswer(answer.status, headers, answer.read())


def chunked(body: bytes) -> bytes:
    """Return `body` in one chunk."""
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
