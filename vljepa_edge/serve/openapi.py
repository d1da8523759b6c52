"""The OpenAPI document: every request, what it takes and what it answers."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, get_args

from pydantic import BaseModel

from vljepa_edge.serve.bodies import Change, NewStream
from vljepa_edge.serve.channel import State
from vljepa_edge.serve.describe import STAGES
from vljepa_edge.store.store import State as StoreState
from vljepa_edge.streaming.event import Status

_NUMBER, _COUNT, _TEXT = {"type": "number"}, {"type": "integer", "minimum": 0}, {"type": "string"}


def build_document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vljepa serve",
            "version": version("vljepa-edge"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "What happens in video streams, as it happens. Times are seconds, latencies milliseconds.",
        },
        "security": [{"bearer": []}, {}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "Where the server has a token."}
            },
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    stream = _answer("The stream as it is now.", "Stream")
    which = _asked("stream", _TEXT, "The name of a stream; the first without.")
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT, "description": "Of a stream."}
    number = {"name": "number", "in": "path", "required": True, "schema": _COUNT, "description": "The id of an event."}
    page = _content("text/html", _TEXT, "A page for people.")
    jpeg = _content("image/jpeg", {"type": "string", "format": "binary"}, "A JPEG.")
    return {
        "/": {"get": _operation("page", "The live page.", page)},
        "/streams": {
            "get": _operation("listStreams", "All streams and how they are doing.", _answer("Streams.", "Streams")),
            "post": _operation("addStream", "Begin to read a source.", stream, body=NewStream, status="201"),
        },
        "/streams/{name}": {
            "parameters": [name],
            "get": _operation("showStream", "One stream.", stream),
            "patch": _operation("changeStream", "Ask, watch for, or cut by something else.", stream, body=Change),
            "delete": _operation("removeStream", "Stop a stream.", {"description": "It is gone."}, status="204"),
        },
        "/events": {
            "get": _operation(
                "events",
                "Events as they happen: server-sent events, or a WebSocket where the client asks to upgrade. Messages "
                "are `event` (data: Event), `hop` (data: Hop), `lost`, `dropped` and `closed`. A WebSocket sends "
                '{"type": ..., "data": ...} for each.',
                _content("text/event-stream", _TEXT, "Messages without an end."),
                parameters=[
                    _asked("since", _COUNT, "Begin with the kept events after this id."),
                    {"name": "Last-Event-ID", "in": "header", "schema": _COUNT, "description": "Goes before `since`."},
                    _asked("stream", _TEXT, "Events of this stream alone."),
                    _asked("hops", {"type": "integer", "enum": [0, 1]}, "1: hops, too."),
                ],
            )
        },
        "/events/{number}.jpg": {
            "parameters": [number],
            "get": _operation("eventPicture", "The frame at which what an event tells of was first seen.", jpeg),
        },
        "/frame.jpg": {"get": _operation("frame", "The newest frame.", jpeg, parameters=[which])},
        "/video.mjpg": {
            "get": _operation(
                "video",
                "A live picture: JPEGs one after the other, which browsers show as a picture.",
                _content("multipart/x-mixed-replace", _TEXT, "JPEGs without an end."),
                parameters=[which, _asked("rate", {"type": "number", "minimum": 0.1, "maximum": 30}, "A second.")],
            )
        },
        "/health": {
            "get": _operation(
                "health",
                "Whether all is well. It needs no token.",
                _answer("Health.", "Health"),
                ill=_answer("All frames or texts fail; a new start of the server loads the model again.", "Health"),
            )
            | {"security": [{}]}
        },
        "/metrics": {"get": _operation("metrics", "Counts for Prometheus.", _content("text/plain", _TEXT, "Counts."))},
        "/openapi.json": {
            "get": _operation("openapi", "This document.", _content("application/json", {"type": "object"}, "It."))
        },
    }


def _operation(
    ident: str,
    summary: str,
    answer: dict[str, Any],
    *,
    status: str = "200",
    parameters: list[dict[str, Any]] | None = None,
    body: type[BaseModel] | None = None,
    ill: dict[str, Any] | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": ident,
        "summary": summary,
        "responses": {status: answer, "default": _answer("Why not.", "Error")},
    }
    if ill is not None:
        made["responses"]["503"] = ill
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return made


def _asked(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _content(kind: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return _content("application/json", {"$ref": f"#/components/schemas/{schema}"}, description)


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _list_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _schemas() -> dict[str, Any]:
    bodies = {kind.__name__: kind.model_json_schema() for kind in (NewStream, Change)}
    p = _object({"p50": _or_null(_NUMBER), "p99": _or_null(_NUMBER)}, "Milliseconds; null before the first.")
    times = {"start": _NUMBER, "end": _or_null(_NUMBER), "decided_at": _NUMBER}
    stream = {
        "name": _TEXT, "source": _TEXT, "live": {"type": "boolean"}, "state": {"enum": list(get_args(State))},
        "error": _or_null(_TEXT), "reopened": _COUNT, "query": _list_of(_TEXT), "watch": _list_of(_TEXT),
        "heads": _list_of(_object({"name": _or_null(_TEXT), "events": _list_of(_TEXT)}, "A taught head.")),
        "policy": _TEXT, "threshold": _or_null(_NUMBER), "time": _or_null(_NUMBER),
        **dict.fromkeys(("frames", "still", "hops", "hops_idle", "hops_put_off", "decodes", "reuses"), _COUNT),
        **dict.fromkeys(("events", "dropped", "errors"), _COUNT),
        "latency_ms": _object(dict.fromkeys(STAGES, p), "By stage."),
    }
    event = {
        "id": _COUNT, "begun": _or_null(_COUNT), "stream": _TEXT, "at": _NUMBER, "picture": _or_null(_TEXT),
        "status": {"enum": list(get_args(Status))}, **times, "text": _TEXT, "confidence": _or_null(_NUMBER),
        "wording": {"enum": ["specific", "general", "none"]}, "reused": {"type": "boolean"},
        "change": _or_null(_NUMBER), "query": _TEXT, "segment": {"type": "integer"},
        "latency_ms": {"type": "object", "additionalProperties": _NUMBER},
    }
    hop = {"stream": _TEXT, "time": _NUMBER, "query": _TEXT, "change": _or_null(_NUMBER)}
    ill = "Streams in each state; degraded: one is not opening, running or ended, the store not ok, the broker away."
    health = {"status": {"enum": ["ok", "degraded"]}, "streams": {"type": "object", "additionalProperties": _COUNT}}
    stored = {"enum": list(get_args(StoreState)), "description": "Where there is a store."}
    broker = {"connected": {"type": "boolean"}, "waiting": _COUNT, "lost": _COUNT}
    mqtt = _object(broker, "With --mqtt. `waiting`: messages; `lost`: events that made way while the broker was away.")
    return {
        **bodies,
        "Stream": _object(stream, "A stream. `time`: of its newest frame. `dropped`: frames that came too late."),
        "Streams": _object({"streams": _list_of({"$ref": "#/components/schemas/Stream"})}, "All streams."),
        "Event": _object(
            event, "`id` rises from event to event. `begun` is the id of that at which it began. `at` is Unix time."
        ),
        "Hop": _object(hop, "How much changed at a look of the model, by its policy's measure."),
        "Health": _object(health, ill) | {"properties": health | {"store": stored, "mqtt": mqtt}},
        "Error": _object({"error": _object({"type": _TEXT, "message": _TEXT}, "What is wrong.")}, "A request failed."),
    }
