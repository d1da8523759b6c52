"""What the streams of one model do together on a machine: each pushes frames, from a thread of its own, as fast as they
are taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.model import Model

TURNS = 5
"""How often each number of streams has its turn, so that what else the machine does meanwhile slows all alike."""
_POLICY = "uniform:period=86400"  # decodes no text


class Load(NamedTuple):
    """Of all streams: hops a second; milliseconds that a push takes, and of processor time a hop."""

    hops: float
    p50: float
    p99: float
    processor: float


def push_together(model: Model, streams: int, query: str | Sequence[str] | None, seconds: float) -> Load:
    """Push random frames to so many streams for a while. query: of each stream. Raises what a push raises."""
    import numpy as np

    video = model.manifest.video
    frames = np.random.default_rng(0).integers(0, 256, (16, video.height, video.width, 3), np.uint8)
    opened = [model.open_stream(query, _POLICY, max_idle=0) for _ in range(streams)]
    spent: list[list[float]] = [[] for _ in opened]
    failed: list[BaseException] = []
    end = time.perf_counter() + seconds

    def push(place: int) -> None:
        try:
            while time.perf_counter() < end and not failed:
                begun, count = time.perf_counter(), len(spent[place])
                opened[place].push(frames[(place + count) % len(frames)], count / video.fps)
                spent[place].append(time.perf_counter() - begun)
        except BaseException as error:  # raised by the caller's thread
            failed.append(error)

    threads = [threading.Thread(target=push, args=(place,)) for place in range(streams)]
    begun, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, used = time.perf_counter() - begun, time.process_time() - used
    for stream in opened:
        stream.close()
    if failed:
        raise failed[0]
    every = 1e3 * np.concatenate(spent)
    p50, p99 = np.percentile(every, (50, 99))
    return Load(len(every) / took, float(p50), float(p99), 1e3 * used / len(every))


def side_by_side(model: Model, streams: int, seconds: float) -> list[dict[str, Any]]:
    """One stream and so many, in turns: medians, and hops a second beside those of the one. The turns of a number of
    streams take so many seconds together; before them comes as long a run in which graphs for several rows are made."""
    push_together(model, streams, None, seconds)
    found: dict[int, list[Load]] = {1: [], streams: []}
    for _ in range(TURNS):
        for count, loads in found.items():
            loads.append(push_together(model, count, None, seconds / TURNS))
    rows = []
    for count, loads in found.items():
        hops, p50, p99, processor = (number(median(values), 3) for values in zip(*loads, strict=True))
        ratio = median(each.hops / one.hops for each, one in zip(loads, found[1], strict=True))
        rows.append(
            {"streams": count, "hops_per_s": hops, "of_one": number(ratio, 3), "push_ms": {"p50": p50, "p99": p99},
             "processor_ms": processor}
        )  # fmt: skip
    return rows
