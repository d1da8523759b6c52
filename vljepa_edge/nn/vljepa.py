"""The complete model: X-encoder, predictor, Y-encoder and Y-decoder, saved in the Hugging Face layout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import LanguageModelConfig, VLJepaConfig
from vljepa_edge.nn.config_json import from_dict, to_dict
from vljepa_edge.nn.hub import CONFIG, hub_id, resolved
from vljepa_edge.nn.llama import LlamaStack
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.tiny_streams import TinyStreams
from vljepa_edge.nn.weights import load_llama_last_layers, load_x_encoder, load_y_encoder, refuse_pickles
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.nn.y_encoder import YEncoder
from vljepa_edge.support.atomic import replacing

WEIGHTS = "model.safetensors"
MODEL_TYPE = "vl_jepa"
FIRST_SCALE = 1 / 0.07
MOST_SCALE = 100.0
"""The inverse temperature of the loss: where it starts, and its bound. The paper discloses neither; CLIP's."""


class VLJepa(nn.Module):
    """Video and query in, the embedding of the answer out; text in, its embedding out; both in one space.

    Frozen: the X-encoder (of the default's, its image network), the token embedding of the query (the paper's 490M
    trainable parameters leave no room for it), the Y-encoder's backbone where its config says so.

    What is frozen can be computed beforehand, so each input is taken in two forms. Video: uint8 RGB (B, T, H, W, 3),
    see the X-encoders, or features by name: the predictor's streams, or what the X-encoder's `encode_frozen` gave. A
    query: ids, or token states (B, L, query_dim). A text: ids, or the Y-encoder's pooled states (B, hidden).

    log_scale (1,): the logarithm of the loss's inverse temperature, learned; call `bound_temperature` after each step.
    """

    def __init__(self, config: VLJepaConfig) -> None:
        """Random weights. The Y-encoder's config must carry its architecture; see `assemble` for real weights."""
        super().__init__()
        self.x_encoder = _x_encoder(config)
        language = config.language_model
        self.query_embedding = nn.Embedding(language.vocab, language.hidden) if language is not None else None
        if self.query_embedding is not None:
            self.query_embedding.requires_grad_(False)
        self.predictor = Predictor(config.predictor)
        self.y_encoder = YEncoder(config.y_encoder)
        self.y_decoder = YDecoder(config.y_decoder) if config.y_decoder is not None else None
        self.log_scale = nn.Parameter(torch.full((1,), math.log(FIRST_SCALE)))  # FSDP2 shards no 0-d parameter
        self.config = replace(config, y_encoder=self.y_encoder.config)

    def forward(
        self,
        video: Tensor | Mapping[str, Tensor],
        target: Tensor,
        target_mask: Tensor | None = None,
        query: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Predicted and target embeddings, (B, E) each, unit norm. Without a query: the first stage."""
        return self.predict(video, query, query_mask), self.encode_text(target, target_mask)

    def predict(
        self, video: Tensor | Mapping[str, Tensor], query: Tensor | None = None, query_mask: Tensor | None = None
    ) -> Tensor:
        """Predicted embedding (B, E). query: ids int64 (B, L) or token states (B, L, query_dim), with query_mask
        (B, L), 1 where there is a token; a row may have none."""
        tokens = None if query is None else self.query_states(query, query_mask)
        predicted: Tensor = self.predictor(self.streams(video), tokens, query_mask)
        return predicted

    def encode_text(self, texts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Texts in the shared space, (..., E), unit norm, fp32. texts: ids int64 (B, L) with mask (B, L), or pooled
        states (..., hidden)."""
        if texts.is_floating_point():
            return self.y_encoder.embed(texts)
        embedding: Tensor = self.y_encoder(texts, torch.ones_like(texts) if mask is None else mask)
        return embedding

    def streams(self, video: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The predictor's vision features. Raises InputError for pixels without an X-encoder."""
        if not isinstance(video, Tensor):
            kept = {name: x.to(self._dtype) if x.is_floating_point() else x for name, x in video.items()}
            return kept if self.x_encoder is None else self.x_encoder.complete(kept)
        if self.x_encoder is None:
            raise InputError(
                f"this model has no X-encoder: give the streams {[s.name for s in self.config.predictor.streams]}"
            )
        return self.x_encoder.complete(self.x_encoder.encode_frozen(video))

    def query_states(self, query: Tensor, mask: Tensor | None = None) -> Tensor:
        """A query in either form, see above, as features (B, L, query_dim) for the predictor."""
        return query.to(self._dtype) if query.is_floating_point() else self.query_tokens(query, mask)

    def query_tokens(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Query token features (B, L, query_dim). Raises InputError for a query longer than the config allows."""
        if self.query_embedding is None:
            mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
            first = torch.arange(ids.shape[1], device=ids.device) == 0
            # A row without a token reads its padding: attention over nothing is NaN. The predictor masks it out.
            return self.y_encoder.token_states(ids, mask | (first & ~mask.any(1, keepdim=True)))
        language = self.config.language_model
        if language is not None and ids.shape[1] > language.max_tokens:
            raise InputError(f"a query has at most {language.max_tokens} tokens, not {ids.shape[1]}")
        embedded: Tensor = self.query_embedding(ids)
        return embedded

    def scale(self) -> Tensor:
        """The inverse temperature of the loss, (1,)."""
        return self.log_scale.exp()

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Bring the inverse temperature back to its bound where a step went beyond. Bounded in `scale` instead, its
        gradient would be 0 there and it could not come back."""
        self.log_scale.clamp_(max=math.log(MOST_SCALE))

    def trust_concepts(self, trust: float) -> None:
        """From now on lead the concepts' plain mean around the layers too, through the Y-encoder's head, `trust` as
        strongly as the gate lets concepts through. For a trained model whose predictor has concepts."""
        assert self.y_encoder.head is not None
        self.predictor.trust_concepts(trust, self.y_encoder.head)
        self.config = replace(self.config, predictor=self.predictor.config)

    def attach_y_decoder(self, decoder: YDecoder) -> None:
        """Give the model a Y-decoder, which is trained after the rest. Raises InputError for another shared width."""
        self.config = replace(self.config, y_decoder=decoder.config)
        self.y_decoder = decoder

    @property
    def _dtype(self) -> torch.dtype:
        return self.predictor.head.weight.dtype

    @classmethod
    def assemble(cls, config: VLJepaConfig) -> VLJepa:
        """Every part from the weights its config names; a hub id in `model.config` then has its commit, NAME@COMMIT.

        The linear maps between them and the Y-decoder are fresh. Raises BundleError if weights can't be read,
        InputError if they have another size than the config.
        """
        text = replace(config.y_encoder, source=resolved(config.y_encoder.source))
        y_encoder = load_y_encoder(text)
        model = cls(replace(config, y_encoder=y_encoder.config))
        model.y_encoder.load_encoder(y_encoder)
        language = config.language_model
        if language is not None:
            language = model._resolve_language(language)
            fresh = language.layers == "none"
            loaded = load_llama_last_layers(
                language.source, 1 if fresh else language.layers, max_positions=config.predictor.stack.max_positions
            )
            if not fresh:
                model._start_stack(loaded.stack)
            model._set_query_embedding(loaded.embedding)
        model._load_x_encoder()
        return model

    def frozen(self) -> Iterator[str]:
        """Names of the parameters that a checkpoint may leave out, since their source has them."""
        starts = ["query_embedding.", "y_encoder.backbone."]
        if self.x_encoder is not None:
            starts.append(f"x_encoder.{self.x_encoder.sourced}")
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad and name.startswith(tuple(starts)):
                yield name

    def save_pretrained(self, folder: str | Path, *, include_frozen: bool = False) -> Path:
        """Writes config.json and model.safetensors, each atomically. Frozen parts stay out unless included: the config
        names their sources."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        left_out = set() if include_frozen else set(self.frozen())
        state = {name: t.detach().contiguous() for name, t in self.state_dict().items() if name not in left_out}
        header = {"model_type": MODEL_TYPE, "architectures": [type(self).__name__]}
        with replacing(folder / WEIGHTS) as part:
            save_file(state, part, metadata={"format": "pt"})
        text = json.dumps({**header, **to_dict(self.config)}, indent=2) + "\n"
        with replacing(folder / CONFIG) as part:
            part.write_text(text, encoding="utf-8")
        return folder

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> VLJepa:
        """Reads what save_pretrained wrote, from a folder or the hub (NAME or NAME@REVISION).

        Left-out parts come from their sources; where that is the hub, `config` of the model has the commit.

        Raises BundleError for a missing, broken or pickled file, InputError for a config that is not allowed.
        """
        folder = checkpoint_folder(path_or_id)
        refuse_pickles(folder)
        model = cls(read_config(folder / CONFIG))
        try:
            state = load_file(folder / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise BundleError(folder / WEIGHTS, f"can't be read: {error}") from error
        try:
            missing, unknown = model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise BundleError(folder / WEIGHTS, str(error)) from error
        lost = set(missing) - set(model.frozen()) - {"log_scale"}  # which checkpoints before 0.9 don't have
        if lost or unknown:
            raise BundleError(folder / WEIGHTS, f"lacks {sorted(lost)[:3]} and has unknown {sorted(unknown)[:3]}")
        model._load_left_out(set(missing))
        return model.eval()

    def _load_left_out(self, missing: set[str]) -> None:
        parts = {name.split(".")[0] for name in missing}
        if "x_encoder" in parts:
            self._load_x_encoder()
        language = self.config.language_model
        if "query_embedding" in parts and language is not None:
            language = self._resolve_language(language)
            self._set_query_embedding(load_llama_last_layers(language.source, 1).embedding)
        if "y_encoder" in parts:
            text = replace(self.y_encoder.config, source=resolved(self.y_encoder.config.source))
            self.y_encoder.backbone.load_state_dict(load_y_encoder(text).backbone.state_dict())
            self.y_encoder.config = text
            self.config = replace(self.config, y_encoder=text)

    def _resolve_language(self, language: LanguageModelConfig) -> LanguageModelConfig:
        """The config with its source's commit, which `self.config` then has too."""
        found = replace(language, source=resolved(language.source))
        self.config = replace(self.config, language_model=found)
        return found

    def _load_x_encoder(self) -> None:
        if self.x_encoder is None:
            return
        if isinstance(self.x_encoder, TinyStreams):
            self.x_encoder.load_frozen()
            return
        config = replace(self.x_encoder.config, source=resolved(self.x_encoder.config.source))
        loaded = load_x_encoder(config.source)
        if loaded.config != config:
            raise InputError(f"{config.source} has {loaded.config}, but the config {config}")
        self.x_encoder.config = config
        self.config = replace(self.config, x_encoder=config)
        self.x_encoder.load_state_dict(loaded.state_dict())

    def _start_stack(self, stack: LlamaStack) -> None:
        expected, language = self.config.predictor.stack, self.config.language_model
        if stack.config != expected:
            raise InputError(f"{language and language.source} has {stack.config}, but the config {expected}")
        self.predictor.stack.load_state_dict(stack.state_dict())

    def _set_query_embedding(self, weight: Tensor) -> None:
        assert self.query_embedding is not None
        if weight.shape != self.query_embedding.weight.shape:
            expected = tuple(self.query_embedding.weight.shape)
            raise InputError(f"the token embedding is {tuple(weight.shape)}, but the config says {expected}")
        self.query_embedding.load_state_dict({"weight": weight})


def _x_encoder(config: VLJepaConfig) -> XEncoder | TinyStreams | None:
    if config.x_encoder is None:
        return None
    return (
        TinyStreams(config.x_encoder) if isinstance(config.x_encoder, TinyStreamsConfig) else XEncoder(config.x_encoder)
    )


def checkpoint_folder(path_or_id: str | Path) -> Path:
    """A local folder as it is; anything else is a hub id (NAME or NAME@REVISION), fetched, JSON and safetensors only.

    Raises BundleError when there is neither.
    """
    found = hub_id(resolved(path_or_id))
    if found is None:
        return Path(path_or_id)
    from huggingface_hub import snapshot_download

    patterns = [CONFIG, WEIGHTS, "tokenizers/*.json"]
    try:
        return Path(snapshot_download(found.name, revision=found.revision, allow_patterns=patterns))
    except Exception as error:
        raise BundleError(path_or_id, f"the hub doesn't give all of it: {error}") from error


def read_config(path: Path) -> VLJepaConfig:
    """The config.json of a checkpoint. Raises BundleError if it can't be read, InputError if it is not allowed."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(path, f"can't be read: {error}") from error
    if not isinstance(data, dict) or data.get("model_type") != MODEL_TYPE:
        raise BundleError(path, f"is not the config of a {MODEL_TYPE} model")
    return from_dict(
        VLJepaConfig, {key: value for key, value in data.items() if key not in ("model_type", "architectures")}
    )
