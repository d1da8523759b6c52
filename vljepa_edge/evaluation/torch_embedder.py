"""A PyTorch model as the embedder of the benchmarks: batches on a device. Needs the train extra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.evaluation.bundle_embedder import clips
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Seen
from vljepa_edge.nn.digest import digest_of
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.video.frame import Image
from vljepa_edge.video.stretch import FramePlan

_TEXTS = 256


class TorchEmbedder:
    """`model` on its own device, `batch` clips at once.

    plan: the clip as in training; with `rate=None` its frames are spread evenly over the stretch, as in the paper.
    query: asked where a benchmark asks nothing of its own; "": nothing. tokens: the most a query or a text has.
    """

    def __init__(
        self,
        model: VLJepa,
        query_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        plan: FramePlan,
        *,
        query: str = "",
        batch: int = 16,
        tokens: int = 512,
    ) -> None:
        self.model = model.eval()
        self.plan, self.query, self.batch = plan, query, batch
        self._tokenizers = [Tokenizer.from_str(one.to_str()) for one in (query_tokenizer, target_tokenizer)]
        for tokenizer in self._tokenizers:
            tokenizer.no_padding()
            tokenizer.enable_truncation(tokens)
        self._device = model.predictor.head.weight.device
        reads = (model.config, *(one.to_str() for one in self._tokenizers))
        self._digest = digest_of(model, plan, query, tokens, *reads)

    @property
    def digest(self) -> str:
        """Of the weights, the tokenizers and the plan."""
        return self._digest

    @torch.inference_mode()
    def embed_media(self, looks: Sequence[Look]) -> Array:
        """See `Embedder`."""
        parts = [self._embed(looks[begin : begin + self.batch]) for begin in range(0, len(looks), self.batch)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """See `Embedder`."""
        before = self.model.config.y_encoder.prompt if prompt else ""
        parts = []
        for begin in range(0, len(texts), _TEXTS):
            ids, mask = self._ids(1, [before + text for text in texts[begin : begin + _TEXTS]])
            parts.append(self.model.encode_text(ids, mask).float().cpu().numpy())
        return np.concatenate(parts)

    def decode(self, embeddings: Array) -> list[str]:
        """Refused: see Raises. A checkpoint's tokenizers don't say which tokens start and end a text; a bundle does.

        Raises InputError.
        """
        raise InputError("captions need a bundle: export the model with `vljepa export`, and evaluate that")

    def _embed(self, looks: Sequence[Look]) -> Array:
        seen: dict[Seen, Image | None] = {look.seen: None for look in looks}
        for one in seen:
            try:
                seen[one] = clips(one, self.plan, 1)[0]
            except VideoError:
                continue
        rows = [row for row, look in enumerate(looks) if seen[look.seen] is not None]
        found = np.full((len(looks), self.model.config.predictor.embedding), np.nan, np.float32)
        if rows:
            video = torch.from_numpy(np.stack([seen[looks[row].seen] for row in rows])).to(self._device)  # type: ignore[misc]
            asked = [self.query if looks[row].query is None else str(looks[row].query) for row in rows]
            ids, mask = self._ids(0, asked) if any(asked) else (None, None)
            found[rows] = self.model.predict(video, ids, mask).float().cpu().numpy()
        return found

    def _ids(self, which: int, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """ids and mask (N, L) on the device; an empty text has no token."""
        found = self._tokenizers[which].encode_batch(list(texts))
        encoded = [one.ids if text else [] for text, one in zip(texts, found, strict=True)]
        longest = max(1, *map(len, encoded))
        ids = torch.zeros((len(encoded), longest), dtype=torch.int64)
        mask = torch.zeros((len(encoded), longest), dtype=torch.bool)
        for row, values in enumerate(encoded):
            ids[row, : len(values)] = torch.tensor(values, dtype=torch.int64)
            mask[row, : len(values)] = True
        return ids.to(self._device), mask.to(self._device)
