"""DDP and FSDP2 over gloo: ranks with a part of the batch each have the loss and gradients of one with all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.distributed.tensor import DTensor

from tests.training.ranks import on_ranks
from tests.training.small_pair import Embeddings, Pair, Rows, cut, loss_of, rows
from vljepa_edge.errors import InputError
from vljepa_edge.training.config import Parallel
from vljepa_edge.training.grad_cache import grad_cache_step
from vljepa_edge.training.parallel import Place, clip_gradients, init_parallel, mean_over_ranks, unwrapped, wrap

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


class Case(NamedTuple):
    """counts: the rows of each rank, by chunk."""

    mode: str
    counts: tuple[tuple[int, ...], ...]
    dropout: float = 0.0
    checkpoint: bool = False
    steps: int = 1

    @property
    def parallel(self) -> Parallel:
        return Parallel(mode=self.mode, bf16=False, checkpoint_activations=self.checkpoint)

    @property
    def chunks(self) -> list[list[Rows]]:
        """Of each rank."""
        parts = cut(rows(sum(map(sum, self.counts))), tuple(n for own in self.counts for n in own))
        return [[parts.pop(0) for _ in own] for own in self.counts]


BOTH = ("ddp", "fsdp2")
CASES = {
    1: [Case(mode, ((5,),)) for mode in BOTH] + [Case(mode, ((2, 3),), 0.4) for mode in BOTH],
    2: [
        *(Case(mode, ((4,), (4,))) for mode in BOTH),
        *(Case(mode, ((4,), (3,))) for mode in BOTH),  # 7 samples on 2 ranks
        *(Case(mode, ((2, 2), (2, 1)), 0.4) for mode in BOTH),  # chunks, with dropout
        *(Case(mode, ((2, 2), (2, 1)), 0.4, checkpoint=True) for mode in BOTH),
        *(Case(mode, ((1, 2, 1), (1, 1, 1)), steps=3) for mode in BOTH),  # gradients accumulate over three
    ],
    4: [Case(mode, ((2,), (3,), (1,), (2,))) for mode in BOTH]
    + [Case(mode, ((1, 1), (2, 1), (1, 1), (1, 2)), 0.4) for mode in BOTH],
}


class Outcome(NamedTuple):
    loss: float
    gradients: dict[str, Tensor]
    norm: float
    clipped: dict[str, Tensor]


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {n: whole(p.grad) for n, p in unwrapped(model).named_parameters() if p.grad is not None}


def outcomes(rank: int, cases: list[Case]) -> list[Outcome]:
    found = []
    for case in cases:
        model = Pair(case.dropout)
        if rank:  # the first rank's weights count
            nn.init.zeros_(model.head.weight)
        wrapped = wrap(model, case.parallel, Place(rank, len(case.counts), CPU))
        for _ in range(case.steps):
            torch.manual_seed(100 + rank)
            loss = grad_cache_step(wrapped, loss_of, case.chunks[rank])
        made = gradients(wrapped)
        norm = clip_gradients(wrapped.parameters(), 0.01)
        found.append(Outcome(float(mean_over_ranks(loss)), made, norm, gradients(wrapped)))
    return found


def expected(case: Case) -> Outcome:
    """One process, one graph, each rank's randomness in turn, and torch's own clipping."""
    model, parts = Pair(case.dropout), []
    for rank, chunks in enumerate(case.chunks):
        torch.manual_seed(100 + rank)
        parts += [model(chunk) for chunk in chunks]
    predicted, target, keys = (torch.cat([getattr(p, n) for p in parts]) for n in ("predicted", "target", "keys"))
    loss = loss_of(Embeddings(predicted, target, parts[0].scale, keys))
    (loss * case.steps).backward()  # type: ignore[no-untyped-call]
    made = gradients(model)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    return Outcome(float(loss.detach()), made, float(norm), gradients(model))


@pytest.fixture(scope="module")
def by_ranks() -> dict[int, list[list[Outcome]]]:
    return {count: on_ranks(count, outcomes, cases) for count, cases in CASES.items()}


@pytest.mark.parametrize(("count", "case"), [(n, case) for n, cases in CASES.items() for case in cases], ids=str)
def test_ranks_are_one_process_with_the_whole_batch(
    by_ranks: dict[int, list[list[Outcome]]], count: int, case: Case
) -> None:
    right = expected(case)
    for of_rank in by_ranks[count]:
        found = of_rank[CASES[count].index(case)]
        assert found.loss == pytest.approx(right.loss, rel=1e-9)
        assert found.norm == pytest.approx(right.norm, rel=1e-9)
        for mine, theirs in ((found.gradients, right.gradients), (found.clipped, right.clipped)):
            for name, gradient in theirs.items():
                torch.testing.assert_close(mine[name], gradient, atol=1e-10, rtol=1e-8)
        extra = found.gradients.keys() - right.gradients.keys()  # DDP leaves none, or zeros, without a gradient
        assert all(not bool(found.gradients[name].any()) for name in extra)


def test_no_parameter_is_more_than_its_shard_on_a_rank() -> None:
    """Under FSDP2 each of two ranks holds half of every layer and of the rest, between steps."""
    for held in on_ranks(2, shards):
        assert held["layers.0.linear.weight"] == held["head.weight"] == 18
        assert sum(held.values()) <= sum(p.numel() for p in Pair().parameters()) / 2 + len(held)


def shards(rank: int) -> dict[str, int]:
    model = wrap(Pair(), Parallel(mode="fsdp2", bf16=False), Place(rank, 2, CPU))
    grad_cache_step(model, loss_of, [cut(rows(6), (3, 3))[rank]])
    return {name: p.to_local().numel() for name, p in model.named_parameters() if isinstance(p, DTensor)}


SCRIPT = """
import math
import sys
import torch
from vljepa_edge.training.parallel import init_parallel, max_over_ranks, mean_over_ranks
with init_parallel("cpu") as place:
    mean = float(mean_over_ranks(torch.tensor(float(place.rank))))
    most = max_over_ranks(torch.tensor([float(place.rank), 1.0 - place.rank, -math.inf])).tolist()
    sys.stdout.write(f"rank {place.rank} of {place.ranks} on {place.device}: {mean} {most}\\n")  # at once: both write
    sys.stdout.flush()
    if place.rank == 1 and sys.argv[1:] == ["fail"]:
        raise SystemExit(3)
