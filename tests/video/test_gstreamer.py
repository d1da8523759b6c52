"""Pipelines of GStreamer, where it is installed; elsewhere, what is said."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vljepa_edge.errors import EngineError, VideoError
from vljepa_edge.video import gstreamer, open_source
from vljepa_edge.video.frame import SourceStats
from vljepa_edge.video.gstreamer import hidden, is_pipeline
from vljepa_edge.video.inputs import is_live

BALL = "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,width=321,height=240,framerate=30/1"
installed = pytest.mark.skipif(
    importlib.util.find_spec("gi") is None, reason="PyGObject is a system package: apt install python3-gi"
)


def test_a_text_with_elements_is_a_pipeline_unless_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_pipeline(BALL) and is_live(BALL)
    assert not is_pipeline("wow!.mp4") and not is_pipeline("videotestsrc")
    (tmp_path / "stop ! now.mp4").write_bytes(b"")
    assert not is_pipeline("stop ! now.mp4") and not is_live("stop ! now.mp4")


def test_without_gstreamer_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(EngineError, match=r"a GStreamer pipeline can't be read here: .*apt install python3-gi"):
        open_source(BALL)


def test_names_and_passwords_are_hidden() -> None:
    text = "rtspsrc location=rtsp://me:secret@host/door user-id=me user-pw=secret ! decodebin"
    assert "secret" not in hidden(text) and "=me" not in hidden(text)
    assert hidden(text).endswith("user-id=*** user-pw=*** ! decodebin")


class Talkative:
    """In the place of GStreamer: a pipeline whose bus gets three messages with each of its frames, and keeps them. With
    its last frame but two it says that it failed."""

    CLOCK_TIME_NONE = -1
    State = SimpleNamespace(PLAYING="playing", NULL="null")
    StateChangeReturn = SimpleNamespace(FAILURE="failure", ASYNC="async")
    MessageType = SimpleNamespace(ERROR="error")
    MapFlags = SimpleNamespace(READ="read")

    def __init__(self, frames: int) -> None:
        self.left, self.bus, self.most = frames, list[str](), 0

    def __getattr__(self, name: str) -> Any:  # the pipeline, its sink, its bus and its elements in one
        return lambda *_: self

    def get_state(self, _: int) -> tuple[str, None, None]:
        return "success", None, None

    def get_name(self) -> str:
        return "camera"

    def emit(self, *_: object) -> Any:
        if self.left == 0:
            return None
        self.left -= 1
        self.bus += ["level"] * 3 + ["error"] * (self.left == 2)
        self.most = max(self.most, len(self.bus))
        caps = SimpleNamespace(get_structure=lambda _: SimpleNamespace(get_value=lambda _: 2))
        mapped = SimpleNamespace(data=bytes(16))
        buffer = SimpleNamespace(pts=-1, map=lambda _: (True, mapped), unmap=lambda _: None)
        return SimpleNamespace(get_buffer=lambda: buffer, get_caps=lambda: caps)

    def pop_filtered(self, kind: str) -> Any:
        while self.bus:
            if self.bus.pop(0) == kind:
                return SimpleNamespace(src=self, parse_error=lambda: (SimpleNamespace(message="the cable is out"), ""))
        return None


def test_messages_of_elements_do_not_pile_up_and_an_error_is_told_after_the_frames_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gst = Talkative(50)
    monkeypatch.setattr(gstreamer, "_import_gst", lambda: gst)
    pipeline = gstreamer.Pipeline("camera ! level", SourceStats(), 5.0, threading.Event(), drop=False)
    pictures = pipeline.pictures()
    assert len([next(pictures) for _ in range(50)]) == 50
    with pytest.raises(VideoError, match="camera: the cable is out"):
        next(pictures)
    assert gst.most <= 4


@installed
def test_messages_of_real_elements_do_not_pile_up() -> None:
    text = "audiotestsrc ! level interval=1000000 ! fakesink videotestsrc ! video/x-raw,width=32,height=32"
    pipeline = gstreamer.Pipeline(text, SourceStats(), 5.0, threading.Event(), drop=False)
    pictures = pipeline.pictures()
    for _ in itertools.islice(pictures, 500):
        pass
    bus, waiting = pipeline._pipeline.get_bus(), 0
    while bus.pop() is not None:
        waiting += 1
    pictures.close()
    assert waiting < 500


@installed
@pytest.mark.parametrize("live", [False, True])
def test_frames_come_with_the_times_of_the_pipeline(live: bool) -> None:
    text = BALL.replace("pattern", f"is-live={str(live).lower()} pattern")
    with open_source(text, live=live) as source:
        frames = list(source)
    assert source.live is live
    assert len(frames) == 30 if not live else len(frames) >= 5
    assert {frame.image.shape for frame in frames} == {(240, 321, 3)}
    steps = [after.time - before.time for before, after in itertools.pairwise(frames)]
    assert frames[0].time < 0.1 and all(step > 0 for step in steps)
    assert any((one.image != other.image).any() for one, other in itertools.pairwise(frames))


@installed
def test_the_colours_are_those_of_the_pipeline() -> None:
    text = "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff2040c0 ! video/x-raw,width=33,height=16"
    with open_source(text, live=False) as source:
        (frame,) = source
    assert abs(frame.image.astype(int) - (0x20, 0x40, 0xC0)).max() <= 3


@installed
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuchelement ! identity", 'can\'t make this pipeline: no element "nosuchelement"'),
        ("filesrc location=/nosuch ! decodebin", "Resource not found"),
        ("videotestsrc ! !", "can't make this pipeline"),
    ],
)
def test_a_pipeline_that_can_not_be_is_said(text: str, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        open_source(text, timeout=5)


@installed
def test_a_pipeline_that_gives_nothing_is_given_up() -> None:
    with pytest.raises(VideoError, match=r"no frame came within 0\.5 s"):
        open_source("appsrc ! video/x-raw,format=RGB,width=8,height=8,framerate=1/1 ! identity", timeout=0.5)
