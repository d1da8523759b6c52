"""A compiled graph of any engine, kept to the process that compiled it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from vljepa_edge.engines.base import Graph, RowsGraph, run_many
from vljepa_edge.support.ending import keep_in_child, native, require_process


class ProcessGraph:
    """See engines.base.Graph. No engine's threads and locks live on in a forked child: there, calls raise ProcessError.

    So do calls of other threads while the interpreter shuts down.
    """

    def __init__(self, graph: Graph) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.takes_many = isinstance(graph, RowsGraph)  # faster than one by one
        self._graph = graph
        self._pid = os.getpid()
        keep_in_child(self)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        require_process(self._pid, "this model", "load a model in each process, after the fork")
        with native:
            return self._graph(inputs)

    def run_many(
        self, calls: Sequence[Mapping[str, NDArray[Any]]], once: Collection[str] = ()
    ) -> list[dict[str, NDArray[Any]]]:
        """See engines.base.RowsGraph. Where the engine's graph takes one call at a time, so does this."""
        require_process(self._pid, "this model", "load a model in each process, after the fork")
        with native:
            return run_many(self._graph, calls, once)
