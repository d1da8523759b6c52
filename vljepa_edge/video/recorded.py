"""What was recorded: video files and photos, and arrays already in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from av.error import FFmpegError

from vljepa_edge.errors import FrameError, InputError, VideoError
from vljepa_edge.support.arguments import as_number
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Picture, Pictures, SourceStats
from vljepa_edge.video.heif import HeifPhoto
from vljepa_edge.video.heif_items import read_items
from vljepa_edge.video.iso_boxes import is_unfinished
from vljepa_edge.video.preprocess import as_rgb
from vljepa_edge.video.recording import OpenRecording
from vljepa_edge.video.ros.bag import Bag, OpenBag, is_bag
from vljepa_edge.video.timing import Timeline, without_wild
from vljepa_edge.video.webp import AnimatedWebP, read_animated

# Playlists can't reach the network, and a % or a colon in a file's name means nothing.
_OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none"}
_CUT_OFF = "cut off or still being written: the index of its frames (moov) is missing or has no end"


File: TypeAlias = Decoder | OpenRecording


def open_file(path: str, stats: SourceStats, threads: int = 0) -> File:
    """Opens a video or image file, or a bag. Raises VideoError, saying what is wrong with it, InputError for a bag with
    several image topics, EngineError where the package that reads bags is missing.

    threads: of FFmpeg's decoder, 0 for as many as there are cores.
    """
    if is_bag(path):
        return OpenBag(Bag(path), stats)
    _check_file(path)
    url = "file:" + os.path.abspath(path)
    animation, items = read_animated(path), read_items(path)
    if animation is not None:
        return AnimatedWebP(path, animation, stats)
    try:
        if items is not None:
            return HeifPhoto(path, url, items, stats, _OPTIONS)
        decoder = Decoder(path, url, stats, options=_OPTIONS, threads=threads)
        if is_unfinished(path):
            decoder.why_empty = _CUT_OFF
        return decoder
    except (FFmpegError, VideoError) as error:
        if is_unfinished(path):
            reason = _CUT_OFF
        elif isinstance(error, VideoError):
            raise
        else:
            reason = f"not a video or image file, or damaged from the start ({error.strerror})"
    raise VideoError(path, reason)  # not in the handler: FFmpeg's error has the path, which may hold a password


def open_object(name: str, file: BinaryIO, stats: SourceStats, threads: int = 0) -> Decoder:
    """Opens a video or image in a file object that can seek, which must stay open: a member of an archive, say.

    Photos of HEIF's kind and animated WebP are read from files alone. Raises VideoError, which names `name`.
    """
    try:
        file.seek(0)
        return Decoder(name, file, stats, options=_OPTIONS, threads=threads)
    except (FFmpegError, OSError) as error:
        reason = f"not a video or image file, or damaged from the start ({error.strerror})"
    raise VideoError(name, reason)


def decoded(decoder: File, stats: SourceStats) -> Pictures:
    """All frames of a container, second 0 being its beginning. Closes it at the end."""
    if not isinstance(decoder, Decoder):
        yield from decoder.pictures()
        return
    timeline = Timeline(stats, decoder.interval, decoder.start)
    try:
        for frame, stamp in without_wild(decoder):
            time = timeline.place(stamp)
            if time is not None:
                yield decoder.picture(frame, time)
    finally:
        decoder.close()


def arrays(items: Iterable[object], fps: float | None, stats: SourceStats) -> Pictures:
    """Frames, (array, seconds) pairs or, where `fps` is known, bare arrays. Times are kept as they are: a frame that is
    older than the one before it by less than a second is left out; by more, time goes back.

    Raises FrameError, naming the frame, when one is not allowed.
    """
    timeline = Timeline(stats, 0.04 if fps is None else 1 / fps, origin=0.0, keeps=True)
    for number, item in enumerate(items):
        if isinstance(item, (tuple, list)) and len(item) == 2:
            array, stamp = item
            try:
                stamp = None if stamp is None else as_number(stamp, f"the time of frame {number}", " of seconds")
            except InputError as error:
                raise FrameError(str(error)) from None
        elif fps is not None:
            array, stamp = item, number / fps
        else:
            raise FrameError(
                f"frame {number} has no time (its type is {type(item).__name__}); "
                "give (array, seconds) pairs, or bare arrays together with fps"
            )
        try:
            image = as_rgb(array)
        except FrameError as error:
            raise FrameError(f"frame {number}: {error}") from error
        stats.frames_decoded += 1
        time = timeline.place(stamp)
        if time is not None:
            yield Picture(image, time)


def single(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], stats: SourceStats) -> Pictures:
    """One array as a photo at second 0."""
    return arrays([(array, 0.0)], None, stats)


def _status(path: str) -> tuple[os.stat_result | None, str]:
    """What the file system says of a path, or why it says nothing."""
    try:
        return Path(path).stat(), ""
    except FileNotFoundError:
        return None, "no such file"
    except OSError as error:
        return None, f"can't be opened ({error.strerror})"
    except ValueError as error:
        return None, f"can't be opened ({error})"


def _check_file(path: str) -> None:
    if not path.strip():
        raise VideoError("''", "the path is empty; name a file, an rtsp:// URL, /dev/videoN or camera:N")
    status, reason = _status(path)
    if status is None:
        hint = f"; for a camera write camera:{path}" if path.isascii() and path.isdecimal() else ""
        raise VideoError(path if path.isprintable() else repr(path), reason + hint)
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(path, "a folder, not a file; name a video or image file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(path, "not a regular file; name a video or image file")
    if status.st_size == 0:
        raise VideoError(path, "the file is empty (0 bytes)")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "permission denied: the file can't be read by this user")
