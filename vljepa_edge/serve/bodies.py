"""The bodies of requests: what may be in them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from vljepa_edge.serve.refusal import Refusal

MOST_BYTES = 65_536  # of a body
PATIENCE = 10.0  # seconds in which it must come

_Text = Annotated[str, Field(max_length=1000)]
_Query = Annotated[
    _Text | Annotated[list[_Text], Field(max_length=16)],
    Field(description="One question or several; [] asks nothing."),
]
_Watch = Annotated[
    list[_Text] | dict[str, float | str | list[str] | None],
    Field(
        description="Labels to watch for, or a mapping from each to the probability at which it appears or to texts "
        "that stand for it; [] watches for nothing."
    ),
]
_Hold = Annotated[
    float, Field(ge=0, le=86400, description="Seconds that a label or an event must be seen before it has begun.")
]
_Heads = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(max_length=16, description="Names of taught heads, whose events are told; [] tells of none."),
]
_Policy = Annotated[_Text, Field(description="When a segment ends, e.g. running-ward:threshold=0.3.")]
B = TypeVar("B", bound=BaseModel)


class NewStream(BaseModel):
    """A stream to add. What is left out is as the server was started with."""

    model_config = ConfigDict(extra="forbid", strict=True, title="NewStream")

    source: Annotated[
        str, Field(min_length=1, max_length=4096, description="A file, an rtsp:// address, /dev/video0 or camera:0.")
    ]
    name: Annotated[str | None, Field(description="At most 32 letters, digits, _ and -.")] = None
    query: Annotated[_Query | None, Field(description="One question or several; null: the model's.")] = None
    watch: _Watch = []
    heads: _Heads = []
    hold: _Hold = 0.5
    policy: _Policy | None = None
    hop: Annotated[float | None, Field(description="Seconds between two looks; null: the model's.")] = None
    decode: Annotated[
        Literal["closed", "open", "both", "none"] | None, Field(description="Which events have a text.")
    ] = None
    min_confidence: Annotated[float | None, Field(description="0 to 1: which texts are sure enough.")] = None
    reuse: Annotated[
        float | None, Field(description="0 to 1: the cosine distance within which a text is used again; 0: none is.")
    ] = None
    still: Annotated[
        float | None, Field(description="0 to 255: levels of luma by which a still scene may differ from itself.")
    ] = None


class Change(BaseModel):
    """What to change of a stream, from its next hop on. What is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Change")

    query: _Query | None = None
    watch: _Watch | None = None
    heads: _Heads | None = None
    hold: _Hold = 0.5
    policy: _Policy | None = None


async def read_body(request: Request, kind: type[B]) -> B:
    """The body of a request. Raises Refusal for one that is no JSON, too long, too slow, or holds what it may not."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":  # also keeps forms of other pages out
        raise Refusal(415, "NotJson", f"the content type must be application/json, got {content_type or 'none'}")
    body = b""
    try:
        with anyio.fail_after(PATIENCE):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise Refusal(413, "TooLong", f"a body must have at most {MOST_BYTES} bytes")
    except TimeoutError:
        raise Refusal(408, "TooSlow", f"a body must come within {PATIENCE:g} s") from None
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refusal(400, "InputError", f"{place}: {first['msg']}") from None
