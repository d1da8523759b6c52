"""Batches of a stage, read by worker processes and put together here.

The unit of work is a few samples of a step, not a step: a large batch comes from all workers at once, and what waits is
bounded. Workers come from multiprocessing's fork server. A plain fork copies whatever locks the threads here hold, such
as those of torch's and FFmpeg's pools; the server has imported this module and decoded nothing, and has no threads, so
its forks are as safe as spawned processes, and start at once. The price is that sources must be such that they can be
pickled, and that a program's own top level stands under `if __name__ == "__main__"`.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vljepa_edge.errors import DataError, FrameError, InputError, VideoError, VLJepaError
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.collate import Collate, Row, batch_of
from vljepa_edge.training.data.feature_augment import FeatureAugmentations
from vljepa_edge.training.data.plan import Plan, Reference, share_of
from vljepa_edge.training.data.sample import Sample, Source, Varied
from vljepa_edge.video.stretch import FramePlan, check_plan

MAX_CORRUPT = 0.05  # of the samples that were taken; a download that was cut off or a wrong folder spoils more
_GRACE = 200  # samples, before which a share says little
_CHUNK = 16  # samples that a worker reads at once, at most
_CHUNK_BYTES = 8 * 2**20  # and at most so many of pixels: what waits is shared memory, of which containers have little
_AHEAD = 4  # chunks of each worker that may wait
_ATTEMPTS = 50  # stand-ins for one sample
# What torch says of a worker that was killed, or of memory that it shared and that can't be had from it any more.
_KILLED = ("exited unexpectedly", "killed by signal", "items of ancdata")

Clip: TypeAlias = NDArray[np.uint8]
Augment: TypeAlias = Callable[[Sample, Any, int], Any]
"""A sample, its clip, or its cached features by name, and 64 random bits to others of the same shapes."""
Streams: TypeAlias = Mapping[str, NDArray[Any]]
PIXELS = ""  # the name of pixels among streams

_log = logging.getLogger(__name__)


class Corrupt(NamedTuple):
    """A sample that can't be read."""

    source: str
    key: str
    reason: str


class Chunk(NamedTuple):
    """What a worker makes of a few samples; what went wrong that no other sample can stand in for.

    video: cached streams by name, or pixels under PIXELS.
    """

    video: dict[str, Tensor]
    rows: list[Row]
    corrupt: list[Corrupt]
    error: VLJepaError | None = None


