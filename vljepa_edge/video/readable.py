"""What a decoder raises becomes a VideoError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from av.error import FFmpegError

from vljepa_edge.errors import VideoError, VLJepaError
from vljepa_edge.video.frame import Frame


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Within it, what a decoder raises at bytes that nobody foresaw, of whatever type, is a VideoError."""
    try:
        yield
    except VLJepaError:
        raise
    except (OSError, FFmpegError) as error:
        reason = f"{type(error).__name__}: {error.strerror}"
    except Exception as error:
        raise VideoError(name, f"can't be read ({type(error).__name__}: {error})") from error
    else:
        return
    raise VideoError(name, f"can't be read ({reason})")  # not in the handler: these errors have the URL or path


def read_all(name: str, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames, read as `readable` says."""
    with readable(name):
        yield from frames
