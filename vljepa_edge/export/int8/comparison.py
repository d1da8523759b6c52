"""What another form of one graph does: to its own outputs, token by token, and to the embeddings that come of them.

Where there are such embeddings they decide. A token's cosine says little of them: eight frames' rounding averages out,
and what is small in a token may be what matters (the concepts of the default's are a fifteenth of its length).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx

from vljepa_edge.engines import Engine, Graph
from vljepa_edge.export.int8.calibration import Arrays, Calibration, embed_clip, turn
from vljepa_edge.export.int8.fidelity import Fidelity, fidelity, least
from vljepa_edge.model import Model
from vljepa_edge.perception.vision import Vision

_CLIPS = 12  # at least, where there are as many
_EMBEDDING = "video embedding"

Beyond = Callable[[Graph], list[Arrays]]
"""A graph -> what the rest of the bundle makes of it."""


class GraphComparison:
    """Fidelity of other forms of a graph to the `original`, on `inputs` of its own and in what comes of it (`beyond`).

    engine: what runs them; its own faults count as much as rounding.
    """

    def __init__(
        self, original: onnx.ModelProto, inputs: Sequence[Arrays], beyond: Beyond, engine: Engine, title: str
    ) -> None:
        self._inputs, self._beyond, self._engine, self._title = inputs, beyond, engine, title
        self._expected = self._run(original)

    def __call__(self, model: onnx.ModelProto) -> dict[str, Fidelity]:
        """By output, and of the embeddings."""
        return fidelity(self._expected, self._run(model))

    def _run(self, model: onnx.ModelProto) -> list[Arrays]:
        graph = self._engine.compile(model.SerializeToString(), self._title)
        return [graph(inputs) for inputs in self._inputs] + self._beyond(graph)


def decisive(found: Mapping[str, Fidelity]) -> Fidelity:
    """Of all that a comparison found, what is held against a target: the embeddings, or else the outputs' lowest."""
    return found[_EMBEDDING] if _EMBEDDING in found else least(found)


def embeddings_of(model: Model, data: Calibration, file: str) -> Beyond:
    """Embeddings of some of the held-out clips, each under a few of the queries, for a graph file of the X-encoder.

    model: the complete bundle, in fp32. The predictor's own output is the embedding, and text has one graph only.
    """
    roles = [role for role, graph in model.manifest.x_encoders.items() if graph.file == file]
    if not roles:
        return lambda graph: []
    queries = [model.text.query(query, cut=True) for query in data.queries]
    clips = data.held_out[:: max(1, len(data.held_out) // _CLIPS)]

    def embed(graph: Graph) -> list[Arrays]:
        vision = Vision(model.manifest, {**model.graphs, **dict.fromkeys(roles, graph)})
        return [{_EMBEDDING: embed_clip(vision, clip, turn(queries, i))} for i, clip in enumerate(clips)]

    return embed
