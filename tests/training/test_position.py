"""A checkpoint goes on only in the run that it is of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from vljepa_edge.errors import InputError
from vljepa_edge.training.config import RunConfig
from vljepa_edge.training.position import header_of, position_in
from vljepa_edge.training.state import check_fits, state_of

Change = Callable[[dict[str, Any]], object]


def run(change: Change = lambda values: None) -> RunConfig:
    stage = {"steps": 9, "batch": 8, "lr": 1e-3, "query": True, "data": {"clips": 1.0},
             "frames": {"count": 4, "width": 32, "height": 32}}  # fmt: skip
    values: dict[str, Any] = {
        "name": "one", "init": "random", "model": {"preset": "tiny"},
        "data": {"clips": {"path": "a"}, "more": {"path": "b"}},
        "stages": [{"name": name, **stage} for name in ("a", "b", "c")],
    }  # fmt: skip
    change(values)
    return RunConfig.model_validate(values)


def header(stage: int = 1, step: int = 5) -> dict[str, Any]:
    """As a checkpoint has it."""
    read: dict[str, Any] = json.loads(json.dumps(header_of(run(), stage, step, 12.5)))
    return read


@pytest.mark.parametrize(
    "change",
    [
        lambda values: None,
        lambda values: values["stages"].pop(),
        lambda values: values["stages"].append({**values["stages"][2], "name": "d"}),
        lambda values: values["stages"][2].update(data={"more": 1.0}, steps=1),
        lambda values: values["stages"][1].update(steps=20, lr=1e-4, schedule="cosine", chunk=2),
        lambda values: values["stages"][1].update(steps=5),
        lambda values: values.update(parallel={"mode": "ddp"}, loader={"workers": 1}, checkpoint={"every": 3}, out="x"),
    ],
)
def test_what_lies_ahead_may_change(change: Change) -> None:
    assert position_in(header(), run(change)) == (1, 5, 12.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values.update(stages=values["stages"][:1]), "stages must be more than 1, .*got 1"),
        (lambda values: values["stages"].pop(0), r"stages\.[01]\.name must be '[ab]', .*got '[bc]'"),
        (lambda values: values["stages"][0].update(name="x"), r"stages\.0\.name must be 'a', .*got 'x'"),
        (lambda values: values["stages"].insert(1, {**values["stages"][0], "name": "x"}), r"stages\.1\.name"),
        (lambda values: values["stages"][0].update(steps=20), r"stages\.0\.steps must be 9, .*got 20"),
        (lambda values: values["stages"][1].update(steps=4), r"stages\.1\.steps must be 5 or more, .*got 4"),
        (lambda values: values["stages"][1].update(average=0.9), r"stages\.1\.average must be None, .*got 0\.9"),
        (lambda values: values["stages"][1].update(data={"more": 1.0}), r"stages\.1\.data must be {'clips': 1\.0}"),
        (lambda values: values.update(seed=3), "seed must be 0, as in the run of the checkpoint, got 3"),
    ],
)
def test_what_was_done_may_not(change: Change, said: str) -> None:
    with pytest.raises(InputError, match=said):
        position_in(header(), run(change))


def test_a_checkpoint_of_an_older_version_says_less() -> None:
    old = {"stage": 1, "step": 5, "best": 12.5}
    assert position_in(old, run()) == (1, 5, 12.5)
    with pytest.raises(InputError, match="stages must be more than 1"):
        position_in(old, run(lambda values: values.update(stages=values["stages"][:1])))


def test_weights_of_another_model_are_refused() -> None:
    def stack(width: int, *more: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(3, width), *more)

    model = stack(4)
    optimiser = torch.optim.AdamW(model.parameters())
    state = state_of(model, optimiser, frozenset({"0.bias"}))
    check_fits(stack(4), state, frozenset({"0.bias"}))
    with pytest.raises(InputError, match=r"in which 0\.weight is \(5, 3\), got \(4, 3\)"):
        check_fits(stack(5), state, frozenset({"0.bias"}))
    with pytest.raises(InputError, match=r"in which 0\.bias is \(4,\), got none"):
        check_fits(stack(4), state, frozenset())
    with pytest.raises(InputError, match=r"in which 1\.weight is \(2, 4\), got none"):
        check_fits(stack(4, nn.Linear(4, 2, bias=False)), state, frozenset({"0.bias"}))
