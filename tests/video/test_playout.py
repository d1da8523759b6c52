"""HLS on a simulated clock: whatever the server's clock does, frames come at the rate at which they were made."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from vljepa_edge.video import http as web

HOUR = 3600.0
SEGMENT, KEPT = 6.0, 5  # seconds, and how many segments a playlist lists


class Clock(threading.Event):
    """The time, which waits make later."""

    now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout
        return False


class Server:
    """Publishes segments, and gives their frames as FFmpeg does: it waits for those that are not there yet, begins
    three before the end, and skips those that are gone."""

    def __init__(
        self,
        clock: Clock,
        until: float,
        *,
        fps: float = 1.0,
        speed: float = 1.0,
        jump: float = 0.0,
        late: Callable[[int], float] = lambda number: 0.0,
        fetch: float = 0.0,
    ) -> None:
        """speed: of its clock. jump: of stamps, after an hour. late: seconds by which the end of a segment is published
        after it was made. fetch: seconds."""
        self.clock, self.until, self.fps, self.speed, self.jump = clock, until, fps, speed, jump
        self.late, self.fetch = late, fetch
        self.skipped = 0
        self.delay = 0.0  # seconds from when what is read was made until now

    def published(self, count: int) -> float:
        """When there are so many segments."""
        return count * SEGMENT / self.speed + self.late(count)

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        number = 0
        self.clock.now = self.published(3)
        while self.clock.now < self.until:
            newest = int(self.clock.now * self.speed / SEGMENT)
            while self.published(newest) > self.clock.now:
                newest -= 1
            if number < newest - KEPT:
                self.skipped += newest - KEPT - number
                number = newest - KEPT
            if number >= newest:
                self.clock.now = max(self.clock.now, self.published(number + 1)) + 1e-9
            self.delay = self.clock.now - number * SEGMENT / self.speed
            self.clock.now += self.fetch
            for index in range(round(SEGMENT * self.fps)):
                stamp = number * SEGMENT + index / self.fps
                yield None, stamp + (self.jump if stamp >= HOUR else 0.0)
            number += 1


def shown(monkeypatch: pytest.MonkeyPatch, hours: float, **how: Any) -> tuple[list[float], Server]:
    """When each frame is given out."""
    clock = Clock()
    monkeypatch.setattr(web, "time", SimpleNamespace(monotonic=lambda: clock.now))
    server = Server(clock, hours * HOUR, **how)
    return [clock.now for _ in web.at_their_time(server, clock)], server


# 500 ppm for three days is as much drift as 50 ppm, a bad crystal, in thirty.
@pytest.mark.parametrize(
    ("hours", "how"),
    [
        (72, {"speed": 1 + 500e-6}),
        (72, {"speed": 1 - 500e-6}),
        (3, {"fps": 5.0, "jump": HOUR}),
        (3, {"fps": 5.0, "jump": -(2.0**33) / 90_000}),
        (3, {"fps": 5.0, "jump": 2 * SEGMENT}),
        (12, {"fps": 5.0, "late": lambda count: random.Random(count).uniform(0, 1.5)}),
        (12, {"fps": 5.0, "fetch": 0.3}),
    ],
    ids=["faster", "slower", "stamps jump 1 h ahead", "stamps wrap", "a hole", "published late", "slow to fetch"],
)
def test_frames_come_at_their_rate_and_none_is_waited_for_long(
    hours: float, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    times, server = shown(monkeypatch, hours, **how)
    interval = 1 / how.get("fps", 1.0)
    gaps = [later - before for before, later in pairwise(times)]
    assert max(gaps) < 2
    last = sum(time > times[-1] - HOUR for time in times)
    assert last == pytest.approx(HOUR / interval, rel=0.02)
    assert min(gaps) > 0.33 * interval, "bursts leave the newest alone"
    assert server.skipped == 0 and server.delay < 3 * SEGMENT


def test_a_server_far_too_fast_is_followed_by_leaving_segments_out(monkeypatch: pytest.MonkeyPatch) -> None:
    times, server = shown(monkeypatch, 6, fps=5.0, speed=1.02)
    assert max(later - before for before, later in pairwise(times)) < 0.3
    assert 0 < server.skipped * SEGMENT < 0.03 * 6 * HOUR
    assert len(times) == pytest.approx(6 * HOUR * 5, rel=0.02)


def test_a_server_that_halts_is_gone_on_with_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(count: int) -> float:
        return max(0.0, 30.0 - SEGMENT * ((count - 300) % 600))  # what was made meanwhile is published at once

    times, server = shown(monkeypatch, 3, fps=5.0, late=late)
    gaps = [later - before for before, later in pairwise(times)]
    assert 10 < max(gaps) < 30 and sum(gap > 2 for gap in gaps) == 3
    assert min(gaps) > 0.33 * 0.2 and server.skipped == 0
