"""What a long-running, threaded program needs of the core: no held GIL, no races, no growth."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge._core import chain_ward
from vljepa_edge.errors import InputError
from vljepa_edge.streaming.policy import RunningWard


def test_the_gil_is_released() -> None:
    rows = np.random.default_rng(0).normal(size=(4000, 1024)).astype(np.float32)
    finished = threading.Event()

    def work() -> None:
        chain_ward(rows, 2)
        finished.set()

    thread = threading.Thread(target=work)
    steps_meanwhile = 0
    thread.start()
    while not finished.is_set():
        steps_meanwhile += 1
        time.sleep(0.0005)
    thread.join()
    assert steps_meanwhile > 5  # with the GIL held there would be one or two, before and after the call


def test_threads_may_share_a_state() -> None:
    state = RunningWard(threshold=0.01, min_duration=0).start(256)
    rows = np.random.default_rng(0).normal(size=(2000, 256)).astype(np.float32)
    times = itertools.count()

    def push(row: NDArray[np.float32]) -> tuple[int, int]:
        try:
            closed = state.push(row, float(next(times))).closed
        except InputError:  # another thread was there first with a later time
            return 0, 0
        return 1, closed.count if closed else 0

    with ThreadPoolExecutor(4) as pool:
        accepted, closed = np.sum(list(pool.map(push, rows)), axis=0)
    last = state.flush(1e6).closed
    assert last is not None and closed + last.count == accepted


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_flat() -> None:
    state = RunningWard(threshold=0.3, smooth=4, min_duration=0).start(384)
    rows = np.random.default_rng(0).normal(size=(64, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def push(first: int, count: int) -> None:
        for i in range(first, first + count):
            state.push(rows[i % 64], i * 0.25)

    push(0, 5_000)
    gc.collect()
    before = resident_bytes()
    push(5_000, 95_000)
    gc.collect()
    assert resident_bytes() - before < 2 << 20  # a leaked mean a segment would be 140 MB
