"""What `push` costs the caller of a live stream: `python -m benchmarks.live_push`.

The peer is `numpy.copy` of the frame, which is the limit too: the stream copies a frame that is due and does no other
work on it. With `copy=False` nothing is copied.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

import vljepa_edge

SIZES = ((480, 640), (1080, 1920), (2160, 3840))
PUSHES = 40
PAUSE = 0.26  # seconds: each frame is due, and the worker has time


def push_milliseconds(stream: vljepa_edge.Stream, frame: NDArray[np.uint8], copy: bool) -> list[float]:
    """Durations of `PUSHES` pushes."""
    spent = []
    for _ in range(PUSHES):
        begun = time.perf_counter()
        stream.push(frame, time.monotonic(), copy=copy)
        spent.append(1e3 * (time.perf_counter() - begun))
        time.sleep(PAUSE)
    return spent


def copy_milliseconds(frame: NDArray[np.uint8]) -> list[float]:
    """Durations of `PUSHES` copies."""
    spent = []
    for _ in range(PUSHES):
        begun = time.perf_counter()
        frame.copy()
        spent.append(1e3 * (time.perf_counter() - begun))
    return spent


def main() -> None:
    """Print least, median and largest milliseconds."""
    with vljepa_edge.load().open_stream(live=True) as stream:
        for height, width in SIZES:
            frame = np.zeros((height, width, 3), np.uint8)
            cases = {
                "push": push_milliseconds(stream, frame, True),
                "push copy=False": push_milliseconds(stream, frame, False),
                "numpy.copy": copy_milliseconds(frame),
            }
            for name, spent in cases.items():
                least, median, most = np.percentile(spent, (0, 50, 100))
                print(f"{width} x {height}  {name:15}  {least:7.3f} {median:7.3f} {most:7.3f} ms")


if __name__ == "__main__":
    main()
