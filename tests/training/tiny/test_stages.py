"""A training stage: rates of the parts, averaged weights, going on from where it stopped, and that it learns."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Container
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from tests.training.tiny.fakes import small_model, stage
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.losses import info_nce
from vljepa_edge.training.optim import MOST_REFUSED, TrainingError
from vljepa_edge.training.steps import Steps
from vljepa_edge.training.tiny import checkpoint, stages
from vljepa_edge.training.tiny.batches import Batch
from vljepa_edge.training.tiny.stages import train_stage, trained_parts

SIZE = 8
State = dict[str, Tensor]


class Source:
    """Batches drawn from 8 random clips, each with a text and a query of its own; remembers how often it was asked."""

    def __init__(self, stop: int | None = None, watch: Callable[[], None] = lambda: None) -> None:
        rng = torch.Generator().manual_seed(0)
        self.appearance = torch.randn(SIZE, 8, 10, 640, generator=rng)
        self.appearance[..., GRID_WIDTH:] *= 0.02
        self.luma = torch.rand(SIZE, 8, 56, 56, generator=rng)
        self.target = F.normalize(torch.randn(SIZE, 384, generator=rng), dim=-1)
        self.query = torch.randn(SIZE, 3, 384, generator=rng)
        self.drawn, self.stop, self.watch = 0, stop, watch

    def batch(self) -> Batch:
        self.watch()
        if self.drawn == self.stop:
            raise KeyboardInterrupt
        self.drawn += 1
        nothing = torch.zeros(SIZE, 1, dtype=torch.bool)
        return Batch(
            self.appearance, self.luma, self.query, torch.ones(SIZE, 3, dtype=torch.bool), [""] * SIZE, self.target,
            torch.arange(SIZE), torch.arange(SIZE)[:, None], torch.zeros(SIZE, 1, 384), nothing,
        )  # fmt: skip

    def draws(self) -> object:
        return {"drawn": self.drawn}

    def resume(self, draws: dict[str, int]) -> None:
        self.drawn = draws["drawn"]


def kept(batch: Batch) -> dict[str, Tensor]:
    return {"appearance": batch.appearance, "luma": batch.luma}


def copy(model: VLJepa) -> State:
    return {name: value.detach().clone() for name, value in trained_parts(model).state_dict().items()}


def run(model: VLJepa, folder: Path, source: Source | None = None, **changes: object) -> State:
    """Train and return the raw weights after the last step (not the average that the model ends with)."""
    last: State = {}
    options: dict[str, object] = {"steps": 1, "warmup": 1, "weight_decay": 0.0} | changes

    def report(_: str) -> None:
        last.update(copy(model))

    train_stage(model, source or Source(), stage(**options), "clips", folder, report)  # type: ignore[arg-type]
    return last


def moved(before: State, after: State, name: str) -> float:
    """How far a parameter's numbers went. Adam's first step is the learning rate, whatever the gradient."""
    steps = (after[name] - before[name]).abs()
    return float(steps[steps > 0].median()) if bool((steps > 0).any()) else 0.0


def test_each_part_has_its_own_learning_rate(tmp_path: Path) -> None:
    model = small_model()
    before = copy(model)
    after = run(model, tmp_path, lr=1e-3, y_encoder_lr=0.05, motion_lr=0.25, body_lr=0.5)
    for name, rate in {
        "y_head.weight": 0.05, "y_head.bias": 0.05, "motion.layers.0.0.weight": 0.25, "motion.layers.4.1.bias": 0.25,
        "predictor.stack.layers.0.down.weight": 0.5, "predictor.query.weight": 1.0, "predictor.head.weight": 1.0,
        "predictor.streams.appearance.project.weight": 1.0, "log_scale": 1.0,
    }.items():  # fmt: skip
        assert moved(before, after, name) == pytest.approx(rate * 1e-3, rel=0.05), name


def test_what_decays_and_what_does_not() -> None:
    model = small_model()
    groups = stages._groups(trained_parts(model), stage(weight_decay=0.05))
    of = {id(p): group for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    assert len(of) == len(list(trained_parts(model).parameters()))
    for name, parameter in trained_parts(model).named_parameters():
        assert of[id(parameter)]["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize(
    ("step", "cosine", "factor"),
    [(0, False, 0.1), (4, False, 0.5), (9, False, 1), (99, False, 1), (50, True, 0.5), (99, True, 0)],
)
def test_the_rate_warms_up_then_stays_or_falls_as_a_cosine(step: int, cosine: bool, factor: float) -> None:
    optimiser = torch.optim.SGD([{"params": [torch.zeros(1)], "rate": 0.25}], lr=1.0)
    stages._set_rate(optimiser, stage(steps=100, warmup=10, lr=0.8, cosine=cosine), step)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.8 * 0.25 * factor, abs=1e-3)


def test_without_warmup_the_first_step_has_the_full_rate() -> None:
    optimiser = torch.optim.SGD([{"params": [torch.zeros(1)], "rate": 1.0}], lr=1.0)
    stages._set_rate(optimiser, stage(steps=100, warmup=0, lr=0.8), 0)
    assert optimiser.param_groups[0]["lr"] == 0.8


def test_a_frozen_motion_stem_keeps_its_weights_and_statistics(tmp_path: Path) -> None:
    model = small_model()
    before = copy(model)
    after = run(model, tmp_path, steps=3, motion_lr=0.0)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith("motion.") for name in changed)
    for name, value in trained_parts(model).state_dict().items():
        if name.startswith("motion."):
            torch.testing.assert_close(value, before[name], rtol=1e-6, atol=1e-7)  # averaging rounds


def test_a_stem_frozen_in_one_stage_learns_in_the_next(tmp_path: Path) -> None:
    model = small_model()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    run(model, tmp_path / "one", motion_lr=0.0)
    before = copy(model)
    after = run(model, tmp_path / "two", motion_lr=0.25)
    assert moved(before, after, "motion.layers.0.0.weight") > 0
    assert not torch.equal(before["motion.layers.0.1.running_mean"], after["motion.layers.0.1.running_mean"])


def test_it_ends_with_the_moving_average_of_the_weights(tmp_path: Path) -> None:
    model = small_model()
    states: list[State] = []
    source = Source(watch=lambda: states.append(copy(model)))
    last = run(model, tmp_path, source, steps=4, lr=1e-2)
    average = {name: value.double() for name, value in states[0].items()}
    for state in [*states[1:], last]:
        average = {name: 0.99 * average[name] + 0.01 * state[name].double() for name in average}
    saved, ends = load_file(tmp_path / "clips.safetensors"), copy(model)
    assert set(saved) == set(ends)
    for name, value in ends.items():
        torch.testing.assert_close(saved[name], value, rtol=0, atol=0)
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(value, last[name])  # counters are not averaged
    assert not model.training


def test_a_stage_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = small_model()
    train_stage(expected, Source(), stage(steps=7), "clips", whole, lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        train_stage(small_model(), Source(stop=5), stage(steps=7), "clips", broken, lambda _: None)  # type: ignore[arg-type]
    assert sorted(file.name for file in broken.iterdir()) == ["clips.part.safetensors"]
    said: list[str] = []
    second, source = small_model(), Source()
    train_stage(second, source, stage(steps=7), "clips", broken, said.append)  # type: ignore[arg-type]
    assert said[0] == "clips: going on from step 3"
    assert source.drawn == 7  # 3 before the checkpoint
    for name, value in trained_parts(second).state_dict().items():  # moments, average and all: the very same numbers
        torch.testing.assert_close(value, trained_parts(expected).state_dict()[name], rtol=1e-6, atol=1e-7)
    assert sorted(file.name for file in broken.iterdir()) == ["clips.safetensors"]  # the checkpoint is cleared away


def test_a_finished_stage_is_loaded_ready_for_use(tmp_path: Path) -> None:
    model = small_model()
    run(model, tmp_path)
    again = small_model().train()
    source = Source(stop=0)
    train_stage(again, source, stage(), "clips", tmp_path, lambda _: None)  # type: ignore[arg-type]
    for name, value in trained_parts(again).state_dict().items():
        torch.testing.assert_close(value, trained_parts(model).state_dict()[name], rtol=0, atol=0)
    assert not again.training  # else looking at a few clips would shift the batch norms of the motion stem


def loss_of(model: VLJepa, source: Source) -> float:
    batch = source.batch()
    with torch.no_grad():
        predicted = model.predict(kept(batch), batch.query, batch.query_mask)
        return float(info_nce(predicted, model.encode_text(batch.target), model.scale()))


def test_the_loss_falls(tmp_path: Path) -> None:
    model, source = small_model(), Source()
    model.eval()
    before = loss_of(model, source)
    losses = []
    step = stages._step

    def watched(*arguments: object) -> float:
        losses.append(step(*arguments))  # type: ignore[arg-type]
        return losses[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_step", watched)
        run(model, tmp_path, source, steps=30, lr=5e-3, warmup=3)
    assert len(losses) == 30 and before > 1.5
    assert min(losses[-5:]) < 0.3 * before
    assert all(a >= 0 for a in itertools.chain(losses))


def test_the_temperature_is_bounded_and_its_gradient_is_alive_at_the_bound(tmp_path: Path) -> None:
    model = small_model()
    assert float(model.scale().detach()) == pytest.approx(1 / 0.07)
    with torch.no_grad():
        model.log_scale.fill_(20.0)
    run(model, tmp_path, steps=1, lr=1e-6)
    assert float(model.log_scale.detach()) < 20.0  # the average of 20 and the bound
    bounded = small_model()
    with torch.no_grad():
        bounded.log_scale.fill_(20.0)
    bounded.bound_temperature()
    assert float(bounded.scale().detach()) == pytest.approx(100.0)
    source = Source()
    batch = source.batch()
    predicted = bounded.predict(kept(batch), batch.query, batch.query_mask)
    info_nce(predicted, bounded.encode_text(batch.target), bounded.scale()).backward()
    assert bounded.log_scale.grad is not None and float(bounded.log_scale.grad.abs()) > 1e-3


def test_a_temperature_at_its_bound_comes_back_when_the_loss_wants_it(tmp_path: Path) -> None:
    """Random videos under random texts want a small scale, which a gradient of 0 never brings."""
    model = small_model()
    with torch.no_grad():
        model.log_scale.fill_(20.0)
    after = run(model, tmp_path, steps=3, lr=0.05, y_encoder_lr=0.0, motion_lr=0.0, body_lr=0.0)
    assert float(after["log_scale"].exp()) < 99.0


class Spoilt(Source):
    """Some of whose batches are not finite."""

    def __init__(self, bad: Container[int], value: float = float("nan")) -> None:
        super().__init__()
        self.bad, self.value, self.seen = bad, value, 0

    def batch(self) -> Batch:
        made = super().batch()
        bad = self.seen in self.bad
        self.seen += 1
        return dataclasses.replace(made, luma=torch.full_like(made.luma, self.value)) if bad else made


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_not_taken_and_is_counted(tmp_path: Path, value: float) -> None:
    said: list[str] = []
    model, expected = small_model(), small_model()
    options: dict[str, object] = {"warmup": 0, "motion_lr": 0.25}
    train_stage(model, Spoilt({1, 2, 4}, value), stage(steps=5, **options), "clips", tmp_path, said.append)  # type: ignore[arg-type]
    (tmp_path / "other").mkdir()
    train_stage(expected, Source(), stage(steps=2, **options), "clips", tmp_path / "other", lambda _: None)  # type: ignore[arg-type]
    assert said[-1].endswith("3 steps refused since they were not finite")
    for name, tensor in trained_parts(model).state_dict().items():  # the statistics of the motion stem's norms too
        torch.testing.assert_close(
            tensor, trained_parts(expected).state_dict()[name], msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_gradient_that_is_not_finite_is_refused_though_its_loss_is_finite() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
    taken = Steps("it", layer, torch.optim.SGD(layer.parameters(), 1.0))
    assert taken.take(lambda: layer(torch.ones(1, 1)).abs().sqrt().sum()) is None  # the slope of a root at 0
    assert float(layer.weight.detach()) == 0.0 and taken.refused == 1


def test_a_training_that_is_finite_no_more_ends_and_its_last_checkpoint_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 2)
    source = Spoilt(range(5, 1000))
    with pytest.raises(TrainingError, match=f"clips: {MOST_REFUSED} steps in a row .* loss is not finite .*lower lr"):
        train_stage(small_model(), source, stage(steps=100), "clips", tmp_path, lambda _: None)  # type: ignore[arg-type]
    assert source.seen == 5 + MOST_REFUSED
    assert [file.name for file in tmp_path.iterdir()] == ["clips.part.safetensors"]
    assert all(bool(value.isfinite().all()) for value in load_file(tmp_path / "clips.part.safetensors").values())


def test_refused_steps_with_good_ones_between_them_do_not_end_a_training(tmp_path: Path) -> None:
    bad = set(range(60)) - {19, 39, 59}
    train_stage(small_model(), Spoilt(bad), stage(steps=60), "clips", tmp_path, lambda _: None)  # type: ignore[arg-type]
    assert (tmp_path / "clips.safetensors").is_file()


def test_the_head_of_the_y_encoder_starts_as_nothing() -> None:
    sentences = F.normalize(torch.randn(4, 384), dim=-1)
    torch.testing.assert_close(small_model().encode_text(sentences), sentences)


def test_without_a_query_the_answer_is_another_than_with_one() -> None:
    model, source = small_model().eval(), Source()
    batch = source.batch()
    with torch.no_grad():
        free = model.predict(kept(batch))
        asked = model.predict(kept(batch), batch.query, batch.query_mask)
    assert free.shape == (SIZE, 384)
    torch.testing.assert_close(free.norm(dim=-1), torch.ones(SIZE))
    assert float((free - asked).abs().max()) > 1e-4
