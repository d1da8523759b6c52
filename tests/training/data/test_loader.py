"""Batches are what the plan says, whatever the workers and ranks; a corrupt sample neither ends a run nor shifts it."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.media import cut, flat, number_of, write_video
from tests.training.tiny_bert import tokenizer
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.batch import Batch, Tokens
from vljepa_edge.training.data import loader as module
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.loader import Batches, batches, in_order
from vljepa_edge.training.data.plan import Plan
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import Listed
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(count=2, width=16, height=16)
COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of one colour each, which tells their number, 7 and 20 of them corrupt."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(COUNT):
        write_video(folder / f"{number}.mp4", [flat(number)] * 4)
    cut(folder / "7.mp4", 0.5)
    (folder / "20.mp4").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def source(folder: Path) -> Listed:
    return Listed("all", (Sample(str(i), str(folder / f"{i}.mp4"), f"video {i}") for i in range(COUNT)))


@pytest.fixture(scope="module")
def good(folder: Path) -> Listed:
    samples = (Sample(str(i), str(folder / f"{i}.mp4"), f"video {i}") for i in range(COUNT) if i not in (7, 20))
    return Listed("good", samples)


@pytest.fixture(scope="module")
def collate() -> Collate:
    words = tokenizer(["video", *map(str, range(COUNT))])
    return Collate(words, words)


def read(source: Any, collate: Collate, **changes: Any) -> Batches:
    arguments: dict[str, Any] = {"seed": 0, "stage": "one", "batch": 6, "first": 0, "last": 4, "workers": 0}
    sources = source if isinstance(source, list) else [(source, 1.0)]
    return batches(sources, PLAN, collate, **{**arguments, **changes})


def same(one: Batch, other: Batch) -> bool:
    assert isinstance(one.video, torch.Tensor)
    assert isinstance(other.video, torch.Tensor)
    assert isinstance(one.target, Tokens)
    assert isinstance(other.target, Tokens)
    return (
        one.names == other.names
        and torch.equal(one.video, other.video)
        and torch.equal(one.keys, other.keys)
        and torch.equal(one.target.ids, other.target.ids)
        and torch.equal(one.target.mask, other.target.mask)
    )


def seen(batch: Batch) -> list[int]:
    """Which videos the pixels are of."""
    assert isinstance(batch.video, torch.Tensor)
    return [number_of(clip[0]) for clip in batch.video.numpy()]


def test_a_batch_is_what_the_plan_says(good: Listed, collate: Collate) -> None:
    plan = Plan((len(good),), (1.0,), 0, "one")
    with read(good, collate) as found:
        for step, batch in enumerate(found):
            expected = [good[reference.sample].key for reference in plan.step(step, 6)]
            assert batch.names == tuple(expected)
            assert [str(number) for number in seen(batch)] == expected
            assert isinstance(batch.video, torch.Tensor)
            assert batch.video.shape == (6, 2, 16, 16, 3)
            assert batch.video.dtype == torch.uint8
        assert step == 3
        assert not found.corrupt
        assert found.waited > 0


def test_workers_give_the_same_as_none(source: Listed, collate: Collate) -> None:
    alone = list(read(source, collate, batch=20))
    with read(source, collate, batch=20, workers=2, max_corrupt=5) as shared:
        for mine, theirs in zip(alone, shared, strict=True):
            assert same(mine, theirs)
    assert {corrupt.key for corrupt in shared.corrupt} == {"7", "20"}


def test_batches_do_not_depend_on_what_a_worker_reads_at_once(
    source: Listed, collate: Collate, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = list(read(source, collate, batch=20))
    for size in (1, 3):
        monkeypatch.setattr(module, "_CHUNK", size)
        assert all(same(one, other) for one, other in zip(usual, read(source, collate, batch=20), strict=True))
    monkeypatch.setattr(module, "_CHUNK_BYTES", 3 * 2 * 16 * 16)
    assert all(same(one, other) for one, other in zip(usual, read(source, collate, batch=20), strict=True))


def test_ranks_together_give_what_one_would(source: Listed, collate: Collate) -> None:
    whole = list(read(source, collate, batch=7))
    for ranks in (2, 3):
        parts = [list(read(source, collate, batch=7, rank=rank, ranks=ranks)) for rank in range(ranks)]
        for step, batch in enumerate(whole):
            assert [name for part in parts for name in part[step].names] == list(batch.names)
            videos = [part[step].video for part in parts]
            assert torch.equal(torch.cat([v for v in videos if isinstance(v, torch.Tensor)]), batch.video)


def test_a_run_that_goes_on_gets_what_it_would_have_got(source: Listed, collate: Collate) -> None:
    whole = list(read(source, collate, last=9))
    parts = [
        batch for first, last in ((0, 2), (2, 3), (3, 9)) for batch in read(source, collate, first=first, last=last)
    ]
    assert all(same(one, other) for one, other in zip(whole, parts, strict=True))


def test_corrupt_samples_are_counted_logged_and_replaced(
    source: Listed, collate: Collate, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), read(source, collate, last=15) as found:
        taken = list(found)
    assert all(len(batch) == 6 for batch in taken)
    names = [name for batch in taken for name in batch.names]
    assert not {"7", "20"} & set(names)
    assert [str(number) for batch in taken for number in seen(batch)] == names
    assert sorted((corrupt.source, corrupt.key) for corrupt in found.corrupt) == [("all", "20"), ("all", "7")]
    assert len(caplog.records) == 2
    assert f"all: sample 7 is left out: {folder / '7.mp4'}: " in caplog.text
    plan = Plan((COUNT,), (1.0,), 0, "one")
    for name, reference in zip(names, plan.slice(0, 90), strict=True):
        assert name == str(reference.sample) or reference.sample in (7, 20)


@pytest.mark.parametrize("workers", [0, 1])
def test_texts_that_are_cut_off_are_counted_and_the_first_is_said(
    folder: Path, collate: Collate, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["video 1", "video " * 9, "video 3", "video " * 8]  # with two special tokens 8 are read
    source = Listed("long", (Sample(str(i), str(folder / f"{i}.mp4"), text) for i, text in enumerate(texts, 1)))
    words = tokenizer(["video"])
    with in_order(source, PLAN, Collate(words, words, target_tokens=8), batch=3, workers=workers) as found:
        assert len([*found]) == 2
    assert found.cut == 2
    assert [record.getMessage() for record in caplog.records] == [
        "sample 2: its target is cut off after 8 tokens, the most that are read; others like it are counted"
    ]
    with in_order(source, PLAN, collate, batch=3, workers=0) as all_read:
        assert len([*all_read]) == 2 and all_read.cut == 0


def test_too_many_corrupt_samples_end_the_run(source: Listed, collate: Collate) -> None:
    with pytest.raises(DataError, match=r"all, sample (7|20): 2 samples can't be read, more than 1; the last: "):
        list(read(source, collate, last=20, max_corrupt=1))
    with pytest.raises(DataError, match=r"more than 2\.0%"):
        list(read(source, collate, last=60, max_corrupt=0.02))
    for share in (0.1, 1.0):
        assert len(list(read(source, collate, last=60, max_corrupt=share))) == 60


@pytest.mark.parametrize("workers", [0, 1])
def test_a_source_with_nothing_that_can_be_read_ends_the_run(tmp_path: Path, collate: Collate, workers: int) -> None:
    nothing = Listed("nothing", (Sample(str(i), str(tmp_path / f"{i}.mp4"), "x") for i in range(3)))
    with pytest.raises(DataError, match=r"nothing: 50 samples in a row can't be read; the last: .*no such file"):
        list(read(nothing, collate, workers=workers))


def test_sources_are_mixed(good: Listed, collate: Collate, folder: Path) -> None:
    other = Listed("other", [Sample("only", str(folder / "3.mp4"), "three")])
    names = [name for batch in read([(good, 3.0), (other, 1.0)], collate, batch=40) for name in batch.names]
    assert 0.15 < names.count("only") / len(names) < 0.35


def darker(sample: Sample, clip: NDArray[np.uint8], draw: int) -> NDArray[np.uint8]:
    """Takes from each pixel a number that is drawn."""
    return np.full_like(clip, draw % 256)


def test_augmentations_get_drawn_numbers(good: Listed, collate: Collate) -> None:
    found = [batch.video for batch in read(good, collate, augment=darker)]
    again = [batch.video for batch in read(good, collate, augment=darker, workers=1)]
    values = [int(clip[0, 0, 0, 0]) for video in found for clip in video]  # type: ignore[union-attr]
    assert len(set(values)) > 12
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))  # type: ignore[arg-type]


def test_reading_leaves_torchs_random_numbers_alone(good: Listed, collate: Collate) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    list(read(good, collate, last=1, workers=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_in_order_gives_all_once(source: Listed, good: Listed, collate: Collate, workers: int) -> None:
    found = in_order(source, PLAN, collate, batch=12, workers=workers, max_corrupt=2)
    taken = list(found)
    assert [len(batch) for batch in taken] == [12, 12, 4]
    assert [name for batch in taken for name in batch.names] == [good[i].key for i in range(len(good))]
    assert [str(number) for batch in taken for number in seen(batch)] == [good[i].key for i in range(len(good))]
    assert [corrupt.key for corrupt in found.corrupt] == ["7", "20"]
    with pytest.raises(DataError, match="2 samples can't be read"):
        list(in_order(source, PLAN, collate, batch=12, workers=workers, max_corrupt=1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"first": 3, "last": 2}, "steps must go"),
        ({"batch": 0}, "at least 1 sample"),
        ({"workers": -1}, "workers must be 0 or more"),
        ({"batch": 2, "rank": 2, "ranks": 3}, "leaves nothing for rank 2 of 3"),
        ({"rank": 3, "ranks": 2}, "no step"),
        ({"max_corrupt": -0.1}, "max_corrupt must be a share from 0 to 1, or an integer, got -0.1"),
        ({"max_corrupt": 1.5}, "got 1.5"),
        ({"max_corrupt": math.nan}, "got nan"),
    ],
)
def test_arguments_that_are_not_allowed_are_an_error(
    good: Listed, collate: Collate, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read(good, collate, **changes)


def test_no_steps_are_no_batches(good: Listed, collate: Collate) -> None:
    assert list(read(good, collate, last=0)) == []


def test_a_worker_that_is_killed_is_said(good: Listed, collate: Collate) -> None:
    with read(good, collate, last=1000, workers=1) as found:
        next(found)
        (worker,) = [child for child in multiprocessing.active_children() if child.is_alive()]
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(DataError, match="the loader: a worker was killed: the memory is full"):
            list(found)


def test_a_worker_ends_when_it_is_told_to(good: Listed, collate: Collate) -> None:
    with read(good, collate, last=1000, workers=1) as found:
        next(found)
        (worker,) = [child for child in multiprocessing.active_children() if child.is_alive()]
        worker.terminate()
        worker.join(20)
        assert worker.exitcode == 1


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        ConnectionRefusedError(111, "Connection refused"),
        EOFError(),
        RuntimeError("received 0 items of ancdata"),
    ],
)
def test_shared_memory_that_died_with_its_worker_is_said(
    good: Listed, collate: Collate, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with read(good, collate, last=2, workers=0) as found:
        next(found)
        monkeypatch.setattr(found, "_chunks", raising(error))
        with pytest.raises(DataError, match=r"a worker was killed: .*\((Connection|\[Errno|EOFError|received 0)"):
            next(found)


def test_another_error_of_torch_is_passed_on(good: Listed, collate: Collate, monkeypatch: pytest.MonkeyPatch) -> None:
    with read(good, collate, last=2, workers=0) as found:
        next(found)
        monkeypatch.setattr(found, "_chunks", raising(RuntimeError("CUDA error")))
        with pytest.raises(RuntimeError, match="CUDA error"):
            next(found)


def raising(error: Exception) -> Iterator[Any]:
    raise error
    yield


PROGRAM = """
import json, os, signal, sys
from tokenizers import Tokenizer, models
from vljepa_edge.training.data import loader as module
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.loader import batches
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.video.stretch import FramePlan
from vljepa_edge.training.data.sources.listed import Listed

