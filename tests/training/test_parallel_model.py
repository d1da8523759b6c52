"""The paper's model, small, as a stage trains it: two ranks, in chunks, under DDP and FSDP2, are one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tests.nn.small_models import gemma
from tests.training.ranks import on_ranks
from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import (
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.training.batch import Batch, Negatives, Tokens
from vljepa_edge.training.config import Frames, Parallel, Stage
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.grad_cache import grad_cache_step
from vljepa_edge.training.objective import Embeddings, Rows, Trainee, stage_loss
from vljepa_edge.training.parallel import Place, clip_gradients, layers, mean_over_ranks, unwrapped, wrap
from vljepa_edge.training.state import weights_of

STACK = LlamaStackConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, rope_theta=10000.0, max_positions=64)
CHUNKS = ((2, 2), (2, 1))
"""Rows of each chunk of each rank: 7 samples."""
CPU = torch.device("cpu")


class Case(NamedTuple):
    mode: str
    query: bool = True
    y_encoder: str = "trained"
    checkpoint: bool = False
    bf16: bool = False

    @property
    def parallel(self) -> Parallel:
        return Parallel(mode=self.mode, bf16=self.bf16, checkpoint_activations=self.checkpoint)


CASES = [
    *(Case(mode, query=False) for mode in ("ddp", "fsdp2")),  # no gradient for the query's projection
    *(Case(mode, checkpoint=True) for mode in ("ddp", "fsdp2")),
    Case("fsdp2", y_encoder="ema"),
    Case("ddp", y_encoder="frozen"),
    Case("fsdp2", bf16=True),
]


def trainee() -> Trainee:
    torch.manual_seed(2)
    config = VLJepaConfig(
        x_encoder=XEncoderConfig("none", hidden=48, layers=2, heads=2, ffn=96, size=32),
        language_model=LanguageModelConfig("none", "last 2", vocab=50, hidden=32, max_tokens=16),
        predictor=PredictorConfig((StreamConfig("x_encoder", 48),), query_dim=32, embedding=20, stack=STACK),
        y_encoder=YEncoderConfig("none", hidden=24, embedding=20, max_tokens=32, architecture=gemma().config.to_dict()),
    )
    return Trainee(VLJepa(config), averages=True)


def stage(case: Case) -> Stage:
    return Stage(
        name="s", steps=2, batch=7, data={"d": 1.0}, frames=Frames(count=2, width=32, height=32), lr=0.01,
        query=case.query, y_encoder=case.y_encoder,
    )  # fmt: skip


def batch(first: int, count: int, query: bool) -> Batch:
    """Rows first .. first + count of seven."""
    rng = torch.Generator().manual_seed(5)
    own = slice(first, first + count)
    video = torch.randint(0, 256, (7, 2, 32, 32, 3), generator=rng, dtype=torch.uint8)[own]
    texts, asked = (torch.randint(3, 40, (7, 6), generator=rng)[own] for _ in range(2))
    mask, asked_mask = (
        torch.arange(6) < torch.tensor(n)[own, None] for n in ([6, 3, 4, 6, 1, 2, 5], [2] * 3 + [6] * 4)
    )
    keys = torch.tensor([0, 1, 2, 0, 3, 4, 5])[own]
    return Batch(video, Tokens(texts, mask), keys, Tokens(asked, asked_mask) if query else None)


def loss_over(case: Case, keys: Tensor) -> Callable[[Embeddings], Tensor]:
    def loss(found: Embeddings) -> Tensor:
        return stage_loss(found, Rows(keys, None, None, None), stage(case), Gathering.of(len(keys), CPU), 0)

    return loss


class Outcome(NamedTuple):
    losses: list[float]
    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def train(case: Case, chunks: list[Batch], place: Place) -> Outcome:
    """Two steps of SGD. The gradients are the first's."""
    model = trainee()
    model.begin(stage(case), None)
    wrapped = wrap(model.train(), case.parallel, place)
    learning = [p for p in unwrapped(wrapped).parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learning, lr=0.05)
    losses, gradients = [], {}
    for _ in range(2):
        optimiser.zero_grad()
        loss = grad_cache_step(wrapped, loss_over(case, torch.cat([chunk.keys for chunk in chunks])), chunks)
        clip_gradients(learning, 1.0)
        named = unwrapped(wrapped).named_parameters()
        gradients = gradients or {name: whole(p.grad) for name, p in named if p.grad is not None}
        optimiser.step()
        model.update_average(0.9)
        losses.append(float(mean_over_ranks(loss)))
    return Outcome(losses, gradients, {name: whole(p) for name, p in unwrapped(wrapped).named_parameters()})


def outcomes(rank: int, cases: list[Case]) -> list[Outcome]:
    found = []
    for case in cases:
        first = [sum(map(sum, CHUNKS[:rank])), sum(map(sum, CHUNKS[:rank])) + CHUNKS[rank][0]]
        chunks = [batch(row, count, case.query) for row, count in zip(first, CHUNKS[rank], strict=True)]
        found.append(train(case, chunks, Place(rank, 2, CPU)))
    return found


