"""What a stage trains of a model of the default's shape, and what it leaves as it is."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.training.tiny.fakes import small_model
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.batch import Batch, Tokens, TokenStates
from vljepa_edge.training.config import Stage
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.objective import Rows, Trainee, stage_loss
from vljepa_edge.training.optim import build_optimiser

ROWS = 4
CPU = torch.device("cpu")


def stage(**changes: object) -> Stage:
    plain = {"name": "one", "steps": 10, "batch": ROWS, "data": {"clips": 1.0}, "lr": 5e-3, "query": True,
             "frames": {"count": 8, "width": 224, "height": 224}, "cache": True, "weight_decay": 0.0}  # fmt: skip
    return Stage.model_validate(plain | changes)


def batch() -> Batch:
    """Features of clips, each with a text and a query of its own, as the frozen networks leave them."""
    rng = torch.Generator().manual_seed(0)
    appearance = torch.randn(ROWS, 8, 10, 640, generator=rng)
    appearance[..., GRID_WIDTH:] *= 0.02
    luma = torch.rand(ROWS, 8, 56, 56, generator=rng)
    target = F.normalize(torch.randn(ROWS, 384, generator=rng), dim=-1)
    query = TokenStates(torch.randn(ROWS, 3, 384, generator=rng), torch.ones(ROWS, 3, dtype=torch.bool))
    return Batch({"appearance": appearance, "luma": luma}, target, torch.arange(ROWS), query)


def loss_of(trainee: Trainee, config: Stage, of: Batch) -> Tensor:
    return stage_loss(trainee(of), Rows.of(of, None), config, Gathering.of(ROWS, CPU), 0)


def steps(
    model: VLJepa, config: Stage, count: int, trainee: Trainee | None = None
) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of so many steps, and the gradients of the last one by name."""
    trainee, of, losses = trainee or Trainee(model), batch(), []
    trainee.begin(config, None)
    optimiser = build_optimiser(model.named_parameters(), config)
    trainee.train()
    for _ in range(count):
        optimiser.zero_grad()
        loss = loss_of(trainee, config, of)
        loss.backward()
        optimiser.step()
        model.bound_temperature()
        losses.append(float(loss.detach()))
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_the_loss_falls() -> None:
    losses, _ = steps(small_model(), stage(), 25)
    assert losses[0] > 1.0 and min(losses[-3:]) < 0.3 * losses[0]


def test_a_motion_stem_that_is_not_trained_keeps_its_statistics_too_and_takes_no_gradient() -> None:
    """Else a device would see features of other statistics than what trained behind it."""
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, gradients = steps(model, stage(multipliers={"x_encoder.motion.": 0.0}), 2)
    after = model.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert "predictor.head.weight" in changed and "predictor.head.weight" in gradients
    assert not [name for name in (*changed, *gradients) if name.startswith("x_encoder.")]


def test_a_stem_that_one_stage_leaves_learns_in_the_next() -> None:
    model = small_model()
    trainee = Trainee(model)  # of the complete run
    steps(model, stage(multipliers={"x_encoder.motion.": 0.0}), 1, trainee)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps(model, stage(multipliers={"x_encoder.motion.": 0.25}), 1, trainee)
    after = model.state_dict()
    for name in ("layers.0.0.weight", "layers.0.1.weight", "layers.0.1.running_mean", "layers.0.1.num_batches_tracked"):
        assert not torch.equal(after[f"x_encoder.motion.{name}"], before[f"x_encoder.motion.{name}"]), name


def test_evaluating_moves_no_statistics_and_training_goes_on_as_before() -> None:
    model = small_model()
    trainee, config = Trainee(model), stage(multipliers={"x_encoder.motion.layers.0.": 0.0})
    trainee.begin(config, None)
    trainee.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        loss_of(trainee, config, batch())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    norms = {name: m.training for name, m in trainee.train().named_modules() if isinstance(m, torch.nn.BatchNorm3d)}
    assert norms == {f"model.x_encoder.motion.layers.{i}.1": i > 0 for i in range(5)}


def test_a_y_encoder_that_the_stage_freezes_gives_the_same_targets_at_each_step() -> None:
    model = small_model()
    model.y_encoder.config = replace(model.y_encoder.config, frozen=False)  # the stage alone freezes it
    trainee, ids = Trainee(model), torch.arange(3, 27).reshape(3, 8)

    def moves(config: Stage) -> bool:
        trainee.begin(config, None)
        trainee.train()
        return not torch.equal(model.encode_text(ids), model.encode_text(ids))

    assert not moves(stage(y_encoder="frozen"))
    assert moves(stage())  # by dropout


def test_a_temperature_at_its_bound_comes_back_when_the_loss_wants_it() -> None:
    """Random videos under random texts want a small scale, which a gradient of 0 would never bring."""
    model = small_model()
    with torch.no_grad():
        model.log_scale.fill_(20.0)
    model.bound_temperature()
    still = {"predictor.": 0.0, "y_encoder.": 0.0, "x_encoder.": 0.0, "log_scale": 10.0}
    steps(model, stage(multipliers=still), 3)
    assert float(model.scale().detach()) < 99.0


def test_the_head_of_the_y_encoder_starts_as_nothing() -> None:
    sentences = F.normalize(torch.randn(4, 384), dim=-1)
    torch.testing.assert_close(small_model().encode_text(sentences), sentences)


def test_without_a_query_the_answer_is_another_than_with_one() -> None:
    model, of = small_model().eval(), batch()
    assert isinstance(of.query, TokenStates) and not isinstance(of.target, Tokens)
    with torch.no_grad():
        free = model.predict(of.video)
        asked = model.predict(of.video, of.query.states, of.query.mask)
    assert free.shape == (ROWS, 384)
    torch.testing.assert_close(free.norm(dim=-1), torch.ones(ROWS))
    assert float((free - asked).abs().max()) > 1e-4
