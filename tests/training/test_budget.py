"""The dry run's counts against PyTorch's own counter and against the paper's numbers."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.nn.small_models import bert, gemma
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
from vljepa_edge.training.budget import lines, parts, plan, sample_flops, vision_tokens
from vljepa_edge.training.config import RunConfig, load_run


def small(architecture: dict[str, object]) -> VLJepaConfig:
    return VLJepaConfig(
        x_encoder=XEncoderConfig("x", 48, 2, 2, 96, 32, 16, 2),
        language_model=LanguageModelConfig("x", vocab=50, hidden=40),
        predictor=PredictorConfig(
            (StreamConfig("x_encoder", 48),), 40, 32, LlamaStackConfig(40, 2, 4, 2, 64, max_positions=128)
        ),
        y_encoder=YEncoderConfig("x", 24, 32, architecture=architecture),
    )


def run_of(config: VLJepaConfig, query: bool) -> RunConfig:
    stage = {"name": "one", "steps": 10, "batch": 4, "data": {"a": 1.0}, "lr": 0.1, "query": query,
             "frames": {"count": 4, "width": 32, "height": 32}}  # fmt: skip
    return RunConfig.model_validate({"name": "x", "init": "runs/x", "data": {"a": {}}, "stages": [stage]})


@pytest.mark.parametrize("backbone", [bert, gemma])
@pytest.mark.parametrize("query", [False, True])
def test_flops_are_what_pytorch_counts(backbone: object, query: bool) -> None:
    config = small(backbone().config.to_dict())  # type: ignore[operator]
    torch.manual_seed(0)
    model = VLJepa(config)
    stage = run_of(config, query).stages[0]
    found = {part.name: part for part in parts(config, stage, query_tokens=6, target_tokens=5)}
    video = torch.zeros(1, 4, 32, 32, 3, dtype=torch.uint8)
    ids = torch.ones(1, 6, dtype=torch.long)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the counter does not know the fused attention of a CPU
        with FlopCounterMode(display=False) as whole:
            model.predict(video, *((ids, torch.ones_like(ids)) if query else ()))
        with FlopCounterMode(display=False) as vision:
            model.streams(video)
        with FlopCounterMode(display=False) as text:
            model.encode_text(ids[:, :5], torch.ones(1, 5, dtype=torch.long))
    assert found["x_encoder"].flops == pytest.approx(vision.get_total_flops(), rel=0.001)
    assert found["predictor"].flops == pytest.approx(whole.get_total_flops() - vision.get_total_flops(), rel=0.001)
    assert found["y_encoder"].flops == pytest.approx(text.get_total_flops(), rel=0.02)  # BERT's pooler is not used
    assert found["x_encoder"].trained == 0 < found["predictor"].trained == found["predictor"].parameters
    assert sample_flops(list(found.values())) == pytest.approx(
        found["x_encoder"].flops + 3 * (found["predictor"].flops + found["y_encoder"].flops)
    )


def test_the_papers_size() -> None:
    run = load_run("paper_v1")
    found = {part.name: part for part in parts(run.architecture(), run.stages[-1])}
    assert found["x_encoder"].parameters == pytest.approx(304e6, rel=0.002)
    assert found["predictor"].parameters == pytest.approx(490e6, rel=0.02)
    assert found["y_encoder"].parameters == pytest.approx(300e6, rel=0.02)
    assert found["x_encoder"].flops / 2 == pytest.approx(828e9, rel=0.001)  # of 16 frames, in multiplications
    assert found["predictor"].flops / 2 == pytest.approx(1154e9, rel=0.005)  # of 2048 + 32 tokens
    assert vision_tokens(run.architecture(), 1) == 256


def test_a_plan_says_what_everything_costs() -> None:
    run = load_run("paper_v2")
    found, costs = plan(run, devices=192, peak=989e12)
    assert sum(cost.samples for cost in costs) == 24_576 * 100_000 + 12_288 * 60_000 + 3072 * 10_000 + 3072 * 83_000
    text = "\n".join(lines(found, costs, 192, 989e12))
    assert "800,061,184 trained" in text and "MFU of 35 %" in text and "GiB a device" in text
    (_, few), (_, twice) = plan(run, devices=48, peak=989e12), plan(run, devices=96, peak=989e12)
    assert sum(cost.hours for cost in twice) == pytest.approx(sum(cost.hours for cost in few) / 2)
    assert all(more.memory < fewer.memory for more, fewer in zip(twice, few, strict=True))
