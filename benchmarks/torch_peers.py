"""The tiny model's parts as PyTorch modules of the bundle's sizes: what a user without this project would run.

Weights are random where the bundle's graphs do not carry them under their own names: the time does not depend on them.
`same_work` checks that a module does as many operations as the graph that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench import THREADS, Arrays
from benchmarks.interleave import Case
from vljepa_edge.bundle.manifest import Manifest
from vljepa_edge.nn.config import ConceptConfig, LlamaStackConfig, PredictorConfig, StreamConfig, YDecoderConfig
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, REGIONS, AppearanceStream, MotionStem
from vljepa_edge.nn.y_decoder import YDecoder

_TUBELET = 4
_MAX_POSITIONS = 128
_SAME = 0.1  # PyTorch counts attention's own products on some paths only


def appearance() -> nn.Module:
    """The appearance stream: EfficientNet-Lite0, region features and ConSE."""
    torch.manual_seed(0)
    net = EfficientNetLite0()
    mean, projection = torch.zeros(1280), torch.randn(1280, GRID_WIDTH) / 36
    return AppearanceStream(net, mean, projection, torch.randn(1000, CONCEPT_WIDTH)).eval()


def motion(manifest: Manifest) -> nn.Module:
    """The motion stem, of the width that the bundle's has."""
    torch.manual_seed(0)
    return MotionStem(manifest.graphs["x_encoder_motion"].outputs[0].shape[-1] // 4).eval()


def predictor(manifest: Manifest) -> Predictor:
    """The predictor, of the sizes in the bundle's provenance."""
    torch.manual_seed(0)
    body = manifest.provenance["recipe"]["predictor"]
    by_name = {tensor.name: tensor.shape for tensor in manifest.graphs["predictor"].inputs}
    frames, tokens, width = by_name["appearance"][1], *by_name["motion"][1:]
    layers, heads = body["layers"], body["heads"]
    if body["body"] == "smollm2":
        sizes = (576, layers, 9, 3, 1536)
    else:
        sizes = (body["hidden"], layers, heads, heads, body["ffn"])
    stack = LlamaStackConfig(*sizes, max_positions=_MAX_POSITIONS)
    features = GRID_WIDTH + CONCEPT_WIDTH
    streams = (
        StreamConfig("appearance", features, positions=(frames // _TUBELET, REGIONS), tubelet=_TUBELET),
        StreamConfig("motion", width, positions=(1, tokens)),
    )
    concept = ConceptConfig("appearance", start=GRID_WIDTH, width=CONCEPT_WIDTH, scale=10.0)
    config = PredictorConfig(streams, by_name["query_tokens"][-1], manifest.embedding.width, stack, concept)
    return Predictor(config).eval()


def decoder_config(manifest: Manifest, steps: int) -> YDecoderConfig:
    """The Y-decoder's sizes, with room for `steps` tokens: random weights never say the end token."""
    body = manifest.provenance["recipe"]["decoder"]
    hidden, width = body["hidden"], manifest.embedding.width
    vocab = next(tensor.shape[-1] for tensor in manifest.graphs["y_decoder"].outputs if tensor.name == "logits")
    return YDecoderConfig(
        vocab, hidden, body["layers"], hidden // 64, hidden * 11 // 4, max_tokens=steps + 1, embedding=width
    )


def decoder(manifest: Manifest, steps: int) -> YDecoder:
    torch.manual_seed(0)
    return YDecoder(decoder_config(manifest, steps)).eval()


def eager(module: Callable[..., Any], *inputs: Any, bf16: bool = False) -> Callable[[], Any]:
    """A call of `module` on one thread, in fp32 or under bf16 autocast."""
    torch.set_num_threads(THREADS)

    def run() -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return module(*inputs)

    return run


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def same_work(run: Callable[[], Any], flops: int) -> tuple[bool, str]:
    """Whether the modules do as many operations as the graph, and that in words."""
    with FlopCounterMode(display=False) as counter:
        run()
    counted = counter.get_total_flops()
    same = abs(counted - flops) <= _SAME * flops
    text = f"the PyTorch modules do {counted / 1e6:.0f} MFLOP, the graph {flops / 1e6:.0f}"
    return same, f"Same work: {text}." if same else f"PyTorch eager: left out, not the same work: {text}."


def eager_cases(module: Callable[..., Any], inputs: Sequence[Any], flops: int) -> tuple[list[Case], str]:
    """The module in fp32 and under bf16 autocast, if it does the graph's work, and a line about that."""
    run = eager(module, *inputs)
    same, note = same_work(run, flops)
    cases = [
        Case("PyTorch eager, fp32", run),
        Case("PyTorch eager, bf16 autocast", eager(module, *inputs, bf16=True)),
    ]
    return cases if same else [], note
