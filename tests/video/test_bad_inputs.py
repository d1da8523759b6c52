"""The corpus of what is no video: each has its typed error that names the source, what is wrong and what is allowed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.media import cut, flat, write_audio, write_png, write_video
from vljepa_edge.errors import FrameError, InputError, VideoError
from vljepa_edge.video import open_source
from vljepa_edge.video.decoder import Decoder


def text(path: Path, content: str = "this is not a video\n" * 50) -> Path:
    path.write_text(content)
    return path


def playlist(path: Path) -> Path:
    return text(path, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5" height="5"/></svg>'
FIRST = {"movflags": "faststart"}

FILES: list[tuple[str, Callable[[Path], Path], str]] = [
    ("missing.mp4", lambda path: path, "no such file"),
    ("folder.mp4", lambda path: path.mkdir() or path, "a folder, not a file; name a video"),  # type: ignore[func-returns-value]
    ("empty.mp4", lambda path: path.touch() or path, r"empty \(0 bytes\)"),  # type: ignore[func-returns-value]
    ("pipe.mp4", fifo, "not a regular file"),
    ("text.mp4", text, "not a video or image file"),
    ("text.txt", text, "a text file; it must be"),
    ("noise.mp4", noise, "not a video or image file"),
    ("noise.bin", noise, "not a video or image file"),
    ("playlist.mp4", playlist, "not a video or image file"),
    ("playlist.m3u8", playlist, "not a video or image file"),
    ("words.srt", lambda path: text(path, "1\n00:00:01,000 --> 00:00:02,000\nhi\n\n"), "no video stream.*1 subtitle"),
    ("sound.wav", write_audio, r"no video stream \(1 audio stream\)"),
    ("sound.m4a", write_audio, r"no video stream \(1 audio stream\)"),
    ("song.mp3", lambda path: write_audio(path, cover=True), r"\(1 audio stream, 1 cover picture\)"),
    ("no_frames.mp4", lambda path: write_video(path, 0), "no video stream"),
    ("no_frames.avi", lambda path: write_video(path, 0, codec="mpeg4"), "no frames in it"),
    ("cut.mp4", lambda path: cut(write_video(path, 50), 0.5), "cut off or still being written"),
    ("cut.mov", lambda path: cut(write_video(path, 50), 0.5), "cut off or still being written"),
    ("head.mp4", lambda path: cut(write_video(path, 50), 0.02), "cut off or still being written"),
    ("in_index.mp4", lambda path: cut(write_video(path, 50, container_options=FIRST), 0.2), "cut off or still being"),
    ("drawing.svg", lambda path: text(path, SVG), r"no decoder.*\(format svg\).* a picture to PNG or JPEG"),
    ("cut.mkv", lambda path: cut(write_video(path, 50), 0.02), "not a video or image file, or damaged"),
    ("cut.png", lambda path: cut(write_png(path, 300, 200), 0.3), "no frame in it can be decoded"),
    ("lying.png", lambda path: write_png(path, 65_000, 65_000, honest=False), "larger than 134217728 pixels"),
    ("flat.png", lambda path: write_png(path, 0, 10, honest=False), "no frame in it can be decoded"),
    ("lying.ppm", lambda path: text(path, "P6\n65000 65000\n255\n" + "x" * 99), "no frame"),
]


def test_an_mp4_that_is_cut_anywhere_in_its_index_is_cut_off_or_gives_all_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.mp4", 20)
    data, gave = path.read_bytes(), set()
    index = data.rindex(b"moov")
    for end in range(index - 8, len(data), 60):
        path.write_bytes(data[:end])
        try:
            gave.add(len(list(open_source(path))))
        except VideoError as error:
            assert "cut off or still being written" in str(error)
            gave.add(0)
    assert gave <= {0, 20} and 0 in gave


def test_damage_does_not_speak_of_the_size_of_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 20)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"no frame in it can be decoded \(\d+ damaged packets\)$"):
        list(open_source(path))


@pytest.mark.parametrize(("name", "make", "reason"), FILES, ids=[name for name, _, _ in FILES])
def test_files(tmp_path: Path, name: str, make: Callable[[Path], Path], reason: str) -> None:
    path = make(tmp_path / name)
    with pytest.raises(VideoError, match=reason) as caught:
        list(open_source(path))
    assert str(path) in caught.value.source


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)  # chmod would not stop root
    with pytest.raises(VideoError, match="permission denied"):
        open_source(path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "the path is empty; name a file"),
        ("   ", "the path is empty; name a file"),
        ("with\0null.mp4", "can't be opened"),
        ("x" * 5000, "can't be opened"),
        ("file:///not/there.mp4", "no such file"),
        ("file://nas/clip.mp4", "a file of another host, nas; name it by"),
        ("http://127.0.0.1:9/v.mp4", "can't be connected to: Connection refused"),
        ("gopher://old/v.mp4", "protocol gopher:// is not supported; a source must be"),
        ("rtsp://", r"not a valid URL; it must be rtsp://\["),
        ("rtsp://host:99999/v", r"not a valid URL; it must be rtsp://\["),
        ("rtsp://127.0.0.1:9/v", "Connection refused"),
        ("camera:front", "must be camera:0"),
        ("/dev/video_front", "must be camera:0"),
        (5, "type int are not a source of frames; for a camera give 'camera:5'"),
        ("5", "no such file; for a camera write camera:5"),
        (True, "type bool are not a source of frames; a source must be"),
        (PIL.Image.new("L", (4, 4)), r"give numpy\.asarray\(image\.convert\('RGB'\)\)"),
        (None, "type NoneType are not a source of frames; a source must be"),
        (b"v.mp4", "type bytes are not a source of frames; a source must be"),
        ([], "no frames in it"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames in it"),
    ],
)
def test_what_is_no_source(source: Any, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        list(open_source(source))


def test_a_password_is_not_shown() -> None:
    with pytest.raises(VideoError) as caught:
        open_source("rtsp://me:secret@127.0.0.1:9/v")
    assert "secret" not in str(caught.value)
    assert caught.value.source == "rtsp://127.0.0.1:9/v"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="v4l2")
@pytest.mark.parametrize("device", ["camera:63", "/dev/video63"])
def test_a_camera_that_is_not_there(device: str) -> None:
    with pytest.raises(VideoError, match="no such camera; cameras on this machine:") as caught:
        open_source(device)
    assert caught.value.source == device


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ([flat(0)], "frame 0 has no time.*give"),
        ([1, 2], "frame 0 has no time.*give"),
        (np.stack([flat(0), flat(1)]), "frame 0 has no time.*give"),
        ([(flat(0), "noon")], "the time of frame 0 must be a number of seconds, got 'noon'"),
        ([(flat(0), 0), (flat(1) / 255, 1)], "frame 1: .*float64.*must be"),
        ([(flat(0), 0), (np.full((4, 4, 3), np.nan), 1)], "frame 1: .*NaN.*must be"),
        ([("v.mp4", 0)], "frame 0: .*str.*must be"),
        (np.zeros((4, 4, 5), np.uint8), r"frame 0: .*\(4, 4, 5\).*must be"),
        (np.zeros((8, 8, 3), np.float32), "frame 0: .*float32.*must be"),
    ],
)
def test_arrays_that_are_no_frames(source: Any, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        list(open_source(source))


@pytest.mark.parametrize(
    "options",
    [
        {"fps": 0},
        {"fps": -1.0},
        {"fps": float("nan")},
        {"size": (0, 10)},
        {"size": (10, 10), "resize": "fit"},
        {"timeout": 0},
        {"retry_for": float("inf")},
    ],
)
def test_options_that_are_not_allowed(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be"):
        open_source(write_video(tmp_path / "v.mp4"), **options)


@pytest.mark.parametrize(
    "raised",
    [MemoryError(), RecursionError("deep"), IndexError("list index"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")],
)
@pytest.mark.parametrize("live", [False, True])
def test_what_a_decoder_raises_is_a_video_error_that_names_the_file_and_keeps_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, live: bool
) -> None:
    path = write_video(tmp_path / "v.mp4")

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(Decoder, "picture", fail)
    with pytest.raises(VideoError, match=f"v.mp4: can't be read .{type(raised).__name__}") as caught:
        list(open_source(path, live=live))
    assert caught.value.__cause__ is raised
