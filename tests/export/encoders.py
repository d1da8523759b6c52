"""A small V-JEPA 2 encoder, Llama stack and convolutional net as ONNX graphs, with inputs, for tests of INT8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.qdq import prepare
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.nn.config import LlamaStackConfig
from vljepa_edge.nn.llama import LlamaLayer, LlamaStack
from vljepa_edge.nn.x_encoder import VisionLayer, XEncoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig


class Example(NamedTuple):
    """A float graph; `linears` of its weights that must become INT8; inputs to calibrate on and others to judge on."""

    model: onnx.ModelProto
    linears: int
    fit: list[Arrays]
    held_out: list[Arrays]


class Net(nn.Module):
    """Convolutions, one of them depthwise, with ReLU6 between, and a Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU6(), nn.Conv2d(64, 128, 1), nn.ReLU6(),
            nn.Conv2d(128, 128, 3, 1, 1, groups=128), nn.ReLU6(), nn.Conv2d(128, 32, 1),
        )  # fmt: skip
        self.head = nn.Linear(32, 48)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))  # type: ignore[no-any-return]


class PostNorm(nn.Module):
    """The residual reads what the Linear reads, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(64), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x + self.linear(x)  # type: ignore[no-any-return]


class Twice(nn.Module):
    """A stack run on what it is given and again, as the default's predictor runs its own: first less, then more."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = LlamaStack(LlamaStackConfig(96, 2, 4, 2, 256))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.stack(x), self.stack(torch.cat((x, 3 * x[:, :6].flip(-1)), 1))), 1)


def wide(module: nn.Module) -> nn.Module:
    """Weights that keep the spread of what passes: with small ones a layer hardly matters, and errors hide."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            nn.init.normal_(part.weight, std=part.weight[0].numel() ** -0.5)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def norms(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Linear]]:
    """Each norm and the Linear that reads it."""
    for layer in module.modules():
        if isinstance(layer, VisionLayer):
            yield from ((layer.norm1, layer.qkv), (layer.norm2, layer.up))
        elif isinstance(layer, LlamaLayer):
            yield from ((layer.attention_norm, layer.qkv), (layer.ffn_norm, layer.gate_up))


@torch.no_grad()
def inject_outliers(module: nn.Module, channels: int = 4) -> None:
    """Make some channels of every norm's output 20 to 50 times as large, and what reads them as much smaller: the same
    function, with the activations that break plain INT8."""
    draw = torch.Generator().manual_seed(11)
    for norm, linear in norms(module):
        gain = torch.ones(linear.in_features)
        chosen = torch.randperm(linear.in_features, generator=draw)[:channels]
        gain[chosen] = 20 + 30 * torch.rand(channels, generator=draw)
        for parameter in norm.parameters():
            parameter.mul_(gain)
        linear.weight.div_(gain)


def x_encoder(outliers: bool = False) -> Example:
    module = wide(XEncoder(XEncoderConfig(hidden=96, layers=2, heads=4, ffn=256, size=64)))
    if outliers:
        inject_outliers(module)
    draw = np.random.default_rng(0)
    inputs = [{"frames": draw.integers(0, 256, (1, 4, 64, 64, 3), np.uint8)} for _ in range(10)]
    return _example(module, {"frames": torch.from_numpy(inputs[0]["frames"])}, 4 * 2 + 1, inputs)


def llama(outliers: bool = False) -> Example:
    module = wide(LlamaStack(LlamaStackConfig(96, 2, 4, 2, 256)))
    if outliers:
        inject_outliers(module)
    draw = np.random.default_rng(1)
    inputs = [{"x": draw.normal(size=(1, 24, 96)).astype(np.float32)} for _ in range(10)]
    return _example(module, {"x": torch.from_numpy(inputs[0]["x"])}, 4 * 2, inputs)


def twice(outliers: bool = False) -> Example:
    module = wide(Twice())
    if outliers:
        inject_outliers(module)
    draw = np.random.default_rng(4)
    inputs = [{"x": draw.normal(size=(1, 12, 96)).astype(np.float32)} for _ in range(10)]
    return _example(module, {"x": torch.from_numpy(inputs[0]["x"])}, 2 * 4 * 2, inputs)


def net() -> Example:
    draw = np.random.default_rng(2)
    inputs = [{"x": draw.normal(size=(1, 3, 32, 32)).astype(np.float32)} for _ in range(10)]
    return _example(wide(Net()), {"x": torch.from_numpy(inputs[0]["x"])}, 5, inputs)


def post_norm() -> Example:
    draw = np.random.default_rng(3)
    inputs = [{"x": draw.normal(size=(1, 7, 64)).astype(np.float32)} for _ in range(10)]
    return _example(wide(PostNorm()), {"x": torch.from_numpy(inputs[0]["x"])}, 1, inputs)


def _example(module: nn.Module, given: dict[str, Tensor], linears: int, inputs: list[Arrays]) -> Example:
    model = onnx.load_from_string(export_module(module, given, ("y",)))
    prepare(model)
    return Example(model, linears, inputs[:6], inputs[6:])
