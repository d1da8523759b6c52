"""A video through a pipe is the video of the file, and a pipe that gives nothing is given up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media import flat, number_of, write_video
from tests.video.web_server import jpeg
from vljepa_edge.errors import VideoError
from vljepa_edge.video import open_source
from vljepa_edge.video.inputs import is_live

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end to write to of a pipe that is standard input."""
    out, into = os.pipe()
    with os.fdopen(out, "rb") as file:
        monkeypatch.setattr("sys.stdin", file)
        yield into
        with contextlib.suppress(OSError):
            os.close(into)


def feed(into: int, data: bytes) -> threading.Thread:
    def write() -> None:
        with os.fdopen(into, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["clip.mkv", "clip.ts", "clip.mp4"])
def test_it_gives_the_frames_of_the_file(name: str, pipe: int, tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"} if name.endswith("mp4") else None
    path = write_video(tmp_path / name, [flat(number, 320, 240) for number in range(40)], container_options=options)
    with open_source(path) as source:
        expected = [(round(frame.time, 3), number_of(frame.image)) for frame in source]
    thread = feed(pipe, path.read_bytes())
    with open_source("-") as source:
        assert (source.name, source.live) == ("standard input", False)
        assert [(round(frame.time, 3), number_of(frame.image)) for frame in source] == expected
    thread.join()
    assert not is_live("-")


def test_an_mp4_with_its_index_at_the_end_is_told_from_a_damaged_one(pipe: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), np.uint8)
    data = write_video(tmp_path / "clip.mp4", list(noise)).read_bytes()
    assert data.index(b"mdat") + 65536 < data.rindex(b"moov")  # farther than FFmpeg's buffer reaches
    thread = feed(pipe, data)
    with pytest.raises(VideoError, match=r"needs its index \(moov\) in front: -movflags \+faststart") as caught:
        list(open_source("-"))
    thread.join()
    assert "damaged" not in str(caught.value)


def test_an_empty_pipe_is_said(pipe: int) -> None:
    feed(pipe, b"").join()
    with pytest.raises(VideoError, match=r"nothing came \(0 bytes\); did the program before it fail"):
        open_source("-")


def test_a_photo_is_one_frame(pipe: int) -> None:
    thread = feed(pipe, jpeg(9))
    with open_source("-") as source:
        assert [number_of(frame.image) for frame in source] == [9]
    thread.join()


def test_what_is_no_video_is_said(pipe: int) -> None:
    thread = feed(pipe, b"These are words.\n" * 400)
    with pytest.raises(VideoError, match="standard input: not a video or image, or damaged from the start"):
        open_source("-")
    thread.join()


def test_a_pipe_that_gives_nothing_is_given_up(pipe: int) -> None:
    with pytest.raises(VideoError, match=r"standard input: nothing came for 0\.5 s"):
        open_source("-", timeout=0.3, retry_for=0.2)


def test_a_pipe_that_stops_is_given_up_after_what_came(pipe: int, tmp_path: Path) -> None:
    data = write_video(tmp_path / "clip.ts", [flat(number, 320, 240) for number in range(60)]).read_bytes()
    writing = threading.Thread(target=os.write, args=(pipe, data))  # and it stays open
    writing.start()
    numbers = []
    with (
        open_source("-", timeout=0.3, retry_for=0.2) as source,
        pytest.raises(VideoError, match=r"standard input: nothing came for 0\.5 s"),
    ):
        for frame in source:
            numbers.append(number_of(frame.image))
    writing.join()
    assert len(numbers) > 20 and numbers == list(range(len(numbers)))


def test_closing_does_not_wait_for_the_writer(pipe: int, tmp_path: Path) -> None:
    data = write_video(tmp_path / "clip.ts", [flat(number, 320, 240) for number in range(60)]).read_bytes()
    writing = threading.Thread(target=os.write, args=(pipe, data))
    writing.start()
    with open_source("-", timeout=60) as source:
        next(source)
    writing.join()


@pytest.mark.parametrize(("standing", "said"), [("None", "it is closed"), ("io.StringIO()", "no file descriptor")])
def test_without_one_it_is_said(standing: str, said: str) -> None:
    program = (
        "import io, sys\nfrom vljepa_edge.video import open_source\nfrom vljepa_edge.errors import VideoError\n"
        f"sys.stdin = {standing}\ntry: open_source('-')\nexcept VideoError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert said in done.stdout, done.stderr
