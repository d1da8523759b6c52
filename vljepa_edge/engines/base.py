"""What an engine is, and the checks that all engines share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError

Precision = Literal["f32", "bf16", "f16", "auto"]
PRECISIONS: tuple[Precision, ...] = ("auto", "f32", "bf16", "f16")


class Graph(Protocol):
    """A compiled graph. Calls from many threads at once are safe and wait for each other where they must."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the graph's order."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the graph's order."""

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once. The outputs are the caller's to keep and to change; inputs are not written to.

        Raises EngineError that names the graph and the input when a name, shape or type is not what the graph takes.
        """


@runtime_checkable
class RowsGraph(Protocol):
    """A graph that takes several calls at once where that is faster."""

    def run_many(
        self, calls: Sequence[Mapping[str, NDArray[Any]]], once: Collection[str] = ()
    ) -> list[dict[str, NDArray[Any]]]:
        """What each call gives alone, to the bit or to rounding. Raises what one of them raises.

        once: inputs for which several calls hold the very same arrays; what depends on these alone is computed once.
        """


def run_many(
    graph: Graph, calls: Sequence[Mapping[str, NDArray[Any]]], once: Collection[str] = ()
) -> list[dict[str, NDArray[Any]]]:
    """As RowsGraph.run_many, for any graph."""
    if len(calls) > 1 and isinstance(graph, RowsGraph):
        return graph.run_many(calls, once)
    return [graph(call) for call in calls]


class Engine(Protocol):
    """Compiles ONNX graphs for one device."""

    name: str
    precision: Precision  # what "auto" came to

    def compile(self, model: bytes, name: str) -> Graph:
        """Compile a serialised ONNX model; `name` is for messages. Raises EngineError when the engine can't."""


@runtime_checkable
class KeepingEngine(Protocol):
    """An engine that finds again what it, or an earlier process, has compiled."""

    def compile_known(self, model: memoryview, digest: str, name: str) -> Graph:
        """As Engine.compile; `digest` is the SHA-256 of the model, in hex, which must be right."""


class Port(NamedTuple):
    """One input of a compiled graph. A size of None is free; a text is free, but the same wherever that text stands."""

    name: str
    shape: tuple[int | str | None, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join('any' if size is None else str(size) for size in self.shape)}]"


def check_inputs(
    graph: str, ports: Sequence[Port], inputs: Mapping[str, NDArray[Any]], unused: frozenset[str] = frozenset()
) -> list[NDArray[Any]]:
    """The arrays in the order of `ports`, C-contiguous, or EngineError. Inputs in `unused` may be given or left out."""
    arrays = []
    symbols: dict[str, int] = {}
    for port in ports:
        array = inputs.get(port.name)
        if array is None:
            raise EngineError(f"{graph}: input {port.name} is missing; expected {port}")
        if not isinstance(array, np.ndarray):
            raise EngineError(f"{graph}: input {port.name} is a {type(array).__name__}; expected {port}")
        if array.dtype != port.dtype or not (array.shape == port.shape or _fits(array.shape, port.shape, symbols)):
            known = ", ".join(f"{symbol} = {size}" for symbol, size in symbols.items() if symbol in port.shape)
            where = f" where {known}" if known else ""
            raise EngineError(f"{graph}: input {port.name} is {_describe(array)}; expected {port}{where}")
        arrays.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
    if len(inputs) > len(arrays):
        taken = {port.name for port in ports}
        unknown = [name for name in inputs if name not in taken and name not in unused]
        if unknown:
            raise EngineError(f"{graph}: has no input {unknown[0]}; expected {', '.join(port.name for port in ports)}")
    return arrays


def failed(
    graph: str, engine: str, error: Exception, ports: Sequence[Port], arrays: Sequence[NDArray[Any]]
) -> EngineError:
    """The error of a run that passed the checks above, say because two free dimensions disagree."""
    given = ", ".join(f"{port.name} {_describe(array)}" for port, array in zip(ports, arrays, strict=True))
    return EngineError(f"{graph}: {engine} failed: {_reason(error)}; given {given}")


def refused(graph: str, engine: str, error: Exception) -> EngineError:
    """The error of a model that an engine can't compile."""
    return EngineError(f"{graph}: {engine} can't compile it: {_reason(error)}")


def _fits(shape: tuple[int, ...], expected: tuple[int | str | None, ...], symbols: dict[str, int]) -> bool:
    if len(shape) != len(expected):
        return False
    for given, size in zip(shape, expected, strict=True):
        wanted = symbols.setdefault(size, given) if isinstance(size, str) else given if size is None else size
        if given != wanted:
            return False
    return True


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _reason(error: Exception) -> str:
    """An engine's message on one line, without the lines that only say where in its source it was thrown."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception from", "Check 'false' failed"))]
    return " ".join(said)[:600] or type(error).__name__
