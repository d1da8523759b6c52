"""Y-encoder: text to the shared space. Any sentence encoder from transformers, pooled, linear head, unit norm.

The paper starts from EmbeddingGemma-300M (a Gemma 3 text model without a causal mask) and puts one linear head on it;
whether the two Dense modules that sentence-transformers adds to EmbeddingGemma were kept is undisclosed, and they are
left out unless the config takes them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import DenseConfig, YEncoderConfig


class YEncoder(nn.Module):
    """ids and mask (B, L) -> unit-norm embeddings (B, E). A head between equal widths starts as the identity."""

    def __init__(self, config: YEncoderConfig, backbone: nn.Module | None = None) -> None:
        """backbone: a transformers encoder; without one it is built from `config.architecture`, with random weights."""
        super().__init__()
        self.backbone = backbone if backbone is not None else _build(config)
        hf: Any = self.backbone.config
        if hf.hidden_size != config.hidden:
            raise InputError(f"{config.source} gives {hf.hidden_size} numbers a token, but hidden is {config.hidden}")
        self.config = replace(config, architecture=architecture_of(hf))
        hf.use_cache = False  # nothing is read again, and a layer whose activations are made again would add to it
        self.dense = nn.ModuleList(Dense(dense) for dense in config.dense)
        if not config.head and config.pooled != config.embedding:
            raise InputError(
                f"{config.source} gives {config.pooled} numbers a text, but the shared space has {config.embedding}"
            )
        self.head = nn.Linear(config.pooled, config.embedding) if config.head else None
        if self.head is not None and config.pooled == config.embedding:
            nn.init.eye_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        if config.frozen:
            self.backbone.requires_grad_(False)
            self.dense.requires_grad_(False)
        self.train(self.training)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64 (B, L), mask (B, L), 1 where there is a token -> (B, E) fp32. Raises InputError on wrong shapes."""
        return self.embed(self.pool(self.token_states(ids, mask), mask, ids))

    def pool(self, states: Tensor, mask: Tensor, ids: Tensor | None = None) -> Tensor:
        """The backbone's states (B, L, hidden) as one vector (B, config.pooled), fp32: all that a frozen encoder says.

        ids (B, L): needed where the config pools at an end token. Raises InputError without them.
        """
        weight = self._weights(mask.to(torch.float32), ids)[:, :, None]
        pooled = (states.float() * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        for dense in self.dense:
            pooled = dense(pooled)
        return F.normalize(pooled, dim=-1) if self.config.normalise else pooled

    def _weights(self, mask: Tensor, ids: Tensor | None) -> Tensor:
        """What each token counts in the pooling (B, L): as mask (B, L), 1 or 0, or 1 for one token alone."""
        if self.config.pooling == "mean":
            return mask
        length = mask.shape[1]
        place = torch.arange(length, device=mask.device, dtype=torch.float32)
        chosen = (mask * (place + 1)).amax(1, keepdim=True) - 1  # the last token; -1 where there is none
        if self.config.pooling == "end_token":
            if ids is None:
                raise InputError("pooling at an end token needs ids")
            is_end = mask * sum((ids == end).to(torch.float32) for end in self.config.end_ids)
            first = (place + (1 - is_end) * length).amin(1, keepdim=True)
            chosen = torch.where(first < length, first, chosen)
        return (place == chosen).to(torch.float32)

    def load_encoder(self, other: YEncoder) -> None:
        """Take the backbone's and the Dense modules' weights of another of the same architecture; not its head."""
        self.backbone.load_state_dict(other.backbone.state_dict())
        self.dense.load_state_dict(other.dense.state_dict())

    def embed(self, pooled: Tensor) -> Tensor:
        """What `pool` gave, (..., config.pooled), in the shared space: (..., E), unit norm, fp32."""
        if self.head is not None:
            pooled = self.head(pooled.to(self.head.weight.dtype))
        return F.normalize(pooled.float(), dim=-1)

    def token_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The backbone's last states (B, L, hidden)."""
        if ids.ndim != 2 or mask.shape != ids.shape:
            raise InputError(f"ids and mask must be (B, L), not {tuple(ids.shape)} and {tuple(mask.shape)}")
        if not 1 <= ids.shape[1] <= self.config.max_tokens:
            raise InputError(f"text must have 1 to {self.config.max_tokens} tokens, not {ids.shape[1]}")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            states: Tensor = self.backbone(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def train(self, mode: bool = True) -> YEncoder:
        """As of nn.Module, but a frozen backbone stays in evaluation: its dropout would move the targets."""
        super().train(mode)
        if self.config.frozen:
            self.backbone.eval()
        return self


class Dense(nn.Module):
    """A linear map and what follows it; named as sentence-transformers names its weights."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.in_features, config.out_features, config.bias)
        self.tanh = config.activation == "tanh"

    def forward(self, pooled: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features), fp32."""
        mapped: Tensor = self.linear(pooled.to(self.linear.weight.dtype))
        return (mapped.tanh() if self.tanh else mapped).float()


def architecture_of(hf: Any) -> dict[str, Any]:
    """A config of transformers as JSON, from which `_build` makes it again."""
    found: dict[str, Any] = hf.to_dict()
    found.pop("_name_or_path", None)  # of this machine
    window = getattr(hf, "sliding_window", None)
    if window is not None and _config(found).sliding_window != window:
        # EmbeddingGemma's config halves its window whenever it is made; transformers 5.2 writes down the half
        found["sliding_window"] = 2 * (window - 1)
    return found


def _config(architecture: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    own = dict(architecture)
    return AutoConfig.for_model(own.pop("model_type"), **own)


def _build(config: YEncoderConfig) -> nn.Module:
    from transformers import AutoModel

    if config.architecture is None:
        raise InputError(
            f"the Y-encoder has no architecture; load its weights from {config.source} first (VLJepa.assemble)"
        )
    try:
        backbone: nn.Module = AutoModel.from_config(_config(config.architecture))  # type: ignore[no-untyped-call]
    except (KeyError, ValueError) as error:
        raise InputError(f"transformers can't build the Y-encoder's architecture: {error}") from error
    return backbone
