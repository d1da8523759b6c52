"""Cameras of the tests: frames of plain colours at their times, several times as fast as a clock."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.streaming.scenes import BLUE, GREEN, GREY, RED, Image, picture

COLOURS = (RED, GREEN, BLUE, GREY)


def camera(seconds: float = 1e9, *, speed: float = 8.0, each: float = 2.0) -> Iterator[tuple[Image, float]]:
    """(frame, time), four a second, another colour every `each` seconds."""
    begun = time.monotonic()
    for index in itertools.count():
        if index / 4 >= seconds:
            return
        time.sleep(max(0.0, begun + index / 4 / speed - time.monotonic()))
        yield picture(COLOURS[int(index / 4 / each) % 4], index), index / 4


def timed(frames: Iterator[Any], waits: list[float]) -> Iterator[Any]:
    """The same frames; how long whoever takes one keeps it goes to `waits`."""
    for frame in frames:
        begun = time.monotonic()
        yield frame
        waits.append(time.monotonic() - begun)


_PATIENCE = 30.0  # seconds; a thread that read one which stays off must end before other tests look for it


class Switched:
    """A camera that gives frames while it is on, and waits while it is off. It ends when it is off for long."""

    def __init__(self) -> None:
        self.on = threading.Event()

    def frames(self) -> Iterator[tuple[Image, float]]:
        for index, item in enumerate(camera()):
            if index and not self.on.wait(_PATIENCE):
                return
            yield item


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)