class Batches(Iterator[Batch]):
    """Batches until there are no more. Close it, or use it in a `with`: that ends its workers.

    waited: seconds for which batches were waited for. corrupt: samples that can't be read, each once. Iterating raises
    DataError when they are too many. cut: how many samples had a text of which the model reads the beginning alone.
    """

    def __init__(self, chunks: Dataset[Chunk], rows: int, workers: int, pin: bool, max_corrupt: float) -> None:
        """rows: of a batch; the last has what is left of the chunks."""
        self.waited = 0.0
        self.corrupt: list[Corrupt] = []
        self._known: set[tuple[str, str]] = set()
        self._taken = self._met = self.cut = 0
        self._rows, self._pin, self._max_corrupt = rows, pin, max_corrupt
        self._loader: DataLoader[Chunk] | None = DataLoader(
            chunks,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=_context() if workers else None,
            prefetch_factor=_AHEAD if workers else None,
            worker_init_fn=_begin_worker if workers else None,
            generator=torch.Generator().manual_seed(0),  # else it takes a number from the generator of the training
        )
        self._chunks: Iterator[Chunk] | None = None
        self._left: Chunk | None = None  # of the last chunk, what went into no batch yet

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        begun = time.perf_counter()
        try:
            return self._assembled()
        except BaseException:
            self.close()
            raise
        finally:
            self.waited += time.perf_counter() - begun

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers. There is no batch after that."""
        chunks, self._chunks, self._loader = self._chunks, None, None
        # DataLoader ends its workers when its iterator is gone; the traceback of an error can keep that for long.
        end = getattr(chunks, "_shutdown_workers", None)
        if end is not None:
            end()

    def _assembled(self) -> Batch:
        if self._loader is None:
            raise StopIteration
        if self._chunks is None:
            self._chunks = iter(self._loader)
        video: dict[str, Tensor] = {}
        rows: list[Row] = []
        while len(rows) < self._rows:
            chunk = self._left or self._count(_next(self._chunks))
            if chunk is None:
                break
            room = self._rows - len(rows)
            here = chunk.rows[:room]
            for name, part in chunk.video.items():
                if name not in video:
                    video[name] = torch.empty((self._rows, *part.shape[1:]), dtype=part.dtype, pin_memory=self._pin)
                video[name][len(rows) : len(rows) + len(here)] = part[:room]
            rows += here
            self._left = None
            if len(chunk.rows) > room:
                rest = {name: part[room:] for name, part in chunk.video.items()}
                self._left = chunk._replace(video=rest, rows=chunk.rows[room:])
        if not rows:
            raise StopIteration
        video = {name: part[: len(rows)] for name, part in video.items()}
        return batch_of(rows, video.get(PIXELS, video))

    def _count(self, chunk: Chunk | None) -> Chunk | None:
        """The chunk, with its corrupt samples counted, and those whose texts were cut off."""
        if chunk is None:
            return None
        for corrupt in chunk.corrupt:
            if (corrupt.source, corrupt.key) not in self._known:
                self._known.add((corrupt.source, corrupt.key))
                self.corrupt.append(corrupt)
                _log.warning("%s: sample %s is left out: %s", *corrupt)
        for row in chunk.rows:
            if row.cut and not self.cut:
                _log.warning("sample %s: %s; others like it are counted", row.name, row.cut)
            self.cut += bool(row.cut)
        if chunk.error is not None:
            raise chunk.error
        self._taken += len(chunk.rows)
        self._met += len(chunk.corrupt)
        if isinstance(self._max_corrupt, int):
            if len(self.corrupt) > self._max_corrupt:
                raise self._too_many(f"{len(self.corrupt)} samples can't be read, more than {self._max_corrupt}")
        elif self._met > self._max_corrupt * max(self._taken, _GRACE):
            share = f"{self._max_corrupt:.1%}"
            raise self._too_many(f"{self._met} of {self._taken + self._met} samples can't be read, more than {share}")
        return chunk

    def _too_many(self, what: str) -> DataError:
        last = self.corrupt[-1]
        return DataError(last.source, f"{what}; the last: {last.reason}", f"sample {last.key}")


def batches(
    sources: Sequence[tuple[Source, float]],
    frame_plan: FramePlan,
    collate: Collate,
    *,
    seed: int,
    stage: str,
    batch: int,
    first: int,
    last: int,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 2,
    augment: Augment | None = None,
    cache: FeatureCache | None = None,
    pin: bool = False,
    max_corrupt: float = MAX_CORRUPT,
) -> Batches:
    """What `rank` takes of the steps first to last - 1 of a stage: its slice of each batch of `batch` samples.

    A run that begins at a later `first` gets the same batches from there on. A sample that can't be read is counted,
    logged, and replaced by another of its source, the same in every run.

    sources: with their weights. workers: processes; 0 reads here. cache: gives streams of a frozen encoder in place of
    pixels. augment: of pixels, see augment.py, or of cached features, see feature_augment.py. pin: in page-locked
    memory, for copies to a GPU. max_corrupt: how many samples may be corrupt, a share of all (float) or a number (int);
    more end the run.
    Raises InputError for arguments that are not allowed, DataError while iterating.
    """
    check_plan(frame_plan)
    _check(batch, workers, max_corrupt)
    if not 0 <= first <= last:
        raise InputError(f"steps must go from 0 or more to a later one, got {first} to {last}")
    opened = [source for source, _ in sources]
    plan = Plan(tuple(map(len, opened)), tuple(weight for _, weight in sources), seed, stage)
    plan.step(first, batch, rank, ranks)  # what is wrong is said now and not in a worker
    share = share_of(batch, rank, ranks)
    rows = share[1] - share[0]
    if rows == 0:
        raise InputError(f"a batch of {batch} samples leaves nothing for rank {rank} of {ranks}")
    if augment is not None and isinstance(augment, FeatureAugmentations) != (cache is not None):
        raise InputError("pixels must be augmented as pixels, and the features of a frozen encoder as features")
    chunks = _Planned(opened, Reader(frame_plan, cache), collate, augment, plan, batch, share, first, last)
    return Batches(chunks, rows, workers, pin, max_corrupt)


def in_order(
    source: Source,
    frame_plan: FramePlan,
    collate: Collate,
    *,
    batch: int,
    workers: int = 2,
    cache: FeatureCache | None = None,
    pin: bool = False,
    max_corrupt: float = MAX_CORRUPT,
) -> Batches:
    """All samples of a source once, in order, for evaluation: the middle of each stretch, nothing augmented.

    Samples that can't be read are logged and left out; the last batch has what is left.
    Raises InputError for arguments that are not allowed, DataError while iterating.
    """
    check_plan(frame_plan)
    _check(batch, workers, max_corrupt)
    chunks = Ordered(source, Reader(frame_plan, cache), collate.rows)
    return Batches(chunks, batch, workers, pin, max_corrupt)


class _Planned(Dataset[Chunk]):
    """The chunks of a stage's steps, in order."""

    def __init__(
        self,
        sources: Sequence[Source],
        reader: Reader,
        collate: Collate,
        augment: Augment | None,
        plan: Plan,
        batch: int,
        share: tuple[int, int],
        first: int,
        last: int,
    ) -> None:
        self._sources, self._reader, self._collate = sources, reader, collate
        self._augment = augment
        self._plan, self._batch, self._share = plan, batch, share
        self._first, self._steps = first, last - first
        self._each = -(-(share[1] - share[0]) // reader.chunk)  # chunks of a step

    def __len__(self) -> int:
        return self._steps * self._each

    def __getitem__(self, number: int) -> Chunk:
        step, part = divmod(number, self._each)
        batch = (self._first + step) * self._batch
        begin = batch + self._share[0] + part * self._reader.chunk
        corrupt: list[Corrupt] = []
        read = []
        try:
            for reference in self._plan.slice(begin, min(begin + self._reader.chunk, batch + self._share[1])):
                read.append(self._read(reference, corrupt))
            return _chunk(read, corrupt, self._collate.rows)
        except VLJepaError as error:
            return _failed(corrupt, error)

    def _read(self, reference: Reference, corrupt: list[Corrupt]) -> tuple[Sample, Streams]:
        """The sample, or who stands in for it."""
        source = self._sources[reference.source]
        chosen = reference
        for attempt in range(_ATTEMPTS):
            sample, video = self._reader(source, chosen.sample, chosen.where, corrupt)
            if video is not None:
                return self._changed(source, sample, video, chosen.draw)
            chosen = self._plan.substitute(reference, attempt)
        raise DataError(source.name, f"{_ATTEMPTS} samples in a row can't be read; the last: {corrupt[-1].reason}")

    def _changed(self, source: Source, sample: Sample, video: Streams, draw: int) -> tuple[Sample, Streams]:
        """As the step sees it: varied by its source, and augmented."""
        if PIXELS not in video and isinstance(source, Varied):
            sample, video = source.varied(sample, video, draw)
        if self._augment is None:
            return sample, video
        if PIXELS in video:
            return sample, {PIXELS: self._augment(sample, video[PIXELS], draw)}
        return sample, self._augment(sample, video, draw)


class Ordered(Dataset[Chunk]):
    """All samples of a source in order, without those that can't be read."""

    def __init__(self, source: Source, reader: Reader, rows: Callable[[Sequence[Sample]], list[Row]]) -> None:
        self._source, self._reader, self._rows = source, reader, rows

    def __len__(self) -> int:
        return -(-len(self._source) // self._reader.chunk)

    def __getitem__(self, number: int) -> Chunk:
        corrupt: list[Corrupt] = []
        try:
            begin = number * self._reader.chunk
            indices = range(begin, min(begin + self._reader.chunk, len(self._source)))
            read = [self._reader(self._source, index, 0.5, corrupt) for index in indices]
            return _chunk([(sample, video) for sample, video in read if video is not None], corrupt, self._rows)
        except VLJepaError as error:
            return _failed(corrupt, error)


class Reader:
    """Gives a sample's pixels, or its features where there is a cache. chunk: how many to read at once."""

    def __init__(self, plan: FramePlan, cache: FeatureCache | None = None) -> None:
        self._plan, self._cache = plan, cache
        clip = 3 * plan.count * plan.height * plan.width
        self.chunk = _CHUNK if cache is not None else max(1, min(_CHUNK, _CHUNK_BYTES // clip))

    def __call__(
        self, source: Source, index: int, where: float, corrupt: list[Corrupt]
    ) -> tuple[Sample, Streams | None]:
        """A sample and its video, None where it can't be read."""
        sample = source[index]
        try:
            if self._cache is not None:
                return sample, self._cache.read(sample)
            return sample, {PIXELS: source.frames(sample, self._plan, where)}
        except (VideoError, FrameError) as error:
            reason = str(error)
        except OSError as error:
            reason = f"{sample.media}: {error.strerror or error}"
        corrupt.append(Corrupt(source.name, sample.key, reason))
        return sample, None


def _chunk(
    read: Sequence[tuple[Sample, Streams]], corrupt: list[Corrupt], rows: Callable[[Sequence[Sample]], list[Row]]
) -> Chunk:
    if not read:
        return Chunk({}, [], corrupt)
    names = read[0][1]
    video = {name: torch.from_numpy(np.stack([each[name] for _, each in read])) for name in names}
    return Chunk(video, rows([sample for sample, _ in read]), corrupt)


def _failed(corrupt: list[Corrupt], error: VLJepaError) -> Chunk:
    return Chunk({}, [], corrupt, error)


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    try:
        return next(chunks, None)
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _KILLED):
            raise
        reason = "a worker was killed: the memory is full, or the shared memory (/dev/shm); take fewer workers"
        first = str(error).partition("\n")[0] or type(error).__name__
        raise DataError("the loader", f"{reason} ({first})") from error


def _check(batch: int, workers: int, max_corrupt: float) -> None:
    if batch < 1:
        raise InputError(f"a batch must have at least 1 sample, got {batch}")
    if workers < 0:
        raise InputError(f"workers must be 0 or more, got {workers}")
    if not 0 <= max_corrupt <= (math.inf if isinstance(max_corrupt, int) else 1):
        raise InputError(f"max_corrupt must be a share from 0 to 1, or an integer, got {max_corrupt}")


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vljepa_edge.training.data.fork_server"])
    return context


def _begin_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who started the workers ends them
    if hasattr(signal, "sigwaitinfo"):  # macOS lacks it: there a SIGTERM to all of a job ends the workers too soon
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told, daemon=True).start()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are that already


def _end_when_told() -> None:
    """Ends this worker at a SIGTERM of who started it. Of others it is to all of a job, and then the workers are needed
    until the training has saved."""
    parent = multiprocessing.parent_process()
    while parent is not None and signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
        pass
    os._exit(1)


def _end_with_parent() -> None:
    """Ends this worker when who started it is killed: the fork server lives on, and with it torch's workers would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
