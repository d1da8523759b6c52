"""Groups of the optimiser by name, rates over a stage, averages of weights, and steps that are not taken."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vljepa_edge.training.config import Stage
from vljepa_edge.training.optim import (
    MOST_REFUSED,
    Average,
    Guard,
    TrainingError,
    build_optimiser,
    multiplier,
    rate_at,
    set_rate,
)
from vljepa_edge.training.steps import Steps


def stage(**changes: object) -> Stage:
    plain = {"name": "one", "steps": 10, "batch": 2, "data": {"clips": 1.0}, "lr": 1e-3, "query": False,
             "frames": {"count": 1, "width": 8, "height": 8}}  # fmt: skip
    return Stage.model_validate(plain | changes)


def parameters() -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    shapes = {"y_encoder.head.weight": (3, 4), "y_encoder.head.bias": (3,), "x_encoder.motion.weight": (2, 3, 1),
              "x_encoder.motion.norm.bias": (2,), "predictor.stack.down": (4, 4), "predictor.head": (4, 4),
              "log_scale": (), "frozen": (2, 2)}  # fmt: skip
    made = {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    made["frozen"].requires_grad_(False)
    return made


def test_the_longest_prefix_decides() -> None:
    multipliers = {"y_encoder.": 0.05, "x_encoder.": 0.5, "x_encoder.motion.": 0.25}
    rates = {"y_encoder.head.weight": 0.05, "x_encoder.motion.weight": 0.25, "x_encoder.norm": 0.5, "log_scale": 1.0}
    assert {name: multiplier(name, multipliers) for name in rates} == rates


def test_every_parameter_that_trains_is_in_one_group_and_only_matrices_decay() -> None:
    named = parameters()
    optimiser = build_optimiser(named.items(), stage(weight_decay=0.05, multipliers={"x_encoder.motion.": 0.0}))
    of = {id(parameter): group for group in optimiser.param_groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(of)
    trained = {name for name in named if name != "frozen" and not name.startswith("x_encoder.motion.")}
    assert of.keys() == {id(named[name]) for name in trained}
    for name in trained:
        assert of[id(named[name])]["weight_decay"] == (0.05 if named[name].ndim > 1 else 0.0), name


def test_each_part_moves_by_its_own_rate() -> None:
    """AdamW's first step is the learning rate, whatever the gradient."""
    named = parameters()
    before = {name: parameter.detach().clone() for name, parameter in named.items()}
    rates = {"y_encoder.": 0.05, "x_encoder.motion.": 0.25, "predictor.stack.": 0.5}
    optimiser = build_optimiser(named.items(), stage(weight_decay=0.0, multipliers=rates))
    set_rate(optimiser, 1e-3)
    sum((p * torch.randn_like(p)).sum() for p in named.values() if p.requires_grad).backward()  # type: ignore[union-attr]
    optimiser.step()
    for name, parameter in named.items():
        rate = 0.0 if name == "frozen" else multiplier(name, rates)
        moved = (parameter.detach() - before[name]).abs()
        torch.testing.assert_close(moved, torch.full_like(moved, rate * 1e-3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("step", "cosine", "factor"),
    [(0, False, 0.1), (4, False, 0.5), (9, False, 1), (99, False, 1), (0, True, 0.1), (50, True, 0.5), (99, True, 0)],
)
def test_the_rate_warms_up_then_stays_or_falls_as_a_cosine(step: int, cosine: bool, factor: float) -> None:
    assert rate_at(step, 100, 0.8, 10, cosine=cosine) == pytest.approx(0.8 * factor, abs=1e-3)


def test_without_warmup_the_first_step_has_the_full_rate() -> None:
    assert rate_at(0, 100, 0.8, 0, cosine=False) == rate_at(0, 100, 0.8, 0, cosine=True) == 0.8


def test_an_average_is_the_recursion_in_float64_and_goes_on_from_what_it_saved() -> None:
    torch.manual_seed(0)
    states: list[dict[str, Tensor]] = [{"w": torch.randn(5), "count": torch.tensor(i)} for i in range(6)]
    average = Average(states[0], 0.9)
    expected = states[0]["w"].double()
    for i, state in enumerate(states[1:]):
        if i == 2:  # a run that goes on
            saved, average = average.tensors(), Average(states[0], 0.9)
            average.load(saved | {"weights.other": torch.zeros(1)})
        average.update(state)
        expected = 0.9 * expected + 0.1 * state["w"].double()
    torch.testing.assert_close(average.weights["w"].double(), expected, rtol=1e-5, atol=1e-6)
    assert average.weights["count"] == 5  # a counter is not averaged
    assert torch.equal(states[0]["w"], torch.randn(5, generator=torch.Generator().manual_seed(0)))  # none is changed


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_a_step_that_is_not_finite_is_refused_and_many_in_a_row_end_the_run(loss: float, norm: float) -> None:
    guard = Guard("it")
    for _ in range(3):  # good ones between them
        assert not any(guard.allows(loss, norm) for _ in range(MOST_REFUSED - 1))
        assert guard.allows(1.0, 1.0)
    assert guard.refused == 3 * (MOST_REFUSED - 1)
    which = "gradient" if math.isfinite(loss) else "loss"
    with pytest.raises(TrainingError, match=f"it: {MOST_REFUSED} steps in a row .* {which} is not finite .*lower lr"):
        for _ in range(MOST_REFUSED):
            guard.allows(loss, norm)


class Normed(nn.Module):
    """A norm with statistics, and a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.weight = nn.BatchNorm1d(2), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = (self.norm(x) * self.weight).square().sum()
        return found


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_refused_step_leaves_all_as_it_was_the_statistics_of_norms_too(value: float) -> None:
    torch.manual_seed(0)
    bad = torch.randn(4, 2)
    bad[1, 1] = value
    good = [torch.randn(4, 2) for _ in range(2)]
    ended = []
    for batches in ([good[0], bad, bad, good[1], bad], good):
        made = Normed()
        taken = Steps("it", made, torch.optim.AdamW(made.parameters(), 0.1))
        losses = [taken.take(lambda batch=batch, made=made: made(batch)) for batch in batches]  # type: ignore[misc]
        assert [loss is None for loss in losses] == [bool(not batch.isfinite().all()) for batch in batches]
        assert taken.refused == losses.count(None)
        ended.append(made.state_dict())
    for name, tensor in ended[0].items():
        assert torch.equal(tensor, ended[1][name]), name


def test_a_gradient_that_is_not_finite_is_refused_though_its_loss_is_finite() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
    taken = Steps("it", layer, torch.optim.SGD(layer.parameters(), 1.0))
    assert taken.take(lambda: layer(torch.ones(1, 1)).abs().sqrt().sum()) is None  # the slope of a root at 0
    assert float(layer.weight.detach()) == 0.0 and taken.refused == 1


def test_a_gradient_is_cut_to_the_most_that_it_may_be() -> None:
    weight = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        weight.weight.zero_()
    taken = Steps("it", weight, torch.optim.SGD(weight.parameters(), 1.0), most=0.5)
    assert taken.take(lambda: 3 * weight(torch.ones(1, 1)).sum()) == 0.0
    assert float(weight.weight.detach()) == pytest.approx(-0.5)
