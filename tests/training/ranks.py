"""Several gloo processes on this machine, for tests of what ranks do together."""

from __future__ import annotations

import io
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist

TIMEOUT_S = 240.0
_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(
    ["vljepa_edge.training.parallel", "vljepa_edge.training.losses"]
)  # once for all processes of all tests


def on_ranks(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(rank, *arguments)`, a function of a module, returns on each of `count` ranks.

    Raises AssertionError with the traceback of the first that fails, or when they wait for each other.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for rank in range(count):
            here, there = _forked.Pipe(duplex=False)
            given = (rank, count, f"file://{folder}/meet", there, work, arguments)
            processes.append(_forked.Process(target=_run, args=given, daemon=True))
            pipes.append(here)
            processes[-1].start()
            there.close()
        try:
            found = [_received(rank, pipe) for rank, pipe in enumerate(pipes)]
        finally:
            for process in processes:
                process.join(10)
                process.kill()
    return found


def _received(rank: int, pipe: Connection) -> Any:
    if not pipe.poll(TIMEOUT_S):
        raise AssertionError(f"rank {rank} said nothing for {TIMEOUT_S:.0f} s")
    try:
        right, value = pipe.recv()
    except EOFError:
        raise AssertionError(f"rank {rank} ended without a word") from None
    if not right:
        raise AssertionError(f"rank {rank}:\n{value}")
    return torch.load(io.BytesIO(value), weights_only=False)


def _run(
    rank: int, count: int, meeting: str, answer: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count))
    try:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
        value = work(rank, *arguments)
        dist.barrier()  # nobody leaves while another still reads from it
        dist.destroy_process_group()
        written = io.BytesIO()
        torch.save(value, written)  # a pipe would share the tensors' memory, which ends with this process
        answer.send((True, written.getvalue()))
    except BaseException:
        answer.send((False, traceback.format_exc()))
        os._exit(1)  # not into a barrier that the others wait in
