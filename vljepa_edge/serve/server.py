"""Serving a hub by HTTP: an address, uvicorn, and an end that lets no client wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from vljepa_edge.errors import InputError
from vljepa_edge.serve.access import check_token
from vljepa_edge.serve.app import build_app
from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.sending import ABORT
from vljepa_edge.support.arguments import as_whole

if TYPE_CHECKING:
    from vljepa_edge.serve.mqtt.publisher import Publisher

_CONNECTIONS = 4  # for each client of events: pictures and requests beside it
_GRACE = 2  # seconds that answers may take once the server stops
_HEAD = 10.0  # seconds in which the head of a request must come


class Server(uvicorn.Server):
    """Serves a hub until it is told to stop (`should_exit`, Ctrl-C, SIGTERM), then closes the hub.

    Clients are told of the segments that close with the streams, then that the server stops.
    """

    def __init__(
        self,
        hub: Hub,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        """Binds the address. `port` 0: a free one. `publisher`: the hub's, that /health and /metrics tell of. Raises
        InputError for an address that can't be had, and one that other machines reach without a token."""
        self._hub = hub
        checked = check_token(token, host)
        self.socket = _bind(host, as_whole(port, "port", 0, 65535))
        self.address = _address(self.socket)
        config = uvicorn.Config(
            build_app(hub, checked, publisher),
            http=_Protocol,
            ws=_SocketProtocol,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            limit_concurrency=_CONNECTIONS * hub.limits.clients,
            timeout_graceful_shutdown=_GRACE,
            ws_max_size=4096,
            ws_per_message_deflate=False,
        )
        super().__init__(config)

    def serve_forever(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until told to stop; `ready` is called first."""
        ready()
        self.run(sockets=[self.socket])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the hub, then the connections."""
        await asyncio.to_thread(self._hub.close)
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP whose answers may cut off their connection: one that waits for a client to read could end no other way. A
    connection that asks nothing, or half of something, is closed: phones that walk away leave such ones for good."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _abortable(self.app, transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forgive()

    def _watch(self) -> None:
        """Wait for a head, so long, unless a request is answered or has become a WebSocket."""
        waits = self.cycle is None or self.cycle.response_complete
        if not waits or self.transport.get_protocol() is not self:
            self._forgive()
        elif self._late is None:
            self._late = self.loop.call_later(_HEAD, self.transport.abort)

    def _forgive(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _SocketProtocol(WebSocketsSansIOProtocol):
    """The same for WebSockets."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _abortable(self.app, transport)


def _abortable(app: Any, transport: Any) -> ASGIApp:
    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ABORT] = transport.abort
        await app(scope, receive, send)

    return told


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(128)
        except BaseException:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"can't serve on {host} port {port}: {reason}") from error
    return bound


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
