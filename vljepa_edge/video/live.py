"""What is happening now: cameras and RTSP, reconnecting when they die, read by a thread that never waits for anyone."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.error import FFmpegError

from vljepa_edge._core import Grid
from vljepa_edge.errors import VideoError, redacted
from vljepa_edge.support.ending import Worker, keep_in_child
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Picture, Pictures, SourceStats
from vljepa_edge.video.live_clock import LiveClock

Connect = Callable[[], Decoder]
Stamped = Iterable[tuple[av.VideoFrame, float | None]]
Held = Callable[[Stamped, threading.Event], Stamped]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reconnect, doubling


def rtsp(url: str, stats: SourceStats, timeout: float) -> Connect:
    """How to connect to an RTSP URL, over TCP. Raises VideoError if the URL is not one."""
    name = redacted(url)
    scheme, colon, address = url.partition(":")
    if not is_valid_url(url):
        raise VideoError(
            name,
            "not a valid URL; it must be rtsp://[user:password@]host[:port]/path, "
            "and in a password / is written %2F and @ is written %40",
        )
    options = {
        "rtsp_transport": "tcp",
        "timeout": str(round(timeout * 1e6)),  # of one socket operation, in microseconds
        "analyzeduration": "1000000",  # microseconds
        "allowed_media_types": "video",  # audio that goes on would hide that the pictures have stopped
        "fpsprobesize": "0",  # connects three times as fast; the stamps say what the rate is
    }

    given = scheme.lower() + colon + address  # FFmpeg knows schemes in small letters only

    def connect() -> Decoder:
        begun = time.monotonic()
        try:
            return Decoder(name, given, stats, options=options, container_format="rtsp", live=True, timeout=timeout)
        except FFmpegError as error:
            took = time.monotonic() - begun
            silent = took >= 0.9 * timeout  # the error of one that was given up differs
            reason = f"no answer within {timeout:g} s" if silent else f"{error.strerror}, after {took:.2f} s"
        # Not in the handler: FFmpeg's error, which tracebacks would show as the cause, has the URL with its password.
        raise VideoError(name, f"can't be connected to: {reason}")

    return connect


def is_valid_url(url: str) -> bool:
    """Whether a text can be a URL of a host."""
    try:
        url.encode()
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def interruptibly(connect: Connect) -> Decoder:
    """What `connect` returns or raises. It runs in a thread, so that Ctrl-C is heard while it waits for a device.

    When Ctrl-C comes, a connection that is made after all is closed again.
    """
    outcome: Future[Decoder] = Future()

    def run() -> None:
        try:
            outcome.set_result(connect())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="video connect", daemon=True).start()
    try:
        while not outcome.done():
            wait([outcome], 0.5)  # bounded, so that Ctrl-C is heard on every platform
        return outcome.result()
    except BaseException:
        outcome.add_done_callback(_discard)
        raise


def _discard(outcome: Future[Decoder]) -> None:
    if outcome.exception() is None:
        outcome.result().close()


def camera(device: str, stats: SourceStats, timeout: float) -> Connect:
    """How to open a camera, `/dev/videoN` or `camera:N`. Raises VideoError if that is not how cameras are named."""
    match = re.fullmatch(r"(?:camera:|/dev/video)(\d+)", device)
    if match is None:
        raise VideoError(device, "not a camera; it must be camera:0, camera:1, ... or /dev/video0, ...")
    if not sys.platform.startswith("linux"):
        raise VideoError(device, "cameras can be opened on Linux only; elsewhere, push frames to a stream yourself")
    path = f"/dev/video{match[1]}"

    def connect() -> Decoder:
        try:
            return Decoder(device, path, stats, options={}, container_format="v4l2", live=True, timeout=timeout)
        except FileNotFoundError:
            there = ", ".join(sorted(str(found) for found in Path("/dev").glob("video*"))) or "none"
            raise VideoError(device, f"no such camera; cameras on this machine: {there}") from None
        except PermissionError:
            raise VideoError(device, "permission denied; add this user to the group 'video'") from None
        except FFmpegError as error:
            raise VideoError(device, f"can't be opened as a camera ({error.strerror})") from error

    return connect


def reconnecting(
    name: str,
    connect: Connect,
    first: Decoder,
    stats: SourceStats,
    retry_for: float,
    stopped: threading.Event,
    held: Held | None = None,
) -> Pictures:
    """Frames of a live source, second 0 being its first. When it dies, connects again; time goes on as on the clock.

    held: gives the frames of one connection when they are due, where they come before.
    Raises VideoError when no frame came for `retry_for` seconds after a loss.
    """
    decoder: Decoder | None = first
    clock = LiveClock(stats, first.interval)
    seen = time.monotonic()  # when the last frame came
    pause = _FIRST_PAUSE
    reason = "the stream ended"
    while not stopped.is_set():
        if decoder is not None:
            fresh = True
            try:
                for frame, stamp in decoder if held is None else held(decoder, stopped):
                    if stopped.is_set():
                        return
                    seen = time.monotonic()
                    if fresh:
                        fresh, pause = False, _FIRST_PAUSE
                        if decoder is not first:
                            stats.reconnects += 1
                            clock.restart()
                    yield decoder.picture(frame, clock.place(stamp, seen))
                reason = "the stream ended"
            except VideoError as error:
                reason = str(error).removeprefix(f"{name}: ")
            finally:
                decoder.close()
            decoder = None
        if time.monotonic() - seen >= retry_for:
            raise VideoError(name, f"lost, and did not come back within {retry_for:g} s ({reason})")
        stopped.wait(min(pause, seen + retry_for - time.monotonic()))
        pause = min(2 * pause, _LONGEST_PAUSE)
        if not stopped.is_set():
            try:
                decoder = connect()
            except VideoError as error:
                reason = str(error).removeprefix(f"{name}: ")


def paced(pictures: Pictures, stopped: threading.Event) -> Pictures:
    """A recording at the speed at which it was made."""
    begun = time.monotonic()
    for picture in pictures:
        if stopped.wait(max(0.0, begun + picture.time - time.monotonic())):
            return
        yield picture


class LatestReader:
    """Reads `pictures` in a thread and keeps the latest one only, so that whoever makes them is never held up.

    `silence`: seconds without a frame after which nobody waits any more, even if the read hangs; None: for ever.
    """

    def __init__(
        self,
        pictures: Pictures,
        grid: Grid,
        stats: SourceStats,
        stopped: threading.Event,
        name: str,
        silence: float | None,
    ) -> None:
        self._pictures = pictures
        self._grid = grid
        self._stats = stats
        self._stopped = stopped
        self._name = name
        self._silence = silence
        self._seen = time.monotonic()  # when the last frame came, taken or not
        self._changed = threading.Condition()
        self._latest: Picture | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._hangs = False
        self._pid = os.getpid()
        self._thread = Worker(self._read, name=f"video {name}", stop=self._tell)
        keep_in_child(self)
        self._thread.start()

    def reads(self) -> bool:
        """Whether the thread has not ended: after stop(), a read that hangs."""
        return self._thread.is_alive()

    def take(self) -> Picture | None:
        """The latest frame not yet taken; waits for one. None: no more will come, or stop() was called.

        Raises what ended the reading, or VideoError after `silence` seconds without a frame.
        """
        if os.getpid() != self._pid:
            raise VideoError(self._name, "its reader is gone; a process that forks must open its sources after")
        with self._changed:
            while self._latest is None and not self._ended and not self._stopped.is_set():
                if self._silence is not None and time.monotonic() - self._seen >= self._silence:
                    raise VideoError(self._name, f"no frame came for {self._silence:g} s, and the read does not return")
                self._changed.wait(0.5)  # bounded, so that Ctrl-C is heard on every platform
            latest, self._latest = self._latest, None
            if latest is None and self._error is not None:
                raise self._error
            return latest

    def stop(self, patience: float, wait: bool = True) -> None:
        """Ends take() and the thread. A read that hangs is waited for once, for `patience` seconds, or not at all."""
        self._tell()
        if not self._hangs and self._thread is not threading.current_thread():
            self._thread.join(patience if wait else 0)
            self._hangs = self._thread.is_alive()
            if self._hangs:
                self._thread.abandon()

    def _tell(self) -> None:
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for picture in self._pictures:
                if self._stopped.is_set():
                    break
                self._seen = time.monotonic()
                if not self._grid.takes(picture.time):
                    continue
                with self._changed:
                    self._stats.dropped += self._latest is not None
                    self._latest = picture
                    self._changed.notify_all()
            self._pictures.close()
        except BaseException as caught:
            error = caught
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()
