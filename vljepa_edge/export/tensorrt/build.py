"""From a bundle to TensorRT engines, on the device that will run them. Needs tensorrt, onnx and a GPU; no torch,
unless our plugins are to be part of them.

Networks are strongly typed: TensorRT computes in the types of the graph (fp16, int8 between Q and DQ nodes, fp32 in
norms) and makes no choice of its own. That exists from TensorRT 10.3 (JetPack 6) to 11, which has nothing else.

NOT VERIFIED ON HARDWARE: no engine has been built by this on a GPU yet. Parsing and building are tested with TensorRT
for RTX, which builds without one, and calls against the bindings of TensorRT 10.3, 10.16 and 11.4.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import tensorrt as trt

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines.tensorrt.engine import shape_of, this_platform
from vljepa_edge.engines.tensorrt.log import Log
from vljepa_edge.engines.tensorrt.store import (
    EngineFolder,
    EnginesManifest,
    PlanEntry,
    Platform,
    engine_writer,
    write_file,
)
from vljepa_edge.errors import EngineError, KernelError
from vljepa_edge.export.tensorrt.profiles import Profiles, Shapes
from vljepa_edge.onnx_graphs.half import to_half
from vljepa_edge.onnx_graphs.plugin_nodes import to_plugins
from vljepa_edge.onnx_graphs.qdq_check import QdqLayer, check_qdq
from vljepa_edge.support.cache import cache_dir

_log = logging.getLogger(__name__)
OnBuildStep = Callable[[str, int, int], None]
"""Called as (what is done, steps so far, steps in all) while TensorRT works on a graph."""


class Network(NamedTuple):
    """A parsed network and what has to outlive it: the builder, the logger, and the parser, which owns the weights."""

    graph: str
    log: Log
    builder: trt.Builder
    definition: trt.INetworkDefinition
    parser: trt.OnnxParser


def build_engines(
    bundle: Bundle,
    out: str | os.PathLike[str],
    *,
    workspace: int | None = None,
    profiles: str = "",
    plugins: bool = True,
    report: OnBuildStep | None = None,
) -> EngineFolder:
    """Build an engine for each graph of a bundle into the folder `out`, which is replaced when all are built.

    `workspace`: bytes of GPU memory that a layer may use while it runs; None is TensorRT's own choice, all of it.
    `profiles`: see Profiles.of. `plugins`: whether our own kernels of attention and pooling take the place of
    TensorRT's, where it can launch them (docs/kernels.md). Raises InputError for arguments that can't be used,
    QuantizationError and GraphError for a graph that can't be built as it is, EngineError when CUDA or TensorRT fails.
    """
    ranges = Profiles.of(bundle.manifest, profiles)
    here = this_platform()
    timings = _Timings(here)
    options = _options(workspace, profiles, plugins)
    plugins = plugins and can_plug_in(here)
    plans: dict[str, PlanEntry] = {}
    with engine_writer(out) as writer:
        for file, entry in {graph.file: graph for graph in bundle.manifest.graphs.values()}.items():
            graph = Path(file).stem
            model, layers, plugged = prepare(bundle.read(file), graph, plugins)
            network = parse(model, graph)
            shapes = ranges.shapes(bundle.manifest, file)
            config = configure(network, shapes, workspace)
            timings.use(config)
            plan = serialize(network, config, report)
            timings.keep(config)
            name, digest = writer.add(graph, plan)
            plans[file] = PlanEntry(
                file=name, sha256=digest, bytes=len(plan), source_sha256=entry.sha256, shapes=shapes,
                layers=len(layers), int8_layers=sum(layer.kind == "int8" for layer in layers), plugins=plugged,
            )  # fmt: skip
        about = bundle.manifest
        return writer.finish(
            EnginesManifest(
                schema=1,
                bundle=f"{about.name} {about.version}",
                bundle_digest=bundle.digest,
                bundle_path=str(bundle.path.resolve()),
                options=options,
                platform=here,
                precision="f16",
                plans=plans,
            )
        )


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


def prepare(model: bytes, graph: str, plugins: bool = False) -> tuple[bytes, tuple[QdqLayer, ...], int]:
    """A graph of a bundle as TensorRT gets it, in fp16 and int8, its layers, and how many of its nodes are plugins.

    Raises QuantizationError and GraphError.
    """
    proto = onnx.load_from_string(model)
    layers = check_qdq(proto, graph)
    half = to_half(proto, layers, graph)
    whole, plugged = to_plugins(half) if plugins else (half, 0)
    return whole.SerializeToString(), layers, plugged


def parse(model: bytes, graph: str) -> Network:
    """A strongly typed network of a serialised ONNX model. Raises EngineError with what the parser says."""
    log = Log()
    builder = trt.Builder(log)
    definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(definition, log)
    if not parser.parse(model):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        said = "; ".join(f"{error.desc()} (node {error.node_name() or error.node()})" for error in errors)
        reason = " ".join(said.split()) or log.said()
        raise EngineError(f"{graph}: TensorRT {trt.__version__} can't parse it: {reason}")
    return Network(graph, log, builder, definition, parser)


def configure(network: Network, shapes: Shapes, workspace: int | None) -> trt.IBuilderConfig:
    """How to build: one optimisation profile, and the memory a layer may use, in bytes.

    Raises EngineError when an input of the network varies and `shapes` has none for it.
    """
    config = network.builder.create_builder_config()
    if workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    profile = network.builder.create_optimization_profile()
    inputs = [network.definition.get_input(i) for i in range(network.definition.num_inputs)]
    varying = [tensor for tensor in inputs if -1 in shape_of(tensor.shape)]
    for tensor in varying:
        if tensor.name not in shapes:
            raise EngineError(
                f"{network.graph}: input {tensor.name} varies, and the bundle's manifest has fixed sizes for it"
            )
        profile.set_shape(tensor.name, *(trt.Dims(list(shape)) for shape in shapes[tensor.name]))
    if varying:
        config.add_optimization_profile(profile)
    return config


def serialize(network: Network, config: trt.IBuilderConfig, report: OnBuildStep | None = None) -> bytes:
    """Build; seconds to minutes. Raises EngineError with what TensorRT says, and what `report` raises."""
    monitor = None
    if report is not None:
        monitor = _Monitor(network.graph, report)
        config.progress_monitor = monitor
    plan: Any = network.builder.build_serialized_network(network.definition, config)
    if monitor is not None and monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise EngineError(f"{network.graph}: TensorRT {trt.__version__} can't build it: {network.log.said()}")
    return bytes(plan)


class _Monitor(trt.IProgressMonitor):
    """Passes progress on. An exception (Ctrl-C) can't cross TensorRT: it stops the build and is raised after it."""

    def __init__(self, graph: str, report: OnBuildStep) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._graph, self._report = graph, report
        self._steps: dict[str, int] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: Any) -> None:
        self._steps[phase_name] = int(num_steps)

    def step_complete(self, phase_name: str, step: Any) -> bool:
        try:
            self._report(f"{self._graph}: {phase_name}", int(step) + 1, self._steps.get(phase_name, 1))
        except BaseException as error:
            self.error = error
        return self.error is None

    def phase_finish(self, phase_name: str) -> None:
        self._steps.pop(phase_name, None)