if __name__ == "__main__":
    words = Tokenizer(models.WordLevel({"video": 0}, unk_token="video"))
    source = Listed("all", (Sample(str(i), f"{sys.argv[1]}/{i}.mp4", "video") for i in range(6)))
    plan = FramePlan(count=2, width=16, height=16)
    found = batches([(source, 1.0)], plan, Collate(None, words), seed=0, stage="one", batch=4, first=0, last=10**6)
    for _ in range(8):
        next(found)  # of both workers, which then are past their start
    children = [int(line.split()[0]) for line in os.popen("ps -eo pid,pgid,comm") if str(os.getpgrp()) in line.split()]
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(None))
    print(json.dumps(children), flush=True)
    after = 0
    for batch in found:
        after += bool(told)
        if after == 100:  # more than wait
            print("went on", flush=True)
"""


@pytest.fixture
def running(folder: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A program that reads with two workers, in a process group of its own, and all processes of the group."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    program = subprocess.Popen(
        [sys.executable, str(file), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert program.stdout is not None
    group = json.loads(program.stdout.readline())
    assert len(group) >= 4  # the program, the server and two workers
    yield program, group
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.communicate()


def alive(pids: list[int]) -> list[int]:
    states = {pid: Path(f"/proc/{pid}/stat") for pid in pids}
    return [
        pid for pid, stat in states.items() if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    ]


def wait_for_the_end(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(pids)


def test_what_signals_to_all_of_a_job_do_is_the_programs_choice(
    running: tuple[subprocess.Popen[str], list[int]],
) -> None:
    program, group = running
    assert program.stdout is not None
    os.killpg(program.pid, signal.SIGTERM)  # as Slurm and systemd do
    assert program.stdout.readline() == "went on\n", program.communicate()[1]
    assert len(alive(group)) >= 5  # the tracker of shared memory too
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    _, errors = program.communicate(timeout=20)
    assert errors.count("Traceback") == 1  # the program's own
    assert "KeyboardInterrupt" in errors
    wait_for_the_end(group, 5)


def test_workers_do_not_outlive_a_killed_program(running: tuple[subprocess.Popen[str], list[int]]) -> None:
    program, group = running
    os.kill(program.pid, signal.SIGKILL)
    wait_for_the_end(group, 15)
