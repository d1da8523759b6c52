"""What each kind of source gives before its frames are sampled and scaled: a kind a function."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import numpy as np

from vljepa_edge._core import EARLY, Grid
from vljepa_edge.errors import VideoError, redacted
from vljepa_edge.video import http as web
from vljepa_edge.video import live as alive
from vljepa_edge.video import recorded
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Pictures, SourceStats
from vljepa_edge.video.gstreamer import Pipeline, hidden, is_pipeline
from vljepa_edge.video.packets import PacketRing
from vljepa_edge.video.readable import readable
from vljepa_edge.video.recording import Recording
from vljepa_edge.video.standard_input import NAME, STANDARD_INPUT, open_standard_input

ALLOWED = (
    "a source must be a video or image file, a bag, an rtsp://, http:// or https:// URL, - for standard input, "
    "/dev/videoN, camera:N, a GStreamer pipeline, an array or an iterable of (array, seconds)"
)


@dataclass(frozen=True)
class Asked:
    """What open_source was asked for, and what it shares with who reads."""

    fps: float | None
    live: bool | None
    timeout: float
    retry_for: float
    ring: PacketRing | None
    stats: SourceStats
    stopped: threading.Event


@dataclass(frozen=True)
class Input:
    """Pictures of a source.

    live      whether only the latest is kept
    grid      on which they are sampled
    file      what is read ahead, and closed by who reads; None where the iterator is all
    decoded   whether a decoder makes them, whose errors are to become VideoErrors
    ends      whether it is a recording, which comes to an end
    silence   seconds without a picture after which a live source is lost; None: any number
    patience  seconds that a hanging read is waited for at the end
    """

    name: str
    pictures: Pictures
    live: bool
    grid: Grid
    file: recorded.File | Pipeline | None = None
    decoded: bool = True
    ends: bool = False
    silence: float | None = None
    patience: float = 1.0


def open_input(source: object, text: str | None, asked: Asked) -> Input:
    """Opens a source; text: what it is where it is a text or a path. Raises VideoError."""
    if text is not None:
        connect = _live_connection(text, asked.stats, asked.timeout)
        if connect is not None:
            return _connection(text, connect, asked)
        if is_pipeline(text):
            return _pipeline(text, asked)
        return _recording(text, NAME if text == STANDARD_INPUT else redacted(text), asked)
    if isinstance(source, Recording):
        return _recording(source, source.name, asked)
    if asked.ring is not None:
        raise VideoError("the source", f"objects of type {type(source).__name__} hold no encoded video to record")
    return _in_memory(source, asked)


def _connection(text: str, connect: alive.Connect, asked: Asked) -> Input:
    """What a camera, an RTSP or an HTTP address sends."""
    name, stats = redacted(text), asked.stats
    if asked.ring is not None:
        connect = partial(_recorded, connect, asked.ring)
    with readable(name):
        decoder = alive.interruptibly(connect)
    by_http = web.is_http(text)
    if by_http and decoder.has_end:
        return _file(name, decoder, asked)
    if asked.live is False:
        return Input(name, recorded.decoded(decoder, stats), False, Grid(asked.fps, EARLY), decoder)
    held = web.at_their_time if by_http and web.is_playlist(text) else None
    patience = Input.patience + web.wait_for(text, asked.timeout)
    pictures = alive.reconnecting(name, connect, decoder, stats, asked.retry_for, asked.stopped, held)
    silence = patience + asked.retry_for
    return Input(name, pictures, True, Grid(asked.fps, EARLY), silence=silence, patience=patience)


def _pipeline(text: str, asked: Asked) -> Input:
    """What the appsink of a GStreamer pipeline gives."""
    name, live = hidden(text), asked.live is not False
    if asked.ring is not None:
        raise VideoError(name, "can't be recorded: a pipeline gives raw pictures")
    pipeline = Pipeline(text, asked.stats, asked.timeout, asked.stopped, drop=live)
    silence = Input.patience + asked.timeout + asked.retry_for
    pictures = recorded.decoded(pipeline, asked.stats)
    return Input(name, pictures, live, Grid(asked.fps, EARLY), pipeline, silence=silence)


def _recording(source: str | Recording, name: str, asked: Asked) -> Input:
    """What a file, a bag or standard input holds."""
    with readable(name):
        opened = _open_recorded(source, asked.stats, asked.timeout + asked.retry_for, asked.stopped, asked.ring)
    return _file(name, opened, asked)


def _file(name: str, file: recorded.File, asked: Asked) -> Input:
    """What has an end: read ahead, or in real time if it is to be live."""
    pictures = recorded.decoded(file, asked.stats)
    if asked.live:
        pictures = alive.paced(pictures, asked.stopped)
    return Input(name, pictures, bool(asked.live), Grid(asked.fps), file, ends=True)


def _in_memory(source: object, asked: Asked) -> Input:
    """Arrays, which have no decoder: what iterating over them raises is the user's."""
    live, grid, stats = bool(asked.live), Grid(asked.fps, EARLY), asked.stats
    if isinstance(source, np.ndarray) and source.ndim != 4:
        return Input("an array", recorded.single(source, stats), live, grid, decoded=False)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, memoryview)):
        pictures = recorded.arrays(source, asked.fps, stats)
        return Input("an iterable of frames", pictures, live, grid, decoded=False)
    kind = f"objects of type {type(source).__name__}"
    raise VideoError("the source", f"{kind} are not a source of frames; {_hint(source)}")


