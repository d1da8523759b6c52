"""From a bundle to TensorRT engines, on the device that will run them. Needs tensorrt, onnx and a GPU; no torch,
unless our plugins are to be part of them.

Networks are strongly typed: TensorRT computes in the types of the graph (fp16, int8 between Q and DQ nodes, fp32 in
norms) and makes no choice of its own. That exists from TensorRT 10.3 (JetPack 6) to 11, which has nothing else. Each
engine is run once before it is kept.

NOT VERIFIED ON HARDWARE: no engine has been built by this on a GPU yet. Parsing and building are tested with TensorRT
for RTX, which builds without one, and calls against the bindings of TensorRT 10.3, 10.16 and 11.4.
"""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import tensorrt as trt
from numpy.typing import NDArray

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines.tensorrt.engine import Device, this_platform
from vljepa_edge.engines.tensorrt.store import (
    EngineFolder,
    EnginesManifest,
    PlanEntry,
    Platform,
    engine_writer,
)
from vljepa_edge.errors import EngineError, InputError, KernelError
from vljepa_edge.export.tensorrt.network import OnBuildStep, configure, parse, serialize
from vljepa_edge.export.tensorrt.profiles import Profiles, Shapes
from vljepa_edge.export.tensorrt.timings import Timings
from vljepa_edge.export.tensorrt.trial import trial_inputs
from vljepa_edge.onnx_graphs.half import needs_f32, to_half
from vljepa_edge.onnx_graphs.plugin_nodes import to_plugins
from vljepa_edge.onnx_graphs.qdq_check import QdqLayer, check_qdq

