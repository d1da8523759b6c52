"""What a run costs, from its config alone: parameters, FLOPs, samples, hours at a stated utilisation, memory a device.

FLOPs count multiplications and additions of matrix products (2 a pair), forward once and backward twice where a part is
trained; a forward pass that is made again (GradCache, activations that are not kept) is counted for time, not for the
MFU. Memory of activations is an estimate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from vljepa_edge.nn.config import LlamaStackConfig, VLJepaConfig
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.training.config import RunConfig, Stage

MFU = 0.35
"""The share of a device's peak that the hours of a dry run assume."""
QUERY_TOKENS, TARGET_TOKENS = 32, 32
"""Lengths of texts that a dry run assumes."""

PEAKS = {
    "H200": 989.0, "H100": 989.0, "GH200": 989.0, "B200": 2250.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.2,
    "RTX 3090": 71.0, "L4": 121.0, "A10": 125.0, "Thor": 258.0, "Orin": 42.5,
}  # fmt: skip
"""Dense bf16 TFLOP/s of GPUs by a part of their names, as their makers state them (fp32 accumulation)."""


@dataclass(frozen=True)
class Part:
    """A part of the model: parameters, of them trained, and forward FLOPs of one sample."""

    name: str
    parameters: int
    trained: int
    flops: float


@dataclass(frozen=True)
class StageCost:
    """One stage on `devices`. flops: of the complete stage, forward and backward. hours: at MFU of the peak."""

    name: str
    samples: int
    steps: int
    sample_flops: float
    flops: float
    hours: float
    memory: float

    def line(self) -> str:
        """For people."""
        work = f"{self.sample_flops / 1e9:,.1f} GFLOP a sample, {self.flops:.3g} FLOP, {self.hours:,.1f} hours"
        memory = f"{self.memory / 2**30:.1f} GiB a device"
        return f"{self.name}: {self.steps:,} steps, {self.samples:,} samples, {work}, {memory}"


@dataclass(frozen=True)
class _Sizes:
    """Parameters of a part, and those of them that can be trained."""

    all: int
    trainable: int


@lru_cache(maxsize=4)
def _sizes(config: str) -> dict[str, _Sizes]:
    """By part, of a model's config as JSON, counted on PyTorch's meta device, which holds no numbers."""
    with torch.device("meta"):
        model = VLJepa(VLJepaConfig.from_json(config))
    return {
        name: _Sizes(
            sum(p.numel() for p in module.parameters()), sum(p.numel() for p in module.parameters() if p.requires_grad)
        )
        for name, module in model.named_children()
        if name != "y_decoder"
    }


def parts(
    config: VLJepaConfig, stage: Stage, query_tokens: int = QUERY_TOKENS, target_tokens: int = TARGET_TOKENS
) -> list[Part]:
    """Every part that a stage runs, of the sizes that a sample has."""
    query = query_tokens if stage.query else 0
    forward = {
        "x_encoder": _vision_flops(config, stage.frames.count),
        "predictor": _predictor_flops(config, vision_tokens(config, stage.frames.count), query),
        "y_encoder": _text_flops(config, target_tokens),
    }
    return [
        Part(name, size.all, 0 if _frozen(name, stage) else size.trainable, forward.get(name, 0.0))
        for name, size in _sizes(config.to_json()).items()
    ]


def sample_flops(found: list[Part]) -> float:
    """Forward and backward of one sample: what the model FLOPs utilisation counts."""
    return sum(part.flops * (3 if part.trained else 1) for part in found)