def _options(workspace: int | None, profiles: str, plugins: bool) -> tuple[str, ...]:
    """What `vljepa build` is given for these."""
    return (
        *(() if workspace is None else ("--workspace", str(max(workspace >> 20, 1)))),
        *(("--profiles", profiles) if profiles else ()),
        *(() if plugins else ("--no-plugins",)),
    )


class _Timings:
    """TensorRT's measurements of kernels, kept between builds on the same platform; they only make builds shorter, so
    nothing that befalls them ends one."""

    def __init__(self, platform: Platform) -> None:
        words = re.sub(r"\W+", "-", "-".join(map(str, platform.model_dump().values())))
        self._path = cache_dir() / "tensorrt" / f"{words}.timings"
        self._known = b""
        with suppress(OSError):  # the first build here, or a folder that `keep` warns of
            self._known = self._path.read_bytes()

    def use(self, config: trt.IBuilderConfig) -> None:
        """Start from what is known, or from nothing where TensorRT refuses that."""
        for known in (self._known, b""):
            cache: Any = config.create_timing_cache(known)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return

    def keep(self, config: trt.IBuilderConfig) -> None:
        """Store what is known now, in one step."""
        cache: Any = config.get_timing_cache()
        if cache is None:
            return
        self._known = bytes(cache.serialize())
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._path, self._known)
        except OSError as error:
            _log.warning("the next build is no shorter, as TensorRT's timings can't be kept: %s", error)
