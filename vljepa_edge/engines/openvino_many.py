"""Several calls of one graph at once, on graphs that OpenVINO makes of it for so many rows.

They are made when they are first wanted, by a thread of its own, and kept on disk as all compiled graphs are. Until one
is there, and where none can be made or one computes something else, the calls run one by one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.engines.base import Port
from vljepa_edge.support.ending import Worker, native

SIZES = (8, 4, 3, 2)
_ALIKE = 0.9999  # cosine of a row with what the graph itself gives
Part = Literal["all", "early", "late"]
_PARTS: tuple[Part, Part] = ("early", "late")
Call = Mapping[str, NDArray[Any]]
Found = dict[str, NDArray[Any]]


class Compiled(Protocol):
    """A graph with fixed rows."""

    ports: list[Port]
    outputs: tuple[str, ...]

    def __call__(self, inputs: Call) -> Found:
        """See engines.base.Graph."""


Check = Callable[[Compiled], bool]
Make = Callable[[Part, int, Collection[str], Check], Compiled]
"""The part of a graph for so many rows, cut before the inputs given. Raises when it can't be made, or by the check."""


class Later:
    """Does things one after the other on a thread that ends when nothing is left, or when the process ends."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._worker: Worker | None = None

    def add(self, do: Callable[[], object]) -> None:
        """Do this, when all before is done. It must not raise."""
        with self._changed:
            self._waiting.append(do)
            if self._worker is None:
                self._worker = Worker(self._work, name="vljepa-rows", stop=self._waiting.clear)
                self._worker.start()

    def wait(self) -> None:
        """Until nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._worker is None)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._worker = None
                    self._changed.notify_all()
                    return
                do = self._waiting.popleft()
            do()


class ManyCalls:
    """See engines.base.RowsGraph. Safe from many threads."""

    def __init__(self, one: Compiled, make: Make, later: Later) -> None:
        self._one, self._make, self._later = one, make, later
        self._lock = threading.Lock()
        self._made: dict[tuple[Part, int], Compiled | None] = {("all", 1): one}  # None: not yet, or never

    def __call__(self, calls: Sequence[Call], once: Collection[str] = ()) -> list[Found]:
        """What the graph gives for each call. Raises what a call raises."""
        seen = [tuple(id(call[name]) for name in sorted(once)) for call in calls]
        first = {key: index for index, key in reversed(list(enumerate(seen)))}
        if not once or len(first) == len(calls):
            return self._rows("all", calls)
        late = frozenset(port.name for port in self._one.ports) - set(once)
        if None in [self._get(part, 1, late) for part in _PARTS]:
            return self._rows("all", calls)
        early = self._rows("early", [{name: calls[index][name] for name in once} for index in first.values()], late)
        found = dict(zip(first, early, strict=True))
        after = [
            {name: value for name, value in call.items() if name in late} | found[key]
            for call, key in zip(calls, seen, strict=True)
        ]
        return self._rows("late", after, late)

    def _rows(self, part: Part, calls: Sequence[Call], late: Collection[str] = ()) -> list[Found]:
        """Calls of the same shapes together."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, call in enumerate(calls):
            alike.setdefault(tuple((name, array.shape) for name, array in sorted(call.items())), []).append(index)
        found: list[Found] = [{}] * len(calls)
        for places in alike.values():
            at = 0
            while at < len(places):
                graph, size = self._largest(part, len(places) - at, late)
                taken = places[at : at + size]
                for place, row in zip(taken, _run(graph, [calls[place] for place in taken]), strict=True):
                    found[place] = row
                at += size
        return found

    def _largest(self, part: Part, rows: int, late: Collection[str]) -> tuple[Compiled, int]:
        """The graph for the most rows, not more than there are, that is there. The best one is made if need be."""
        fitting = [size for size in SIZES if size <= rows]
        for size in fitting:
            graph = self._get(part, size, late) if size == fitting[0] else self._made.get((part, size))
            if graph is not None:
                return graph, size
        graph = self._made[part, 1]
        assert graph is not None  # nobody asks for rows of a part that is not there
        return graph, 1

    def _get(self, part: Part, rows: int, late: Collection[str]) -> Compiled | None:
        key = (part, rows)
        if key not in self._made:
            with self._lock:
                if key not in self._made:
                    self._made[key] = None
                    self._later.add(lambda: self._try(part, rows, late))
        return self._made[key]

    def _try(self, part: Part, rows: int, late: Collection[str]) -> None:
        try:
            with native:
                graph = self._make(part, rows, late, lambda graph: self._agrees(graph, part, rows))
                graph(_sample(graph.ports, np.random.default_rng(0)))  # the first run takes longer
                self._made[part, rows] = graph
        except Exception:  # whatever a library says of a graph that it can't remake; the calls run one by one
            pass

    def _agrees(self, graph: Compiled, part: Part, rows: int) -> bool:
        """Whether a graph for so many rows gives what the graph itself gives for each."""
        rng = np.random.default_rng(0)
        if part != "all" and rows == 1:
            if part == "early":
                return True  # what it gives is judged by what the late part makes of it
            early = self._made["early", 1]
            if early is None:
                return False
            call = _sample(self._one.ports, rng)
            given = {port.name: call[port.name] for port in graph.ports if port.name in call}
            middle = early({port.name: call[port.name] for port in early.ports})
            return _alike([graph(given | middle)], [self._one(call)])
        one = self._made[part, 1]
        if one is None:
            return False
        calls = [_sample(one.ports, rng) for _ in range(rows)]
        return _alike(_run(graph, calls), [one(call) for call in calls])


def _run(graph: Compiled, calls: Sequence[Call]) -> list[Found]:
    if len(calls) == 1:
        return [graph(calls[0])]
    found = graph({name: np.concatenate([call[name] for call in calls]) for name in calls[0]})
    return [{name: array[row : row + 1] for name, array in found.items()} for row in range(len(calls))]


def _sample(ports: Sequence[Port], rng: np.random.Generator) -> Found:
    """Something that a graph takes. Free dimensions have a size of 2."""
    made: Found = {}
    for port in ports:
        shape = [size if isinstance(size, int) else 2 for size in port.shape]
        if port.dtype == np.uint8:
            made[port.name] = rng.integers(0, 256, shape, np.uint8)
        elif port.dtype == np.int64:
            made[port.name] = np.ones(shape, np.int64)  # a token, and that there is one
        else:
            made[port.name] = rng.standard_normal(shape).astype(np.float32)
    return made


def _alike(found: Sequence[Found], expected: Sequence[Found]) -> bool:
    for one, other in zip(found, expected, strict=True):
        for name, array in one.items():
            a, b = array.ravel().astype(np.float64), other[name].ravel().astype(np.float64)
            if a.shape != b.shape or not a @ b >= _ALIKE * max(a @ a, b @ b):
                return False
    return True
