"""Video by HTTP: MJPEG of network cameras, HLS, and recordings that a web server has."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import av
from av.error import FFmpegError, InvalidDataError

from vljepa_edge.errors import VideoError, redacted
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import SourceStats
from vljepa_edge.video.live import Connect, Stamped, is_valid_url
from vljepa_edge.video.playout import Playout

SEGMENT = 20.0  # seconds: a live playlist may have nothing new for as long as one of its segments lasts


def is_http(text: str) -> bool:
    """Whether a text is an http:// or https:// URL, valid or not."""
    return re.match(r"https?:/", text, re.IGNORECASE) is not None


def is_playlist(url: str) -> bool:
    """Whether a URL names HLS, whose frames come a segment at a time."""
    return re.search(r"\.m3u8?(?:[?#]|$)", url, re.IGNORECASE) is not None  # valid or not


def wait_for(url: str, timeout: float) -> float:
    """Seconds without a frame after which a connection counts as dead, where it is `timeout` for most."""
    return max(timeout, SEGMENT) if is_http(url) and is_playlist(url) else timeout


def http(url: str, stats: SourceStats, timeout: float) -> Connect:
    """How to connect to an http:// or https:// URL. Raises VideoError if the URL is not one."""
    name = redacted(url)
    scheme, colon, address = url.partition(":")
    if not is_valid_url(url):
        raise VideoError(name, "not a valid URL; it must be http://[user:password@]host[:port]/path, or https://")
    options = {
        "rw_timeout": str(round(timeout * 1e6)),  # of one socket operation, in microseconds
        "analyzeduration": "1000000",  # microseconds
        "fpsprobesize": "0",
        # A playlist of another host can't name files of this one.
        "protocol_whitelist": "http,https,tcp,tls,crypto,httpproxy",
    }
    given = scheme.lower() + colon + address  # FFmpeg knows schemes in small letters only

    def connect() -> Decoder:
        begun = time.monotonic()
        try:
            return Decoder(name, given, stats, options=options, live=True, timeout=timeout)
        except InvalidDataError:
            reason = "what it sends is neither video nor a picture"
        except FFmpegError as error:
            took = time.monotonic() - begun
            silent = took >= 0.9 * timeout  # the error of one that was given up differs
            reason = f"no answer within {timeout:g} s" if silent else f"{error.strerror}, after {took:.2f} s"
        # Not in the handler: FFmpeg's error, which tracebacks would show as the cause, has the URL with its password.
        raise VideoError(name, f"can't be connected to: {reason}")

    return connect


def at_their_time(frames: Stamped, stopped: threading.Event) -> Iterator[tuple[av.VideoFrame, float | None]]:
    """Frames that come in bursts, each when it is due by its stamp; those of one without are not held back. Ends early
    when `stopped`."""
    playout = Playout()
    for frame, stamp in frames:
        if stamp is not None and stopped.wait(playout.wait(stamp, time.monotonic())):
            return
        yield frame, stamp
