"""A watcher does what a stream of the same frames does, decodes no more than it must, and outlives what is wrong."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import flat
from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.model import Model
from vljepa_edge.robots.watcher import Watcher
from vljepa_edge.streaming.options import StreamOptions

OPTIONS = StreamOptions(policy="uniform:period=1", queue=1000, max_staleness=1000)


def test_events_are_those_of_a_stream_of_the_same_frames(model: Model) -> None:
    frames = [(flat(number // 6), 100 + number / 8) for number in range(40)]
    said: list[str] = []
    watcher = Watcher(model, said.append, options=OPTIONS)
    for image, time in frames:
        watcher.see(lambda image=image: image, time)  # type: ignore[misc]
    watcher.close()
    expected = [event.to_dict() for event in model.stream(frames, options=OPTIONS)]
    events = [json.loads(line) for line in said]
    assert [event.pop("type") for event in events] == ["event"] * len(expected)
    for event in (*events, *expected):
        del event["latency_ms"]
    assert events == expected and len(events) >= 8


def test_only_frames_that_the_model_looks_at_are_read(model: Model) -> None:
    watcher = Watcher(model, lambda line: None, options=OPTIONS)
    read: list[float] = []

    def see(time: float) -> bool:
        def pixels() -> NDArray[np.uint8]:
            read.append(time)
            return flat(1)

        return watcher.see(pixels, time)

    taken = [time for time in (number / 64 for number in range(128)) if see(time)]
    watcher.close()
    assert read == taken and len(taken) == pytest.approx(2 * model.manifest.video.fps, abs=1)
    assert watcher.stream.stats().encoded == len(taken)


def test_frames_of_pyav_grey_and_rgba_are_taken_too(model: Model) -> None:
    watcher = Watcher(model, lambda line: None, options=OPTIONS)
    for number, pixels in enumerate(
        [av.VideoFrame.from_ndarray(flat(3), format="rgb24"), flat(3)[..., 0], np.dstack([flat(3), flat(3)[..., :1]])]
    ):
        assert watcher.see(lambda pixels=pixels: pixels, number / 2)  # type: ignore[misc]
    watcher.close()
    assert watcher.stream.stats().encoded == 3


def test_a_damaged_picture_is_counted_and_the_next_takes_its_turn(model: Model) -> None:
    watcher = Watcher(model, lambda line: None, options=OPTIONS)
    assert watcher.see(lambda: flat(0), 0.0)
    assert not watcher.see(lambda: None, 0.5)
    with pytest.raises(FrameError):
        watcher.see(lambda: np.zeros((3, 4)), 0.51)  # type: ignore[return-value]
    assert watcher.see(lambda: flat(0), 0.52)
    for time in (float("nan"), float("inf"), "now"):
        with pytest.raises(InputError, match="time must be"):
            watcher.see(lambda: flat(0), time)  # type: ignore[arg-type]
    watcher.close()
    assert watcher.damaged == 1 and watcher.stream.stats().encoded == 2


def test_a_change_is_all_or_nothing(model: Model) -> None:
    watcher = Watcher(model, lambda line: None, query="What?", options=OPTIONS)
    with pytest.raises(InputError):
        watcher.change(query="What moves?", watch=["cup", "cup"])
    with pytest.raises(InputError):
        watcher.change(watch=["cup"], policy="never")
    assert (watcher.stream.queries, watcher.stream.watched) == (("What?",), ())
    watcher.change(query="What moves?", watch=["cup"], policy="uniform:period=2")
    assert (watcher.stream.queries, watcher.stream.watched) == (("What moves?",), ("cup",))
    watcher.close()


def test_labels_that_are_not_allowed_leave_no_worker(model: Model) -> None:
    import threading

    before = threading.active_count()
    with pytest.raises(InputError):
        Watcher(model, lambda line: None, watch=["cup", "cup"])
    assert threading.active_count() == before
