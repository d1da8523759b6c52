"""The vision half of a model: frames to features (X-encoder), features and a query to an embedding (predictor)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.engines.base import run_many
from vljepa_edge.perception.features import pool, seen_names
from vljepa_edge.perception.finite import check_finite, unit
from vljepa_edge.perception.text import Query
from vljepa_edge.perception.together import Together
from vljepa_edge.video.preprocess import resize

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.engines.base import Graph
    from vljepa_edge.perception.window import Window

Features = dict[str, NDArray[Any]]
RAW = "frames"


class Frame(NamedTuple):
    """Asks what Vision.encode_frame makes of a frame."""

    frame: NDArray[np.uint8]


class Clip(NamedTuple):
    """Asks what Vision.encode_clip makes of the features of a window."""

    gathered: Features


class Questions(NamedTuple):
    """Asks what Vision.predict makes of features and each of some queries."""

    features: Features
    queries: Sequence[Query]


Asked = Frame | Clip | Questions


class Vision:
    """X-encoder and predictor graphs of one bundle, and the queue of the streams that use them. Safe from many
    threads."""

    def __init__(self, manifest: Manifest, graphs: Mapping[str, Graph]) -> None:
        self.video = manifest.video
        x_encoders = manifest.x_encoders
        self._frame_graphs = [graphs[role] for role, entry in x_encoders.items() if entry.unit == "frame"]
        clips = {role: entry for role, entry in x_encoders.items() if entry.unit == "clip"}
        self._clip_graphs = [(graphs[role], _names(entry)) for role, entry in clips.items()]
        self._predictor = graphs["predictor"]
        self._asked = _names(manifest.graphs["predictor"])
        self._without_query = [name for name in self._asked if name not in ("query_tokens", "query_mask")]
        self._seen = seen_names(manifest)
        cached = {out.name for entry in x_encoders.values() if entry.unit == "frame" for out in entry.outputs}
        wanted = {name for _, names in self._clip_graphs for name in names} | set(self._asked)
        self._keep = sorted(wanted & (cached | {RAW}))
        together = all(getattr(graph, "takes_many", False) for graph in graphs.values())
        self.together: Together[Asked] = Together(self.answer) if together else Together(self.answer, None, 1)

    def prepare(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """A uint8 image of any size (RGB, RGBA, grey) as the model wants it: (height, width, 3). Raises FrameError."""
        return resize(image, self.video.width, self.video.height, self.video.resize)

    def encode_frame(self, frame: NDArray[np.uint8]) -> Features:
        """What the window keeps of one prepared frame, in memory of its own: the outputs of the frame graphs that
        something asks for, and the frame itself where a clip graph does."""
        return self._encode_frames([frame])[0]

    def _encode_frames(self, frames: Sequence[NDArray[np.uint8]]) -> list[Features]:
        found: list[Features] = [{RAW: frame[None].copy()} if RAW in self._keep else {} for frame in frames]
        calls = [{"frame": frame[None]} for frame in frames]
        for graph in self._frame_graphs:
            for features, given in zip(found, run_many(graph, calls), strict=True):
                features |= given
        return [{name: features[name] for name in self._keep} for features in found]

    def gather(self, window: Window) -> Features:
        """The features of a window, stacked: [1, T, ...] each."""
        return {name: window.stacked(name) for name in self._keep}

    def encode_clip(self, gathered: Features) -> Features:
        """`gathered` and the outputs of the clip graphs: all that the predictor asks of vision."""
        return self._encode_clips([gathered])[0]

    def _encode_clips(self, clips: Sequence[Features]) -> list[Features]:
        found = [dict(gathered) for gathered in clips]
        for graph, names in self._clip_graphs:
            calls = [{name: gathered[name] for name in names} for gathered in clips]
            for features, given in zip(found, run_many(graph, calls), strict=True):
                features |= given
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
        return self._predict([(features, query)])[0]

    def _predict(self, asked: Sequence[tuple[Features, Query]]) -> list[NDArray[np.float32]]:
        """What does not depend on the query is computed once for the same features."""
        given = [{**features, "query_tokens": query.tokens, "query_mask": query.mask} for features, query in asked]
        calls = [{name: each[name] for name in self._asked} for each in given]
        embeddings = []
        for found in run_many(self._predictor, calls, self._without_query):
            embedding = unit("predictor", found["embedding"][0])
            embedding.flags.writeable = False
            embeddings.append(embedding)
        return embeddings

    def answer(self, asked: Sequence[Asked]) -> list[Any]:
        """What comes of each: Features, Features, and a list of embeddings. Those of one kind run together. Raises what
        the methods above raise."""
        frames = iter(self._encode_frames([one.frame for one in asked if isinstance(one, Frame)]))
        clips = iter(self._encode_clips([one.gathered for one in asked if isinstance(one, Clip)]))
        pairs = [(one.features, query) for one in asked if isinstance(one, Questions) for query in one.queries]
        embeddings = iter(self._predict(pairs))
        answers: list[Any] = []
        for one in asked:
            if isinstance(one, Questions):
                answers.append([next(embeddings) for _ in one.queries])
            else:
                answers.append(next(frames if isinstance(one, Frame) else clips))
        return answers


def _names(entry: Any) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in entry.inputs)
