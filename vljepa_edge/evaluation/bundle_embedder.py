"""A bundle on any engine as the embedder of the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from vljepa_edge.errors import VideoError
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Change, Media, Seen
from vljepa_edge.model import Model
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.support.media_files import PHOTOS
from vljepa_edge.video.frame import Image
from vljepa_edge.video.stretch import FramePlan, duration_of, read_frames

VIEWS = 4
_QUERIES = 1024  # that are kept


class BundleEmbedder:
    """Windows of the model's own length and frame rate, so that motion looks as it did in training.

    A stretch is seen in as many windows as cover it when they overlap by half, `views` at most, evenly spread over it;
    its embedding is their mean. A shorter one fills a window by repeating its first frame. (The paper samples frames
    evenly over all of a clip, at 8 or 32; how its long videos are cut is undisclosed.)
    """

    def __init__(self, model: Model, views: int = VIEWS) -> None:
        video = model.manifest.video
        self.model, self.views = model, views
        self._plan = FramePlan(video.window, video.width, video.height, video.resize, video.fps)
        self._asked = lru_cache(_QUERIES)(partial(model.text.query, cut=True))  # the same come again and again

    @property
    def digest(self) -> str:
        """Of the bundle, with the engine, its precision and the views."""
        return f"{self.model.bundle.digest} {self.model.arithmetic} {self.views}"

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """See `Embedder`. Raises EngineError."""
        found = np.full((len(looks), self.model.manifest.embedding.width), np.nan, np.float32)
        before: Seen | None = None
        windows: list[WindowEncoder] = []
        for row, look in enumerate(looks):
            if look.seen != before:
                windows, before = self._encoded(look.seen), look.seen
            if windows:
                query = self._asked(self._query(look))
                rows = [window.embed(query) for window in windows]
                found[row] = unit("predictor", np.mean(rows, axis=0, dtype=np.float64))
        return found

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """See `Embedder`."""
        return self.model.text.embed(texts, prompt=prompt)

    def decode(self, embeddings: Array) -> list[str]:
        """See `Embedder`."""
        finite = [bool(np.isfinite(row).all()) for row in embeddings]
        said = iter(self.model.text.decode_all([row for row, read in zip(embeddings, finite, strict=True) if read]))
        return [next(said) if read else "" for read in finite]

    def _query(self, look: Look) -> str:
        if look.query is not None:
            return look.query
        manifest = self.model.manifest
        own = manifest.prompts.transition if isinstance(look.seen, Change) else None
        return manifest.text.default_query if own is None else own

    def _encoded(self, seen: Seen) -> list[WindowEncoder]:
        """The windows of what is seen; none where it can't be read."""
        try:
            return [self._window(frames) for frames in clips(seen, self._plan, self.views)]
        except VideoError:
            return []

    def _window(self, frames: Image) -> WindowEncoder:
        encoder = WindowEncoder(self.model.vision)
        for number, frame in enumerate(frames):
            encoder.push(frame, number / self.model.manifest.video.fps)
        return encoder


def clips(seen: Seen, plan: FramePlan, views: int) -> list[Image]:
    """The clips (count, height, width, 3) that are seen of something: one or more. Raises VideoError.

    Of a change there is one, whose first half shows the state before (paper, section 4.3).
    """
    if isinstance(seen, Change):
        half = plan.count // 2
        before, after = (_image(state, plan) for state in (seen.before, seen.after))
        return [np.stack([before] * half + [after] * (plan.count - half))]
    count = _views(seen, plan, views)
    places = [0.5] if count == 1 else np.linspace(0, 1, count).tolist()
    return [read_frames(seen.path, plan, seen.start, seen.end, place) for place in places]


def _views(seen: Media, plan: FramePlan, most: int) -> int:
    if most == 1 or plan.rate is None or seen.path.suffix.lower() in PHOTOS:
        return 1
    end = duration_of(seen.path) if seen.end is None else seen.end
    windows = (end - (seen.start or 0.0)) * plan.rate / plan.count
    return max(1, min(most, math.ceil(2 * windows - 1 - 1e-6)))


def _image(state: Media, plan: FramePlan) -> Image:
    """One frame of a state: an image, or the first of a video's stretch."""
    single = FramePlan(1, plan.width, plan.height, plan.resize)
    if state.path.suffix.lower() in PHOTOS:
        frame: Image = read_frames(state.path, single)[0]
        return frame
    begin = state.start or 0.0
    first: Image = read_frames(state.path, single, begin, begin + 0.04 if state.end is None else state.end, 0.0)[0]
    return first
