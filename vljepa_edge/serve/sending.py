"""Answers without an end: events as they come, and a live picture. A client that does not read is let go."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from vljepa_edge.serve.feed import Batch, Client, Feed, Record
from vljepa_edge.serve.older import Older
from vljepa_edge.serve.pictures import Tap

ABORT = "vljepa.abort"  # a key of the scope: a function that closes the connection at once
PATIENCE = 5.0  # seconds that a client may take to make room
_HEARTBEAT = 10.0  # seconds; so that proxies and clients see that the connection lives
_RETRY = 1000  # milliseconds after which a browser connects again
_BOUNDARY = b"--frame"


class Endless(Response):
    """Sends parts as they are made, until there are no more or the client is gone. `ended` is called at the end.

    One that has not made room for a part within PATIENCE seconds is cut off.
    """

    def __init__(self, parts: AsyncIterator[bytes], media_type: str, ended: Callable[[], object]) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self._parts = parts
        self._ended = ended
        self.init_headers({"x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await self._send_head(send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_when_gone, receive, tasks.cancel_scope)
                if not await self._send(send):
                    scope.get(ABORT, _nothing)()
                tasks.cancel_scope.cancel()
        finally:
            self._ended()

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _send(self, send: Send) -> bool:
        """Whether the client took it all."""
        taken = await _in_time(self._send_head(send))
        async for part in self._parts:
            taken = taken and await _in_time(send({"type": "http.response.body", "body": part, "more_body": True}))
            if not taken:
                return False
        return await _in_time(send({"type": "http.response.body", "body": b"", "more_body": False}))


async def _in_time(sending: Awaitable[None]) -> bool:
    """Whether something was sent within PATIENCE seconds."""
    with anyio.move_on_after(PATIENCE) as scope:
        await sending
    return not scope.cancelled_caught


class Listener:
    """A client of a feed, awaited in the event loop that it is made in."""

    def __init__(
        self, feed: Feed, *, since: int | None, stream: str | None, hops: bool, older: Older | None = None
    ) -> None:
        """older: events that the feed keeps no more. Raises Refusal where there are too many clients."""
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._feed = feed
        self.client: Client = feed.join(self._ring, since=since, stream=stream, hops=hops)
        self._rung.set()  # the backlog
        self._older = older
        self._since = since or 0

    async def lost(self) -> int:
        """How many events of this feed after `since` are nowhere."""
        if self._older is None or not self.client.lost:
            return self.client.lost
        since = max(self._since, self._feed.first - 1)
        return max(0, self.client.lost - await run_in_threadpool(self._older.count, since, self.client.first))

    async def next(self) -> Batch:
        """What came, at once when something does, and nothing after a while of silence. Older events come first."""
        if self._older is not None:
            found = await run_in_threadpool(self._older.page, self._since, self.client.first)
            if found:
                self._since = found[-1].number or self._since
                return Batch(found, None)
            self._older = None
        with anyio.move_on_after(_HEARTBEAT):
            await self._rung.wait()
        self._rung.clear()
        return self.client.take()

    def leave(self) -> None:
        """Listen no more."""
        self._feed.leave(self.client)

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._rung.set)


def event_stream(listener: Listener) -> Endless:
    """Server-sent events: `event`, with its number as the id, and `hop`. At the beginning `lost` says how many events
    after `since` are not kept any more; at the end `dropped` or `closed` says why."""

    async def parts() -> AsyncIterator[bytes]:
        yield f"retry: {_RETRY}\n\n".encode()
        lost, end = await listener.lost(), None
        if lost:
            yield _sse("lost", json.dumps({"events": lost}))
        while end is None:
            records, end = await listener.next()
            yield b"".join(map(_record, records)) or b":\n\n"
        yield _sse(*_END[end])

    return Endless(parts(), "text/event-stream", listener.leave)


async def event_socket(socket: WebSocket, listener: Listener) -> None:
    """The same over a WebSocket: a JSON object a message, {"type": "event", "data": {...}}. What the client says is not
    read."""

    async def tell() -> bool:
        """Whether the client took it all."""
        lost, end = await listener.lost(), None
        if lost and not await _in_time(_send_text(socket, "lost", json.dumps({"events": lost}))):
            return False
        while end is None:
            records, end = await listener.next()
            for record in records:
                if not await _in_time(_send_text(socket, record.kind, record.data)):
                    return False
        return await _in_time(_send_text(socket, *_END[end]))

    try:
        await socket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_when_closed, socket, tasks.cancel_scope)
            if not (await tell() and await _in_time(socket.close(1001))):
                socket.scope.get(ABORT, _nothing)()
            tasks.cancel_scope.cancel()
    finally:
        listener.leave()


def live_picture(tap: Tap, rate: float, is_there: Callable[[], bool], ended: Callable[[], object]) -> Endless:
    """JPEGs of the newest frame, one after the other, at most `rate` a second: MJPEG, which browsers show as a picture.
    Who reads slowly sees fewer of them, none late. It ends when `is_there` says no."""

    async def parts() -> AsyncIterator[bytes]:
        shown = 0
        yield _BOUNDARY + b"\r\n"
        while is_there():
            made = await run_in_threadpool(tap.newest) if tap.number != shown else None
            if made is not None:
                shown, picture = made
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
                yield head + picture + b"\r\n" + _BOUNDARY + b"\r\n"  # with the next boundary it is shown at once
            await anyio.sleep(1 / rate)

    return Endless(parts(), "multipart/x-mixed-replace; boundary=frame", ended)


_END = {
    "slow": ("dropped", '{"reason":"this client did not read fast enough"}'),
    "closed": ("closed", '{"reason":"the server stops"}'),
}


def _record(record: Record) -> bytes:
    return _sse(record.kind, record.data, record.number)


def _sse(kind: str, data: str, number: int | None = None) -> bytes:
    ident = "" if number is None else f"id: {number}\n"
    return f"{ident}event: {kind}\ndata: {data}\n\n".encode()


async def _send_text(socket: WebSocket, kind: str, data: str) -> None:
    await socket.send_text(f'{{"type":"{kind}","data":{data}}}')


async def _end_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _end_when_closed(socket: WebSocket, scope: anyio.CancelScope) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
    scope.cancel()


def _nothing() -> None:
    """Where a server can't cut off a connection, as in tests, its end does."""