_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A graph as TensorRT gets it, its layers, how many of its nodes are plugins, and whether all of it is in fp32."""

    model: bytes
    layers: tuple[QdqLayer, ...]
    plugins: int
    f32: bool


def build_engines(
    bundle: Bundle,
    out: str | os.PathLike[str],
    *,
    workspace: int | None = None,
    profiles: str = "",
    plugins: bool = True,
    f32: str = "",
    report: OnBuildStep | None = None,
) -> EngineFolder:
    """Build an engine for each graph of a bundle into the folder `out`, which is replaced when all are built.

    `workspace`: bytes of GPU memory that a layer may use while it runs; None is TensorRT's own choice, all of it.
    `profiles`: see Profiles.of. `plugins`: whether our own kernels of attention and pooling take the place of
    TensorRT's, where it can launch them (docs/kernels.md). `f32`: roles whose graphs compute in fp32, with commas; so
    does what fp16 is too narrow for: graphs that say so, and those whose numbers aren't finite in a first run. Raises
    InputError for arguments that can't be used, QuantizationError and GraphError for a graph that can't be built as it
    is, EngineError when CUDA or TensorRT fails, and when a graph's numbers aren't finite in fp32 either.
    """
    manifest = bundle.manifest
    ranges, wide = Profiles.of(manifest, profiles), _files_of(bundle, f32)
    here = this_platform()
    maker = _Maker(Timings(here), Device.open(), workspace, report)
    options = _options(workspace, profiles, plugins, f32)
    plugins = plugins and can_plug_in(here)
    plans: dict[str, PlanEntry] = {}
    with engine_writer(out) as writer:
        for file, entry in {graph.file: graph for graph in manifest.graphs.values()}.items():
            graph, shapes = Path(file).stem, ranges.shapes(manifest, file)
            source = _Source(bundle.read(file), graph, shapes, trial_inputs(bundle, file, shapes))
            plan, made = maker.make(source, plugins=plugins, f32=file in wide)
            name, digest = writer.add(graph, plan)
            plans[file] = PlanEntry(
                file=name, sha256=digest, bytes=len(plan), source_sha256=entry.sha256, shapes=shapes,
                layers=len(made.layers), int8_layers=sum(layer.kind == "int8" for layer in made.layers),
                plugins=made.plugins, f32=made.f32,
            )  # fmt: skip
        return writer.finish(
            EnginesManifest(
                schema=1,
                bundle=f"{manifest.name} {manifest.version}",
                bundle_digest=bundle.digest,
                bundle_path=str(bundle.path.resolve()),
                options=options,
                platform=here,
                precision="f16",
                plans=plans,
            )
        )


class _Source(NamedTuple):
    """A graph of a bundle, the sizes of its inputs, and what its engine is tried on."""

    model: bytes
    graph: str
    shapes: Shapes
    trial: dict[str, NDArray[Any]]


class _Maker(NamedTuple):
    """Makes plans one after another."""

    timings: Timings
    device: Device
    workspace: int | None
    report: OnBuildStep | None

    def make(self, source: _Source, *, plugins: bool, f32: bool) -> tuple[bytes, Prepared]:
        """A plan that was run once: without plugins where they fail, in fp32 where fp16 is too narrow."""
        made = prepare(source.model, source.graph, plugins=plugins, f32=f32)
        try:
            plan = self._build(made, source)
            found = self.device.load(plan, source.model, source.graph)(source.trial)
        except Exception as error:  # also what the Python of a plugin raises
            if not made.plugins:
                raise
            failure = str(error)
        else:
            if all(np.isfinite(array).all() for array in found.values()):
                return plan, made
            if made.f32:
                raise EngineError(f"{source.graph}: its numbers are not finite, in fp32 either; the model is broken")
            _log.warning("%s: built in fp32, as its numbers overflow in fp16", source.graph)
            return self.make(source, plugins=False, f32=True)
        _log.warning("%s: built without plugins, as it fails with them: %s", source.graph, failure)
        return self.make(source, plugins=False, f32=f32)

    def _build(self, made: Prepared, source: _Source) -> bytes:
        network = parse(made.model, source.graph)
        config = configure(network, source.shapes, self.workspace)
        self.timings.use(config)
        plan = serialize(network, config, self.report)
        self.timings.keep(config)
        return plan


def can_plug_in(here: Platform) -> bool:
    """Whether our plugins can be built into engines here; if so, they are registered now.

    TensorRT must have plugins that are compiled ahead of time, torch and Triton be there, and the GPU be one that the
    kernels have tiles for.
    """
    if not hasattr(trt, "QuickPluginCreationRequest") or int(here.compute_capability.replace(".", "")) < 80:
        return False
    try:
        from vljepa_edge.kernels.tools import aot

        aot.require_compiler()
        importlib.import_module("vljepa_edge.kernels.tensorrt.plugin")
    except (ImportError, KernelError) as error:
        _log.info("attention and pooling are left to TensorRT's own kernels: %s", error)
        return False
    return True


def prepare(model: bytes, graph: str, *, plugins: bool = False, f32: bool = False) -> Prepared:
    """A graph of a bundle in fp16 and int8, or where it says so or `f32` is set, in fp32 and int8.

    Raises QuantizationError and GraphError.
    """
    proto = onnx.load_from_string(model)
    layers = check_qdq(proto, graph)
    f32 = f32 or needs_f32(proto)
    typed = to_half(proto, layers, graph, f32=f32)
    whole, plugged = to_plugins(typed) if plugins and not f32 else (typed, 0)
    return Prepared(whole.SerializeToString(), layers, plugged, f32)


def _files_of(bundle: Bundle, roles: str) -> set[str]:
    """The files of roles with commas between. Raises InputError for one that the bundle doesn't have."""
    graphs = bundle.manifest.graphs
    named = [role.strip() for role in roles.split(",") if role.strip()]
    for role in named:
        if role not in graphs:
            raise InputError(f"f32 must name roles of {', '.join(graphs)}, got {role!r}")
    return {graphs[role].file for role in named}


def _options(workspace: int | None, profiles: str, plugins: bool, f32: str) -> tuple[str, ...]:
    """What `vljepa build` is given for these."""
    return (
        *(() if workspace is None else ("--workspace", str(max(workspace >> 20, 1)))),
        *(("--profiles", profiles) if profiles else ()),
        *(() if plugins else ("--no-plugins",)),
        *(("--f32", f32) if f32 else ()),
    )
