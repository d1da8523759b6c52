"""What all stages share: the bundle, its compiled graphs, real inputs for each, the clip, the limits and the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.clip import make_clip
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.flops import Cost, graph_cost
from benchmarks.interleave import Clock, interleave
from benchmarks.limits import Limits
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Engine, Graph, Precision, open_engine
from vljepa_edge.model import Model

THREADS = 1  # of every engine and peer: the bar of a hop is set for one
Arrays = dict[str, NDArray[Any]]


@dataclass
class Bench:
    """One run. `path`: a bundle, the default when None. `seconds`: for one comparison; cheap ones take less."""

    path: Path | None
    folder: Path
    limits: Limits
    seconds: float = 12.0
    least: int = 5
    clock: Clock = time.perf_counter
    _graphs: dict[tuple[str, str, str], Graph] = field(default_factory=dict)

    @cached_property
    def bundle(self) -> Bundle:
        return Bundle.open(default_bundle() if self.path is None else self.path)

    @cached_property
    def model(self) -> Model:
        """The bundle as a user would load it, but on one thread."""
        return Model(self.bundle, open_engine(threads=THREADS))

    @cached_property
    def precision(self) -> Precision:
        """What "auto" means here."""
        return self._engine("openvino", "auto").precision

    def computes_in(self, precision: Precision) -> str:
        """In words: an INT8 bundle's layers run in INT8 whatever the rest is computed in."""
        exported = self.bundle.manifest.provenance.get("export", {})
        return f"INT8 and {precision}" if exported.get("precision") == "int8" else precision

    def _engine(self, engine: str, precision: Precision) -> Engine:
        return open_engine(engine, threads=THREADS, precision=precision)

    def graph(self, role: str, engine: str = "openvino", precision: Precision = "auto") -> Graph:
        """A graph of the bundle on an engine, compiled once."""
        file = self.bundle.manifest.graphs[role].file
        key = file, engine, precision
        if key not in self._graphs:
            self._graphs[key] = self._engine(engine, precision).compile(self.bundle.read(file), role)
        return self._graphs[key]

    @cached_property
    def clip(self) -> tuple[Path, str]:
        return make_clip(self.folder)

    @cached_property
    def frames(self) -> list[NDArray[np.uint8]]:
        """The clip's frames at the model's rate, in the size that they were decoded in."""
        from vljepa_edge.video.source import open_source

        with open_source(self.clip[0], fps=self.bundle.manifest.video.fps) as source:
            return [frame.image for frame in source]

    @cached_property
    def inputs(self) -> dict[str, Arrays]:
        """Inputs of every vision graph, from the clip's first window and the default query, by role."""
        from vljepa_edge.perception.window_encoder import WindowEncoder

        vision, manifest = self.model.vision, self.bundle.manifest
        encoder = WindowEncoder(vision)
        prepared = [vision.prepare(frame) for frame in self.frames[: manifest.video.window]]
        for i, frame in enumerate(prepared):
            encoder.push(frame, i / manifest.video.fps)
        query = self.model.text.query(manifest.text.default_query)
        asked = {"query_tokens": query.tokens, "query_mask": query.mask}
        known = {**encoder.features(), "frame": prepared[0][None], **asked}
        roles = [*manifest.x_encoders, "predictor"]
        return {
            role: {t.name: np.array(known[t.name]) for t in manifest.graphs[role].inputs if t.name in known}
            for role in roles
        }

    def cost(self, role: str, inputs: Arrays | None = None) -> Cost:
        """Operations and weights of one run of a graph."""
        arrays = self.inputs[role] if inputs is None else inputs
        model = self.bundle.read(self.bundle.manifest.graphs[role].file)
        return graph_cost(model, {name: array.shape for name, array in arrays.items()})

    def limit(self, cost: Cost) -> Limit:
        """The floor of `cost` in the engine's precision on one thread, in words too."""
        compute, read = (f(cost, self.precision, THREADS) for f in (self.limits.compute_s, self.limits.read_s))
        kinds = f"{self.precision} and int8" if cost.int8_flops else self.precision
        bound = f"{kinds} matrix products" if compute >= read else "reading the weights from memory"
        text = f"{cost.flops / 1e9:.3g} GFLOP, {cost.weights / 1e6:.3g} M weights; bound by {bound}"
        if cost.depthwise > 0.01 * cost.flops:
            text += f"; {cost.depthwise / cost.flops:.0%} of it depthwise, which no matrix unit helps"
        if cost.int8_flops:
            text += f"; {cost.int8_flops / cost.flops:.0%} of it in INT8"
        return Limit(1e3 * max(compute, read), text)

    def compare(self, stage: Stage) -> Comparison:
        """Interleave the cases of a stage, and tell of it."""
        return stage.tell(interleave(stage.cases, stage.share * self.seconds, self.clock, least=self.least))


def installed(*modules: str) -> str | None:
    """None when these can be imported, else the line that says which can't and how to install it."""
    absent = [name for name in modules if find_spec(name) is None]
    extra = "pip install 'vljepa-edge[dev,train]'"
    return f"left out, {' and '.join(absent)} not installed ({extra})" if absent else None


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of two arrays of one size, flattened."""
    x, y = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
