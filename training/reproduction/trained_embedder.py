"""A trained arm as an embedder of videos and images, which need not be in its cache of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.evaluation.bundle_embedder import VIEWS, clips
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Seen
from vljepa_edge.nn.digest import digest_of
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.frame_encoder import frozen_encoder
from vljepa_edge.training.reproduction.measured import Reader
from vljepa_edge.training.reproduction.trained import Trained
from vljepa_edge.training.tiny.scenes import FPS
from vljepa_edge.video.stretch import FramePlan

Features = Mapping[str, NDArray[Any]]
_TOGETHER = 16  # windows to encode at once: of an image that is one frame, a quarter of what the encoder's graph takes


class TrainedEmbedder:
    """Windows as of BundleEmbedder, at the rate of drawn clips. A model that was trained without queries is asked
    nothing, whatever a look asks; else, where a look asks nothing of its own, for a caption."""

    def __init__(self, trained: Trained) -> None:
        stage = trained.run.stages[-1]
        self._reader, self._asks = Reader(trained), stage.query
        self._plan = replace(FramePlan(**stage.frames.model_dump()), rate=FPS)
        assert trained.model.x_encoder is not None
        self._encode = frozen_encoder(trained.model.x_encoder, torch.device("cpu"))
        self._digest = digest_of(trained.model, self._plan, stage.query)

    @property
    def digest(self) -> str:
        """Of the weights."""
        return self._digest

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """See `Embedder`."""
        seen = self._features(list(dict.fromkeys(look.seen for look in looks)))
        samples, owner = list[Sample](), list[int]()
        features: dict[str, Features] = {}
        for row, look in enumerate(looks):
            for window in seen[look.seen]:
                key = f"{len(samples)}"
                samples.append(Sample(key, key, "", self._query(look)))
                features[key] = window
                owner.append(row)
        found = np.full((len(looks), self._reader.model.config.predictor.embedding), np.nan, np.float32)
        if samples:
            rows = self._reader.predict(samples, lambda sample: features[sample.key])
            for row in set(owner):
                mean = rows[np.array(owner) == row].mean(0, dtype=np.float64)
                found[row] = mean / np.linalg.norm(mean)
        return found

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """See `Embedder`; the prompt is always the model's."""
        return self._reader.read(texts)

    def decode(self, embeddings: Array) -> list[str]:
        """Raises InputError."""
        raise InputError("a trained arm has no Y-decoder")

    def _query(self, look: Look) -> str:
        if not self._asks:
            return ""
        return CAPTION_QUERIES[0] if look.query is None else look.query

    def _features(self, seen: Sequence[Seen]) -> dict[Seen, list[Features]]:
        """What the frozen streams make of the windows of each, in their order; of what can't be read there are none."""
        found: dict[Seen, list[Features]] = {one: [] for one in seen}
        windows = [(one, window) for one in seen for window in self._windows(one)]
        for start in range(0, len(windows), _TOGETHER):
            some = windows[start : start + _TOGETHER]
            made = self._encode(torch.from_numpy(np.stack([window for _, window in some])))
            for row, (one, _) in enumerate(some):
                found[one].append({name: value[row].numpy() for name, value in made.items()})
        return found

    def _windows(self, seen: Seen) -> list[NDArray[np.uint8]]:
        """None of what can't be read."""
        try:
            return clips(seen, self._plan, VIEWS)
        except VideoError:
            return []
