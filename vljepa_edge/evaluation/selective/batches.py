"""The Y-decoder on many embeddings at once: the bundle's own graph with its batch left open, on OpenVINO.

A graph of one embedding spends most of its time on reading weights; 64 at once take a sixth of the time each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.text import read_tokenizers
from vljepa_edge.support.quiet_openvino import shared_core

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception

_CHECKED = 8  # texts of the first batch that must be what the model itself decodes


class BatchDecoder:
    """Greedy texts of embeddings [N, E], as Perception.decode_text gives them one by one.

    The first texts are compared with the model's own. Where the graph can't take a batch, or says anything else in one,
    every text is decoded by the model.
    """

    def __init__(self, model: Perception) -> None:
        self._model, self._text = model, model.manifest.text
        self._tokenizer = read_tokenizers(model.bundle).decoder
        self._graph: Any = self._compile() if model.engine == "openvino" else None
        self._checked = 0

    def __call__(self, rows: Sequence[NDArray[np.float32]]) -> list[str]:
        """Raises EngineError where the model itself fails."""
        if self._graph is not None:
            said = self._decode(np.stack(rows))
            unchecked = min(max(0, _CHECKED - self._checked), len(rows))
            self._checked += unchecked
            if said is not None and said[:unchecked] == [self._model.decode_text(row) for row in rows[:unchecked]]:
                return said
            self._graph = None
        return [self._model.decode_text(row) for row in rows]

    def _compile(self) -> Any:
        """The graph with any number of embeddings; None where it takes one alone, or has no keys and values to keep."""
        entry = self._model.manifest.graphs["y_decoder"]
        if entry.input("past") is None:
            return None
        core = shared_core()
        network = core.read_model(bytes(self._model.bundle.view(entry.file)), b"")
        try:
            network.reshape({port.any_name: _open_batch(port.partial_shape) for port in network.inputs})
            return core.compile_model(network, "CPU").create_infer_request()
        except RuntimeError:
            return None

    def _decode(self, rows: NDArray[np.float32]) -> list[str] | None:
        """None where the graph fails, or a logit is not finite: the model itself says what is wrong."""
        entry, text = self._model.manifest.graphs["y_decoder"], self._text
        past = entry.input("past")
        assert past is not None  # else there is no graph
        start = text.decoder_end if text.decoder_start is None else text.decoder_start
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        said: list[list[int]] = [[] for _ in rows]
        open_ones = np.arange(len(rows))
        given: dict[str, NDArray[Any]] = {
            "embedding": rows,
            "ids": np.full((len(rows), 1), start, np.int64),
            "past": np.zeros((len(rows), past.shape[1], 0, past.shape[3]), np.float32),
        }
        for _ in range(text.decoder_tokens):
            try:
                out = self._graph.infer(given)
            except RuntimeError:
                return None
            tokens = out["logits"].argmax(1)
            if len(tokens) != len(open_ones) or not np.isfinite(out["logits"].max(1)).all():
                return None
            goes_on = tokens != text.decoder_end
            for place, token in zip(open_ones[goes_on], tokens[goes_on], strict=True):
                said[place].append(int(token))
            open_ones = open_ones[goes_on]
            if not len(open_ones):
                break
            given = {
                "embedding": given["embedding"][goes_on],
                "ids": tokens[goes_on, None].astype(np.int64),
                "past": out["present"][goes_on],
            }
        return [self._tokenizer.decode(ids).strip() for ids in said]


def _open_batch(shape: Any) -> Any:
    opened = type(shape)(shape)
    opened[0] = -1
    return opened
