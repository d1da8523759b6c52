"""What a bundle's frozen image network alone says of clips, as an embedder of videos: what training has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.evaluation.bundle_embedder import VIEWS, clips
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Seen
from vljepa_edge.model import Model
from vljepa_edge.perception.features import seen_names
from vljepa_edge.video.frame import Image
from vljepa_edge.video.stretch import FramePlan

ReadOut = Literal["mean", "change"]


class Frozen:
    """The features of frames, in every region of the picture, without the predictor and the trained motion stem.

    read_out: `mean` over the frames, or `change`, the mean of the second half less that of the first. The windows are
    those of BundleEmbedder. It knows no texts. Raises InputError for a bundle that encodes no single frames.
    """

    def __init__(self, model: Model, read_out: ReadOut) -> None:
        of_frames = [entry for entry in model.manifest.x_encoders.values() if entry.unit == "frame"]
        names = {output.name for entry in of_frames for output in entry.outputs}
        self._streams = [name for name in seen_names(model.manifest) if name in names]
        if not self._streams:
            raise InputError("the model must encode single frames for its frozen features, it encodes clips")
        video = model.manifest.video
        self._model, self._read_out = model, read_out
        self._plan = FramePlan(video.window, video.width, video.height, video.resize, video.fps)

    @property
    def digest(self) -> str:
        """Of the bundle and the read-out."""
        return f"{self._model.bundle.digest} {self._model.arithmetic} frozen {self._read_out}"

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """(N, F); a row of NaN is what can't be read. Queries are not asked."""
        rows: dict[Seen, Array | None] = {}
        for look in looks:
            if look.seen not in rows:
                rows[look.seen] = self._row(look.seen)
        width = next((len(row) for row in rows.values() if row is not None), 1)
        unread = np.full(width, np.nan, np.float32)
        return np.stack([unread if (row := rows[look.seen]) is None else row for look in looks])

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """Raises InputError."""
        raise InputError("frozen features know no texts")

    def decode(self, embeddings: Array) -> list[str]:
        """Raises InputError."""
        raise InputError("frozen features say nothing")

    def _row(self, seen: Seen) -> Array | None:
        try:
            windows = clips(seen, self._plan, VIEWS)
        except VideoError:
            return None
        found = []
        for window in windows:
            frames = np.stack([self._frame(frame) for frame in window])
            half = len(frames) // 2
            mean = frames.mean(0)
            found.append(mean if self._read_out == "mean" else frames[-half:].mean(0) - frames[:half].mean(0))
        row: Array = np.mean(found, 0, dtype=np.float32)
        return row

    def _frame(self, frame: Image) -> Array:
        features = self._model.vision.encode_frame(frame)
        return np.concatenate([features[name].astype(np.float32).ravel() for name in self._streams])