@pytest.fixture(scope="module")
def on_two() -> list[list[Outcome]]:
    return on_ranks(2, outcomes, CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_ranks_in_chunks_are_one_process_with_all_rows(on_two: list[list[Outcome]], case: Case) -> None:
    right = train(case._replace(mode="none", checkpoint=False, bf16=False), [batch(0, 7, case.query)], Place(0, 1, CPU))
    tolerance = 3e-2 if case.bf16 else 1e-5
    for outcome in (of_rank[CASES.index(case)] for of_rank in on_two):
        assert outcome.losses == pytest.approx(right.losses, rel=tolerance)
        size = torch.stack([gradient.norm() for gradient in right.gradients.values()]).norm()
        for name, gradient in right.gradients.items():
            error = (outcome.gradients[name] - gradient).norm() / max(gradient.norm(), 1e-2 * size)
            assert float(error) <= (0.2 if case.bf16 else 1e-5), name
        for name, weight in right.weights.items():
            torch.testing.assert_close(outcome.weights[name], weight, atol=2e-3 if case.bf16 else 1e-6, rtol=0)


def two_stages(rank: int, mode: str, chunks: list[list[Batch]]) -> tuple[list[float], dict[str, Tensor]]:
    """One model through both: the second asks, trains what the first left frozen, and has a moving average of it."""
    losses, model = [], trainee()
    cases = Case(mode, query=False, y_encoder="frozen"), Case(mode, y_encoder="ema")
    wrapped = wrap(model.train(), cases[0].parallel, Place(rank, 1 if mode == "none" else 2, CPU))
    for case, own in zip(cases, chunks, strict=True):
        model.begin(stage(case), None)
        wrapped = wrap(model, case.parallel, Place(rank, 1 if mode == "none" else 2, CPU))
        optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
        for _ in range(2):
            optimiser.zero_grad()
            losses.append(float(mean_over_ranks(grad_cache_step(wrapped, loss_over(case, own[0].keys), own))))
            optimiser.step()
            model.update_average(0.9)
    return losses, weights_of(wrapped)


def two_stages_on_a_rank(rank: int, mode: str) -> tuple[list[float], dict[str, Tensor]]:
    return two_stages(rank, mode, [[batch(4 * rank, 4 - rank, query)] for query in (False, True)])


@pytest.mark.parametrize("mode", ["ddp", "fsdp2"])
def test_a_next_stage_trains_other_parts_of_the_same_model(mode: str) -> None:
    losses, weights = two_stages(0, "none", [[batch(0, 7, query)] for query in (False, True)])
    (found, first), (again, _) = on_ranks(2, two_stages_on_a_rank, mode)
    assert found == again == pytest.approx(losses, rel=1e-5)
    assert first.keys() == weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(first[name], weight, atol=1e-6, rtol=0)
    averaged = "y_encoder.head.weight"
    assert not torch.equal(weights[f"average.{averaged.removeprefix('y_encoder.')}"], weights[f"model.{averaged}"])


def with_wrong_texts(rank: int, mode: str) -> tuple[float, dict[str, Tensor]]:
    """A step whose first four rows have a query and a wrong text each; the rest, of the second rank, have neither."""
    model, case = trainee().train(), Case(mode)
    model.begin(stage(case), None)
    wrapped = wrap(model, case.parallel, Place(rank, 1 if mode == "none" else 2, CPU))
    more, rest = batch(0, 4, True), batch(4, 3, False)
    assert isinstance(more.target, Tokens)
    wrong = Tokens(more.target.ids.flip(0), more.target.mask.flip(0))
    more = replace(more, negatives=Negatives(wrong, torch.ones(4, 1, dtype=torch.bool)))
    parts = [more, rest.filled(True, True)] if mode == "none" else [(more, rest)[rank]]
    gather = Gathering.of(sum(map(len, parts)), CPU)
    parts = [part.filled(*gather.any(part.query is not None, part.negatives is not None)) for part in parts]
    keys, masks = torch.cat([part.keys for part in parts]), [p.negatives.mask for p in parts if p.negatives is not None]

    def loss(found: Embeddings) -> Tensor:
        return stage_loss(found, Rows(keys, None, torch.cat(masks), None), stage(case), gather, 0)

    value = float(mean_over_ranks(grad_cache_step(wrapped, loss, parts)))
    named = unwrapped(wrapped).named_parameters()
    return value, {name: whole(p.grad) for name, p in named if p.grad is not None}


@pytest.mark.parametrize("mode", ["ddp", "fsdp2"])
def test_a_rank_without_queries_and_wrong_texts_runs_what_the_others_run(mode: str) -> None:
    value, gradients = with_wrong_texts(0, "none")
    for found, of_rank in on_ranks(2, with_wrong_texts, mode):
        assert found == pytest.approx(value, rel=1e-5)
        size = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        for name, gradient in gradients.items():
            assert float((of_rank[name] - gradient).norm() / max(gradient.norm(), 1e-2 * size)) <= 1e-5, name


def test_an_average_that_was_not_made_is_asked_for() -> None:
    model = Trainee(trainee().model)
    with pytest.raises(InputError, match="moving average"):
        model.begin(stage(Case("none", y_encoder="ema")), None)


def test_the_layers_are_those_of_every_part() -> None:
    model = trainee()
    model.begin(stage(Case("none", y_encoder="ema")), None)
    kinds = [type(layer).__name__ for layer in layers(model)]
    assert kinds == ["VisionLayer"] * 2 + ["LlamaLayer"] * 2 + ["Gemma3DecoderLayer"] * 4
