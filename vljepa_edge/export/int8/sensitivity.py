"""Which layers of a graph bear 8 bits: each is quantised alone, and the worst of them go back to 16 bits.

Layers are put back, the most sensitive first, until the complete graph is as close to fp32 as asked; no more than
needed, found by bisection. Nothing is kept at 16 bits by habit. Layers that share their weights go together, so that
the weights are stored in one form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from vljepa_edge.export.int8.comparison import GraphComparison, decisive
from vljepa_edge.export.int8.fidelity import Fidelity
from vljepa_edge.export.int8.qdq import keep_float
from vljepa_edge.export.progress import OnStep, told


@dataclass(frozen=True)
class LayerChoice:
    """One product or convolution. `alone`: what decides, when only this layer, and those that share its weights, have 8
    bits."""

    name: str
    kind: str
    alone: Fidelity
    bits: int


@dataclass(frozen=True)
class Choice:
    """The graph with the chosen layers in INT8, and every layer's report."""

    model: onnx.ModelProto
    layers: tuple[LayerChoice, ...]


class Sensitivity:
    """How much of one graph each of its layers loses at 8 bits: measured once, then any target can be asked for.

    original, quantised: the graph in fp32 and with all of the layers `names` at 8 bits.
    """

    def __init__(
        self,
        original: onnx.ModelProto,
        quantised: onnx.ModelProto,
        names: Sequence[str],
        comparison: GraphComparison,
        on_step: OnStep,
        title: str,
    ) -> None:
        self._original, self._quantised, self._comparison = original, quantised, comparison
        kinds = {node.name: node.op_type for node in original.graph.node}
        weights = {node.name: node.input[1] for node in original.graph.node if node.name in set(names)}
        self._layers = [(name, kinds[name], weights[name]) for name in names]
        shared = list(dict.fromkeys(weights[name] for name in names))
        self._alone = {
            weight: decisive(comparison(self._with_float([other for other in shared if other != weight])))
            for weight in told(shared, f"{title}: layer by layer", on_step)
        }

    def choose(self, target: Fidelity) -> Choice:
        """As many layers at 8 bits as `target`, which is below 1, allows."""

        def harm(weight: str) -> float:  # by the measure that the target allows the least of
            found = self._alone[weight]
            return max((1 - found.mean) / (1 - target.mean), (1 - found.worst) / (1 - target.worst))

        order = sorted(self._alone, key=harm, reverse=True)
        low, high = 0, len(order)  # with `high` weights at 16 bits the target is met
        while low < high:
            middle = (low + high) // 2
            if decisive(self._comparison(self._with_float(order[:middle]))).meets(target.mean, target.worst):
                high = middle
            else:
                low = middle + 1
        kept = set(order[:high])
        layers = (
            LayerChoice(name, kind, self._alone[weight], 16 if weight in kept else 8)
            for name, kind, weight in self._layers
        )
        return Choice(self._with_float(order[:high]), tuple(layers))

    def _with_float(self, weights: Sequence[str]) -> onnx.ModelProto:
        """The graph with the layers of these weights in floating point."""
        return keep_float(
            self._quantised, self._original, {name for name, _, weight in self._layers if weight in weights}
        )