def _hint(source: object) -> str:
    """What to give in place of it."""
    if isinstance(source, int) and not isinstance(source, bool) and 0 <= source < 100:
        return f"for a camera give 'camera:{source}'"
    if hasattr(source, "convert") and hasattr(source, "__array_interface__"):  # of Pillow
        return "for an image of Pillow give numpy.asarray(image.convert('RGB'))"
    return ALLOWED


def is_of_program(source: str) -> bool:
    """Whether a text names what only who starts a program may name: its standard input, or a GStreamer pipeline, whose
    elements may write files."""
    return source == STANDARD_INPUT or is_pipeline(source, or_file=True)


def is_live(source: str) -> bool:
    """Whether a text names a camera, an address or a pipeline rather than a file. Raises VideoError for one that names
    nothing."""
    return _live_connection(source, SourceStats(), 1.0) is not None or is_pipeline(source)


def _open_recorded(
    source: str | Recording, stats: SourceStats, silence: float, stopped: threading.Event, ring: PacketRing | None
) -> recorded.File:
    if isinstance(source, Recording):
        opened: recorded.File = source._open(stats)
    elif source == STANDARD_INPUT:
        opened = open_standard_input(stats, silence, stopped)
    else:
        opened = recorded.open_file(file_path(source), stats)
    if ring is None:
        return opened
    if isinstance(opened, Decoder):
        return _recorded(lambda: opened, ring)
    opened.close()
    name = source.name if isinstance(source, Recording) else source
    raise VideoError(name, "can't be recorded: it holds no encoded video")


def _recorded(connect: alive.Connect, ring: PacketRing) -> Decoder:
    decoder = connect()
    try:
        decoder.record(ring)
    except BaseException:
        decoder.close()
        raise
    return decoder


def file_path(text: str) -> str:
    """The path that `text` is, or that it names as a file:// URL. Raises VideoError for a file of another host."""
    if not text.lower().startswith("file://"):
        return text
    host, slash, path = text[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost"):
        shown = f", {host}" if re.fullmatch(r"[\w.-]+", host) and "@" not in path else ""
        raise VideoError(text, f"a file of another host{shown}; name it by a path or file:///path")
    return unquote(slash + path)


def _live_connection(text: str, stats: SourceStats, timeout: float) -> alive.Connect | None:
    """How to connect to what `text` names; None if it names a file."""
    if re.match(r"rtsps?:/", text, re.IGNORECASE):
        return alive.rtsp(text, stats, timeout)
    if web.is_http(text):
        return web.http(text, stats, web.wait_for(text, timeout))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme is not None and scheme[1].lower() != "file":
        raise VideoError(text, f"the protocol {scheme[1]}:// is not supported; {ALLOWED}")
    if text.startswith(("camera:", "/dev/video")):
        return alive.camera(text, stats, timeout)
    return None