def plan(config: RunConfig, devices: int, peak: float, mfu: float = MFU) -> tuple[list[Part], list[StageCost]]:
    """Parts as the last stage runs them, and the cost of each stage. peak: FLOP/s of one device."""
    architecture = config.architecture()
    costs = []
    found: list[Part] = []
    for stage in config.stages:
        found = parts(architecture, stage)
        share = -(-stage.batch // devices)
        chunk = min(stage.chunk or share, share)
        again = sum(part.flops for part in found if part.trained)
        work = sample_flops(found) + again * ((chunk < share) + config.parallel.checkpoint_activations)
        samples = stage.steps * stage.batch
        seconds = samples * work / (devices * peak * mfu)
        memory = _memory(architecture, found, stage, chunk, share, config, devices)
        costs.append(
            StageCost(stage.name, samples, stage.steps, sample_flops(found), samples * sample_flops(found),
                      seconds / 3600, memory)
        )  # fmt: skip
    return found, costs


def lines(found: list[Part], costs: list[StageCost], devices: int, peak: float, mfu: float = MFU) -> Iterator[str]:
    """For people."""
    total, trained = sum(part.parameters for part in found), sum(part.trained for part in found)
    for part in found:
        frozen = "" if part.trained else ", frozen"
        yield f"{part.name}: {part.parameters:,} parameters{frozen}, {part.flops / 1e9:,.1f} GFLOP forward a sample"
    yield f"together: {total:,} parameters, of them {trained:,} trained"
    for cost in costs:
        yield cost.line()
    yield (
        f"all stages: {sum(cost.samples for cost in costs):,} samples, {sum(cost.flops for cost in costs):.3g} FLOP, "
        f"{sum(cost.hours for cost in costs):,.1f} hours on {devices} x {peak / 1e12:g} TFLOP/s at an assumed MFU of "
        f"{100 * mfu:.0f} %; memory of activations is estimated, and texts are taken to be {TARGET_TOKENS} tokens long"
    )


def vision_tokens(config: VLJepaConfig, frames: int) -> int:
    """Vision tokens of a clip, as the predictor gets them."""
    encoder = config.x_encoder
    if isinstance(encoder, XEncoderConfig):
        steps = 1 if frames == 1 else frames // encoder.tubelet
        return steps * (encoder.size // encoder.patch) ** 2
    return sum(
        stream.positions[0] * stream.positions[1] for stream in config.predictor.streams if stream.positions is not None
    )


def _vision_flops(config: VLJepaConfig, frames: int) -> float:
    encoder = config.x_encoder
    if not isinstance(encoder, XEncoderConfig):
        return 0.0  # streams of frozen features, made once and cached
    tokens, width = vision_tokens(config, frames), encoder.hidden
    patches = 2.0 * tokens * width * 3 * encoder.tubelet * encoder.patch**2
    layer = 2.0 * tokens * (4 * width**2 + 2 * width * encoder.ffn) + 4.0 * tokens**2 * width
    return patches + encoder.layers * layer


def _predictor_flops(config: VLJepaConfig, vision: int, query: int) -> float:
    predictor, tokens = config.predictor, vision + query
    hidden = predictor.stack.hidden
    entry = 2.0 * vision * hidden * sum(s.dim for s in predictor.streams) / len(predictor.streams)
    return entry + 2.0 * query * predictor.query_dim * hidden + _llama_flops(predictor.stack, tokens) + (
        2.0 * hidden * predictor.embedding
    )  # fmt: skip


def _llama_flops(stack: LlamaStackConfig, tokens: int) -> float:
    inner = stack.heads * stack.head_size
    weights = stack.hidden * (2 * inner + 2 * stack.kv_heads * stack.head_size + 3 * stack.ffn)
    return stack.layers * (2.0 * tokens * weights + 4.0 * tokens**2 * inner)


def _text_flops(config: VLJepaConfig, tokens: int) -> float:
    """Of a transformers encoder: its matrices, attention, head. Embeddings are looked up, not multiplied."""
    encoder = config.y_encoder
    shape: dict[str, Any] = encoder.architecture or {}
    hidden, layers = encoder.hidden, int(shape.get("num_hidden_layers", 0))
    heads = int(shape.get("num_attention_heads", 1))
    size = int(shape.get("head_dim") or hidden // heads)
    pairs = int(shape.get("num_key_value_heads") or heads)
    gates = 3 if "num_key_value_heads" in shape else 2  # Gemma's and Llama's MLPs are gated, BERT's are not
    weights = hidden * size * (2 * heads + 2 * pairs) + gates * hidden * int(shape.get("intermediate_size", 0))
    head = 2.0 * hidden * encoder.embedding if encoder.head else 0.0
    return layers * (2.0 * tokens * weights + 4.0 * tokens**2 * heads * size) + head


def _frozen(part: str, stage: Stage) -> bool:
    return part == "y_encoder" and stage.y_encoder == "frozen"


def _memory(
    architecture: VLJepaConfig, found: list[Part], stage: Stage, chunk: int, share: int, config: RunConfig, devices: int
) -> float:
    """Bytes of one device: weights, gradients and AdamW's two moments in fp32, activations of a chunk, the loss."""
    shards = devices if config.parallel.mode == "fsdp2" else 1
    total, trained = sum(part.parameters for part in found), sum(part.trained for part in found)
    copies = next((part.parameters for part in found if part.name == "y_encoder"), 0) if stage.y_encoder == "ema" else 0
    states = 4.0 * (total + copies + 3 * trained + trained * (stage.average is not None)) / shards
    width = 2 if config.parallel.bf16 else 4
    tokens = vision_tokens(architecture, stage.frames.count) + (QUERY_TOKENS if stage.query else 0)
    stack = architecture.predictor.stack
    kept = stack.hidden if config.parallel.checkpoint_activations else 10 * stack.hidden + 4 * stack.ffn
    activations = float(width * tokens * stack.layers * kept)
    if not _frozen("y_encoder", stage):
        shape = architecture.y_encoder.architecture or {}
        layers, ffn = int(shape.get("num_hidden_layers", 0)), int(shape.get("intermediate_size", 0))
        activations += width * TARGET_TOKENS * layers * (10 * architecture.y_encoder.hidden + 4 * ffn)
    encoder = architecture.x_encoder
    if isinstance(encoder, XEncoderConfig):  # frozen: what one layer needs at a time, and the pixels
        vision = vision_tokens(architecture, stage.frames.count)
        activations += width * vision * (8 * encoder.hidden + encoder.ffn) + stage.frames.count * encoder.size**2 * 3
    embedding = architecture.predictor.embedding
    loss = 4.0 * embedding * (4 * share + 4 * share * devices)
    return states + chunk * activations + loss


def device_peak(config: RunConfig, device: torch.device, bf16: bool) -> float | None:
    """FLOP/s of one device: as the config says, of a known GPU, of a CPU measured in half a second; else None."""
    if config.peak is not None:
        return config.peak * 1e12
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return next((peak * 1e12 for part, peak in PEAKS.items() if part in name), None)
    return measured_peak(torch.bfloat16 if bf16 else torch.float32)


def measured_peak(dtype: torch.dtype, size: int = 1536) -> float:
    """FLOP/s of this CPU's matrix product with as many threads as PyTorch has here: the best of a few."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = math.inf
    until = time.perf_counter() + 0.5
    while time.perf_counter() < until:
        begun = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - begun)
    return 2.0 * size**3 / best
