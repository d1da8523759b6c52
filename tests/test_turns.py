"""Tests that are marked `alone` run beside no other."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from tests.turns import Turns

_SPANS = 60


def worker(number: int, folder: Path, out: Path) -> None:
    """Takes many short turns, some of them alone, and writes when each began and ended."""
    turns, rng, lines = Turns(folder), random.Random(number), []
    for _ in range(_SPANS):
        alone = rng.random() < 0.3
        with turns.of(alone):
            begun = time.monotonic_ns()
            time.sleep(rng.random() * 0.004)
            lines.append(f"{begun} {time.monotonic_ns()} {int(alone)}")
    out.write_text("\n".join(lines))


def test_one_that_is_alone_overlaps_no_other_and_others_run_beside_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    outs = [tmp_path / f"{number}.txt" for number in range(3)]
    started = [context.Process(target=worker, args=(number, tmp_path, out)) for number, out in enumerate(outs)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    spans = sorted(tuple(map(int, line.split())) for out in outs for line in out.read_text().splitlines())
    assert len(spans) == 3 * _SPANS
    beside = 0
    for place, (_, end, alone) in enumerate(spans):
        for begun, _, other in spans[place + 1 :]:
            if begun >= end:
                break
            assert not alone and not other
            beside += 1
    assert beside


def test_this_suite_takes_turns_where_it_runs_in_several_processes(pytestconfig: pytest.Config) -> None:
    registered = any(isinstance(plugin, Turns) for plugin in pytestconfig.pluginmanager.get_plugins())
    assert registered == hasattr(pytestconfig, "workerinput")
