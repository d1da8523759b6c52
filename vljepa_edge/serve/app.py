"""The routes: what is answered to which request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from vljepa_edge.errors import HeadError, InputError, VideoError, VLJepaError
from vljepa_edge.serve.access import Access, refuse
from vljepa_edge.serve.bodies import Change, NewStream, read_body
from vljepa_edge.serve.channel import Channel
from vljepa_edge.serve.describe import describe, health
from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.metrics import Metrics
from vljepa_edge.serve.older import Older
from vljepa_edge.serve.openapi import build_document
from vljepa_edge.serve.page import page_policy, read_page
from vljepa_edge.serve.refusal import Refusal, not_by_request, too_many
from vljepa_edge.serve.sending import Listener, event_socket, event_stream, live_picture
from vljepa_edge.video.inputs import is_of_program

if TYPE_CHECKING:
    from vljepa_edge.serve.mqtt.publisher import Publisher

_NUMBER = re.compile(r"[0-9]{1,18}")  # of an event: longer ones than SQLite and int() take are none
_MOST_RATE = 30.0  # pictures a second
_DEFAULT_RATE = 8.0


def build_app(hub: Hub, token: str | None = None, publisher: Publisher | None = None) -> ASGIApp:
    """The ASGI application of a hub. With a token, who doesn't send it is told nothing but /health, which with
    /metrics tells of a publisher, too."""
    routes = Routes(hub, publisher)
    return Starlette(
        routes=routes.all(),
        middleware=[Middleware(Access, token=token)],
        exception_handlers={VLJepaError: _refused, HTTPException: _refused_by_starlette, Exception: _failed},
    )


class Routes:
    """Answers to requests about one hub."""

    def __init__(self, hub: Hub, publisher: Publisher | None = None) -> None:
        self._hub = hub
        self._publisher = publisher
        self._metrics = Metrics(hub, publisher)
        self._viewers = 0
        self._page = read_page()
        self._policy = page_policy(self._page)

    def all(self) -> list[Route | WebSocketRoute]:
        """Every route."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/streams", self.list_streams, methods=["GET"]),
            Route("/streams", self.add_stream, methods=["POST"]),
            Route("/streams/{name}", self.show_stream, methods=["GET"]),
            Route("/streams/{name}", self.change_stream, methods=["PATCH"]),
            Route("/streams/{name}", self.remove_stream, methods=["DELETE"]),
            Route("/events", self.events, methods=["GET"]),
            WebSocketRoute("/events", self.events_socket),
            Route("/events/{number}.jpg", self.event_picture, methods=["GET"]),
            Route("/frame.jpg", self.frame, methods=["GET"]),
            Route("/video.mjpg", self.video, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """The live page."""
        return HTMLResponse(self._page, headers={"content-security-policy": self._policy})

    # --- streams ---

    async def list_streams(self, request: Request) -> Response:
        """What streams there are and how they are doing."""
        return JSONResponse({"streams": await run_in_threadpool(lambda: list(map(self._describe, self._hub.channels)))})

    async def add_stream(self, request: Request) -> Response:
        """Begin to read a source."""
        body = await read_body(request, NewStream)
        if is_of_program(body.source):
            raise not_by_request(body.source)

        def add() -> dict[str, Any]:
            options = self._hub.options.changed(
                policy=body.policy, hop=body.hop, decode=body.decode, min_confidence=body.min_confidence,
                reuse=body.reuse, still=body.still,
            )  # fmt: skip
            heads = self._hub.shelf.take(body.heads)
            channel = self._hub.add(
                body.source, body.name, query=body.query, watch=body.watch, hold=body.hold, heads=heads, options=options
            )
            return self._describe(channel)

        made = await run_in_threadpool(add)
        return JSONResponse(made, 201, {"location": f"/streams/{made['name']}"})

    async def show_stream(self, request: Request) -> Response:
        """One stream."""
        channel = self._hub.channel(request.path_params["name"])
        return JSONResponse(await run_in_threadpool(self._describe, channel))

    async def change_stream(self, request: Request) -> Response:
        """Ask, watch for, or cut by something else."""
        body = await read_body(request, Change)
        given = {name: value for name in body.model_fields_set if (value := getattr(body, name)) is not None}
        name = request.path_params["name"]

        def change() -> dict[str, Any]:
            heads = {"heads": self._hub.shelf.take(body.heads)} if body.heads is not None else {}
            return self._describe(self._hub.change(name, **given | heads))

        return JSONResponse(await run_in_threadpool(change))

    async def remove_stream(self, request: Request) -> Response:
        """Stop a stream."""
        await run_in_threadpool(self._hub.remove, request.path_params["name"])
        return Response(status_code=204)

    # --- events and pictures ---

    async def events(self, request: Request) -> Response:
        """Server-sent events. A browser that connects again says in a header what it saw last."""
        last = request.headers.get("last-event-id")
        return event_stream(self._listener(request.query_params, last))

    async def events_socket(self, socket: WebSocket) -> None:
        """The same over a WebSocket."""
        try:
            listener = self._listener(socket.query_params, None)
        except VLJepaError as error:
            await socket.send_denial_response(_answer(error))
            return
        await event_socket(socket, listener)

    async def event_picture(self, request: Request) -> Response:
        """What an event was about."""
        text: str = request.path_params["number"]
        number = int(text) if _NUMBER.fullmatch(text) else -1
        picture = self._hub.pictures.get(number)
        store = self._hub.store
        if picture is None and store is not None:
            picture = await run_in_threadpool(store.reader.picture, number)
        if picture is None:
            raise Refusal(404, "NoPicture", "there is no such picture, or it made way for newer ones")
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def frame(self, request: Request) -> Response:
        """The newest frame of a stream."""
        channel = self._chosen(request)
        made = await run_in_threadpool(channel.tap.newest)
        if made is None:
            raise Refusal(503, "NoFrame", f"no frame of {channel.name!r} has come so far ({channel.state})")
        return Response(made[1], media_type="image/jpeg")

    async def video(self, request: Request) -> Response:
        """A stream as a live picture."""
        channel = self._chosen(request)
        rate = _number(request.query_params, "rate", _DEFAULT_RATE, 0.1, _MOST_RATE)
        most = self._hub.limits.clients
        if self._viewers >= most:
            raise too_many("live pictures", most)
        self._viewers += 1
        return live_picture(channel.tap, rate, lambda: channel in self._hub.channels, self._viewer_left)

    # --- for machines ---

    async def health(self, request: Request) -> Response:
        """Whether all is well. 503 where a new start of the server is what helps."""
        told = health(self._hub, self._publisher)
        return JSONResponse(told, 503 if "failing" in told["streams"] else 200)

    async def metrics(self, request: Request) -> Response:
        """Counts for Prometheus."""
        document, kind = await run_in_threadpool(self._metrics.render, request.headers.get("accept", ""))
        return Response(document, headers={"content-type": kind})

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(build_document())

    def _describe(self, channel: Channel) -> dict[str, Any]:
        return describe(channel, self._hub.shelf)

    def _viewer_left(self) -> None:
        self._viewers -= 1

    def _listener(self, asked: QueryParams, last: str | None) -> Listener:
        stream = asked.get("stream")
        if stream is not None:
            self._hub.channel(stream)
        since = _whole(last, "Last-Event-ID") if last else _whole(asked.get("since"), "since")
        hops = _number(asked, "hops", 0, 0, 1) == 1
        store = self._hub.store
        older = Older(store.reader, stream) if store is not None and since else None  # 0: what is in memory
        return Listener(self._hub.feed, since=since, stream=stream, hops=hops, older=older)

    def _chosen(self, request: Request) -> Channel:
        """The stream that a request names; the first where it names none."""
        name = request.query_params.get("stream")
        if name is None:
            channels = self._hub.channels
            if not channels:
                raise Refusal(404, "UnknownStream", "there is no stream so far")
            return channels[0]
        return self._hub.channel(name)


def _whole(text: str | None, what: str) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InputError(f"{what} must be the id of an event, an integer of at most 18 digits, got {text[:40]!r}")
    return int(text)


def _number(asked: QueryParams, name: str, default: float, least: float, most: float) -> float:
    text = asked.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise InputError(f"{name} must be a number from {least:g} to {most:g}, got {text[:40]!r}")
    return value


def _answer(error: VLJepaError) -> Response:
    if isinstance(error, Refusal):
        return refuse(error)
    given = isinstance(error, InputError | VideoError | HeadError)
    return refuse(Refusal(400 if given else 500, type(error).__name__, str(error)))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, VLJepaError)
    return _answer(error)


async def _refused_by_starlette(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kinds = {404: "NotFound", 405: "NotAllowed"}
    return refuse(Refusal(error.status_code, kinds.get(error.status_code, "HttpError"), error.detail), error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return refuse(Refusal(500, "ServerError", "the server failed; its log says how"))
