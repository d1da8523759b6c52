"""Why a request is refused: an error with an HTTP status and a name that programs can compare."""

from __future__ import annotations

from vljepa_edge.errors import VLJepaError, redacted


class Refusal(VLJepaError):
    """A request that can't be answered. `status` is HTTP's, `kind` one word for programs."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def unknown_stream(name: str, known: list[str]) -> Refusal:
    """No stream has this name."""
    return Refusal(404, "UnknownStream", f"there is no stream {name!r}; there are: {', '.join(known) or 'none'}")


def unknown_head(name: str, known: list[str]) -> Refusal:
    """No head has this name."""
    return Refusal(400, "UnknownHead", f"there is no head {name!r}; there are: {', '.join(known) or 'none'}")


def not_by_request(source: str) -> Refusal:
    """A source that only who starts the server may name: a pipeline may write files."""
    return Refusal(
        400, "NotByRequest", f"the source {redacted(source)!r} can be named where the server is started only"
    )


def name_taken(name: str) -> Refusal:
    """Another stream has this name."""
    return Refusal(409, "NameTaken", f"a stream {name!r} is there already; remove it, or choose another name")


def too_many(what: str, most: int) -> Refusal:
    """A limit of the server is reached."""
    return Refusal(503, "TooMany", f"there are {most} {what} already, the most that this server takes")
