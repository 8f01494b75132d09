"""A CONNECT proxy on loopback (RFC 9110 §9.3.6): tunnels Azure's host names to the front, and nothing else.

It only connects to the port of the front. It refuses an unknown host name with 403, and a storage account that does
not exist with 502, as a proxy does for a name that DNS cannot resolve.
"""

import asyncio
import logging
import socket
import sys
from typing import cast

from local.network import hostnames
from local.network.listener import reset
from local.tenant.model import Cloud

_logger = logging.getLogger(__name__)
_LARGEST_HEAD = 16 * 1024
_CONNECT_SECONDS = 10


class Proxy:
    """Listens from `start` to `stop`. Every accepted tunnel ends at `front_port`."""

    def __init__(self, cloud: Cloud, *, front_port: int) -> None:
        self._cloud = cloud
        self._front_port = front_port
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ClientSide(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server.abort_clients()
        await self._server.wait_closed()

    def refusal(self, target: str) -> tuple[str, str] | None:
        """Return why `target` ("host:port") is refused, as status line and explanation; None if it is accepted."""
        host, _, port = target.lower().rpartition(":")
        if not hostnames.is_known(host) or port != "443":
            return (
                "403 Forbidden",
                f"The local cloud has no stand-in for {target}, and no request leaves this machine.",
            )
        storage = hostnames.StorageHost.parse(host)
        if storage is not None and not self._cloud.has_storage(storage.account):
            return "502 Bad Gateway", f"{host} does not resolve: there is no storage account {storage.account}."
        return None

    @property
    def front_port(self) -> int:
        return self._front_port


class _Side(asyncio.Protocol):
    """One end of a tunnel: forwards data to its peer, no faster than the peer can write."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)

    def eof_received(self) -> None:
        """Returning None closes this side; `connection_lost` then closes the peer."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None:
            if exc is None:
                self.peer.close()
            else:
                reset(self.peer)

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()


class _ClientSide(_Side):
    """The client's end of a tunnel: reads the CONNECT request first."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._head = bytearray()
        self._connecting: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._acknowledge()
        if self.peer is not None:
            self.peer.write(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _LARGEST_HEAD:
                self._refuse("431 Request Header Fields Too Large", "This is not a CONNECT request.")
            return
        if self._connecting is not None:
            return  # the client sends data before the tunnel is established; it is forwarded later
        method, _, target = self._head[:end].split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = target.partition(" ")[0]
        if method != "CONNECT":
            self._refuse("405 Method Not Allowed", "Only CONNECT is supported; no request leaves this machine.")
            return
        refusal = self._proxy.refusal(target)
        if refusal is not None:
            _logger.info("refused a tunnel to %s: %s", target, refusal[0])
            self._refuse(*refusal)
            return
        del self._head[: end + 4]
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _acknowledge(self) -> None:
        """Send the TCP ACK at once: otherwise Nagle's algorithm in urllib3 delays requests with a body by 40 ms."""
        if sys.platform == "linux":
            connection = cast(asyncio.Transport, self.transport).get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _refuse(self, status: str, explanation: str) -> None:
        assert self.transport is not None
        body = explanation.encode() + b"\n"
        head = (f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close")
        self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self.transport.close()

    async def _connect(self) -> None:
        assert self.transport is not None
        front = _Side()
        front.peer = self.transport
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: front, "127.0.0.1", self._proxy.front_port
                )
        except OSError:  # TimeoutError is one
            self._refuse("502 Bad Gateway", "The front of the local cloud does not respond.")
            return
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if self._head:
            transport.write(bytes(self._head))
        self.peer = transport
