"""An engine whose graphs can be counted, slowed down and made to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.engines import Graph, Precision, open_engine


class WrappedGraph:
    def __init__(self, graph: Graph, before: Callable[[], None]) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._graph, self._before = graph, before

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self._before()
        return self._graph(inputs)


class MultipliedGraph:
    def __init__(self, graph: Graph, output: str, factor: float) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._graph, self._output, self._factor = graph, output, np.float32(factor)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        found = self._graph(inputs)
        return {name: array * self._factor if name == self._output else array for name, array in found.items()}


class WrappedEngine:
    """OpenVINO on one thread; `before(graph name)` runs ahead of each call, `calls` counts them."""

    name = "wrapped"
    precision: Precision = "f32"

    def __init__(self, before: Callable[[str], None] = lambda name: None) -> None:
        self.calls: Counter[str] = Counter()
        self.before = before
        self._engine = open_engine("openvino", threads=1, precision="f32")

    def compile(self, model: bytes, name: str) -> Graph:
        def note() -> None:
            self.calls[name] += 1
            self.before(name)

        return WrappedGraph(self._engine.compile(model, name), note)


class Multiplied(WrappedEngine):
    """One output is multiplied by a factor."""

    def __init__(self, output: str, factor: float) -> None:
        super().__init__()
        self.output, self.factor = output, factor

    def compile(self, model: bytes, name: str) -> Graph:
        return MultipliedGraph(super().compile(model, name), self.output, self.factor)


class Overflowing(Multiplied):
    """One output is NaN throughout, as when half precision overflows."""

    def __init__(self, output: str) -> None:
        super().__init__(output, float("nan"))
