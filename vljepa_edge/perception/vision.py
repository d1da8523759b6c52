"""The vision half of a model: frames to features (X-encoder), features and a query to an embedding (predictor)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.features import pool, seen_names
from vljepa_edge.perception.finite import check_finite, unit
from vljepa_edge.perception.text import Query
from vljepa_edge.video.preprocess import resize

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.engines.base import Graph
    from vljepa_edge.perception.window import Window

Features = dict[str, NDArray[Any]]
RAW = "frames"


class Vision:
    """X-encoder and predictor graphs of one bundle. Holds no state; safe from many threads."""

    def __init__(self, manifest: Manifest, graphs: Mapping[str, Graph]) -> None:
        self.video = manifest.video
        x_encoders = manifest.x_encoders
        self._frame_graphs = [graphs[role] for role, entry in x_encoders.items() if entry.unit == "frame"]
        clips = {role: entry for role, entry in x_encoders.items() if entry.unit == "clip"}
        self._clip_graphs = [(graphs[role], _names(entry)) for role, entry in clips.items()]
        self._predictor = graphs["predictor"]
        self._asked = _names(manifest.graphs["predictor"])
        self._seen = seen_names(manifest)
        cached = {out.name for entry in x_encoders.values() if entry.unit == "frame" for out in entry.outputs}
        wanted = {name for _, names in self._clip_graphs for name in names} | set(self._asked)
        self._keep = sorted(wanted & (cached | {RAW}))

    def prepare(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """A uint8 image of any size (RGB, RGBA, grey) as the model wants it: (height, width, 3). Raises FrameError."""
        return resize(image, self.video.width, self.video.height, self.video.resize)

    def encode_frame(self, frame: NDArray[np.uint8]) -> Features:
        """What the window keeps of one prepared frame: the outputs of the frame graphs that something asks for."""
        batch = frame[None]
        found: Features = {RAW: batch} if RAW in self._keep else {}
        for graph in self._frame_graphs:
            found |= graph({"frame": batch})
        return {name: found[name] for name in self._keep}

    def gather(self, window: Window) -> Features:
        """The features of a window, stacked: [1, T, ...] each."""
        return {name: window.stacked(name) for name in self._keep}

    def encode_clip(self, gathered: Features) -> Features:
        """`gathered` and the outputs of the clip graphs: all that the predictor asks of vision."""
        found = dict(gathered)
        for graph, names in self._clip_graphs:
            found |= graph({name: gathered[name] for name in names})
        return found

    def pool(self, features: Features) -> NDArray[np.float32]:
        """What encode_clip gave, as one row [F], read-only; see `vljepa_edge.perception.features`. Raises EngineError
        when it is not finite."""
        row = pool(features[name] for name in self._seen)
        check_finite("x_encoder", row)
        row.flags.writeable = False
        return row

    def predict(self, features: Features, query: Query) -> NDArray[np.float32]:
        """The predicted target embedding [E], of unit norm and read-only. Raises EngineError when it is not finite or
        zero."""
        given = {**features, "query_tokens": query.tokens, "query_mask": query.mask}
        embedding = unit("predictor", self._predictor({name: given[name] for name in self._asked})["embedding"][0])
        embedding.flags.writeable = False
        return embedding


def _names(entry: Any) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in entry.inputs)
