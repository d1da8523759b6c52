"""Which layers of a graph bear 8 bits: each is quantised alone, and the worst of them go back to 16 bits.

Layers are put back, the most sensitive first, until the graph as a whole is as close to fp32 as asked; no more than
needed, found by bisection. Nothing is kept at 16 bits by habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from rich.progress import Progress

from vljepa_edge.engines import Engine
from vljepa_edge.export.calibration import Arrays
from vljepa_edge.export.fidelity import Fidelity, fidelity, least
from vljepa_edge.export.qdq import keep_float


@dataclass(frozen=True)
class Layer:
    """One product or convolution. `alone`: of the graph's outputs when only this layer has 8 bits."""

    name: str
    kind: str
    alone: Fidelity
    bits: int


@dataclass(frozen=True)
class Choice:
    """The graph with the chosen layers in INT8, every layer's report, and the fidelity of each output."""

    model: onnx.ModelProto
    layers: tuple[Layer, ...]
    outputs: dict[str, Fidelity]


def choose(
    original: onnx.ModelProto, quantised: onnx.ModelProto, names: Sequence[str], held_out: Sequence[Arrays],
    target: Fidelity, engine: Engine, bar: Progress, title: str,
) -> Choice:  # fmt: skip
    """Keep as many of the layers `names` at 8 bits as `target` allows.

    original, quantised: the graph in fp32 and with all of them at 8 bits. held_out: inputs to judge on. engine: what
    runs them; its own faults with a layer count as much as rounding. target: below 1.
    """

    def run(model: onnx.ModelProto) -> list[Arrays]:
        graph = engine.compile(model.SerializeToString(), title)
        return [graph(inputs) for inputs in held_out]

    def judge(float_names: Sequence[str]) -> tuple[onnx.ModelProto, dict[str, Fidelity]]:
        mixed = keep_float(quantised, original, set(float_names))
        return mixed, fidelity(expected, run(mixed))

    expected = run(original)

    alone = {}
    for name in bar.track(names, description=f"{title}: layer by layer"):
        alone[name] = least(judge([other for other in names if other != name])[1])

    def harm(name: str) -> float:  # by the measure that the target allows the least of
        found = alone[name]
        return max((1 - found.mean) / (1 - target.mean), (1 - found.worst) / (1 - target.worst))

    order = sorted(names, key=harm, reverse=True)
    low, high = 0, len(order)  # with `high` layers at 16 bits the target is met
    model, outputs = judge([])
    if least(outputs).meets(target.mean, target.worst):
        high = 0
    while low < high:
        middle = (low + high) // 2
        model, outputs = judge(order[:middle])
        if least(outputs).meets(target.mean, target.worst):
            high = middle
        else:
            low = middle + 1
    if high:
        model, outputs = judge(order[:high])
    kept = set(order[:high])
    kinds = {node.name: node.op_type for node in original.graph.node}
    layers = tuple(Layer(name, kinds[name], alone[name], 16 if name in kept else 8) for name in names)
    return Choice(model, layers, outputs)