assert not torch.distributed.is_initialized()
"""


@pytest.mark.parametrize("ending", ["", "fail"])
def test_under_torchrun_each_process_knows_its_place(ending: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [*command, *ending.split()], capture_output=True, text=True, timeout=300,
        env={**environment, "OMP_NUM_THREADS": "1"}, cwd=ROOT,
    )  # fmt: skip
    said = [f"rank {rank} of 2 on cpu: 0.5 [1.0, 1.0, -inf]" for rank in (0, 1)]
    assert sorted(done.stdout.splitlines()) == said, done.stderr
    assert (done.returncode == 0) == (not ending)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with init_parallel("cpu") as place:
        assert place == Place(0, 1, CPU) and not torch.distributed.is_initialized()
        model = Pair()
        assert wrap(model, Parallel(bf16=False), place) is model
        assert float(mean_over_ranks(torch.tensor(3.0))) == 3.0


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in BOTH:
        with pytest.raises(InputError, match=f"{mode} needs torchrun"):
            wrap(Pair(), Parallel(mode=mode), Place(0, 1, CPU))
    with pytest.raises(InputError, match="2 ranks with parallel"):
        wrap(Pair(), Parallel(), Place(0, 2, CPU))
    for environment, device, message in (
        ({"RANK": "0"}, "cpu", "are set together"),
        ({"RANK": "zero", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "cpu", "RANK must be a number, got 'zero'"),
        ({}, "tpu", "device must be cpu or cuda"),
        ({"LOCAL_RANK": "99", "RANK": "99", "WORLD_SIZE": "100"}, "cuda", "process 99 of this machine has no GPU"),
    ):
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=message), init_parallel(device):
            pass


@pytest.mark.parametrize("checkpoint", [False, True])
def test_compiled_layers_have_the_same_gradients(checkpoint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiler's graphs and autograd, without its code; layers of one class share their code."""
    backend = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend, fullgraph=True))
    torch._dynamo.reset()
    compiled, plain = Pair(), Pair()
    model = wrap(compiled, Parallel(bf16=False, compile=True, checkpoint_activations=checkpoint), Place(0, 1, CPU))
    grad_cache_step(model, loss_of, [rows(5)])
    grad_cache_step(plain, loss_of, [rows(5)])
    assert backend.frame_count == 2  # the first layer's input does not learn, the others' does
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(gradients(compiled)[name], gradient)


def test_activations_are_made_again_instead_of_kept() -> None:
    """Of what autograd saves, the insides of the layers."""
    kept = {}
    for checkpoint in (False, True):
        model = wrap(Pair(), Parallel(bf16=False, checkpoint_activations=checkpoint), Place(0, 1, CPU))
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, saved=saved: saved.append(1) or t, lambda t: t):
            model(rows(5))
        kept[checkpoint] = len(saved)
    assert kept[True] <= kept[False] - 3


def test_wrapping_again_starts_from_the_module() -> None:
    """For a next stage, which may want something else."""
    model, place, given = Pair(dtype=torch.float32), Place(0, 1, CPU), rows(3)
    given = Rows(given.video.float(), given.text.float(), given.keys)
    wrap(model, Parallel(bf16=True, checkpoint_activations=True), place)
    assert model(given).predicted.dtype == torch.bfloat16
    wrap(model, Parallel(bf16=False), place)
    assert model(given).predicted.dtype == torch.float32
    assert sorted(model.state_dict()) == sorted(Pair().state_dict())


def test_gradients_are_clipped_as_torch_does_it() -> None:
    ours, theirs = Pair(), Pair()
    for model in (ours, theirs):
        loss_of(model(rows(5))).backward()  # type: ignore[no-untyped-call]
    found = clip_gradients(ours.parameters(), 0.1)
    assert found == pytest.approx(float(nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)))
    for name, gradient in gradients(theirs).items():
        torch.testing.assert_close(gradients(ours)[name], gradient)
    assert clip_gradients(Pair().parameters(), 0.1) == 0.0
