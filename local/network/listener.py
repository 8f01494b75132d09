"""Serves an ASGI app on a loopback socket, inside the running event loop.

Uses uvicorn's HTTP/1.1 protocol without its server: no signal handlers, no lifespan, no process-wide logging, so that
several listeners can run in one process.
"""

import asyncio
import socket
import ssl
import struct
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

TRANSPORT = "local.transport"  # in scope["extensions"]: the asyncio.Transport of the connection
_KEEP_ALIVE_SECONDS = 120
_LARGEST_HEAD = 128 * 1024
_BACKLOG = 1024
_STOP_SECONDS = 2


class TransportProtocol(H11Protocol):
    """Gives the app access to its transport, so that a fault can cut the connection at any time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            try:
                await cast(ASGIApp, app)(scope, receive, send)
            except asyncio.CancelledError:
                # `Listener.stop` canceled it and closed its connection; uvicorn would log a failure of the app.
                return

        self.app = cast(Any, with_transport)


class Listener:
    """Serves `app` on 127.0.0.1 from `start` to `stop`. `port` 0: a free one."""

    def __init__(self, app: ASGIApp, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._app = app
        self._tls = tls
        self._wanted_port = port
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Start to listen. Raises OSError if the port is in use."""
        config = uvicorn.Config(
            cast(Any, self._app),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
        config.load()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: TransportProtocol(config=config, server_state=self._state, app_state={}),
            host="127.0.0.1",
            port=self._wanted_port,
            ssl=self._tls,
            backlog=_BACKLOG,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection, and wait until their requests have ended."""
        if self._server is None:
            return
        self._server.close()
        self._server.abort_clients()
        if tasks := set(self._state.tasks):
            _, stuck = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in stuck:
                task.cancel()
        await self._server.wait_closed()


def reset(transport: asyncio.BaseTransport) -> None:
    """Reset a connection: the peer gets a TCP reset instead of an orderly close."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast(asyncio.Transport, transport).abort()
