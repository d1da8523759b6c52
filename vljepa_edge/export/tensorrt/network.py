"""One TensorRT network: parsed, configured and built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorrt as trt

from vljepa_edge.engines.tensorrt.engine import shape_of
from vljepa_edge.engines.tensorrt.log import Log
from vljepa_edge.errors import EngineError
from vljepa_edge.export.tensorrt.profiles import Shapes

OnBuildStep = Callable[[str, int, int], None]
"""Called as (what is done, steps so far, steps in all) while TensorRT works on a graph."""


class Network(NamedTuple):
    """A parsed network and what has to outlive it: the builder, the logger, and the parser, which owns the weights."""

    graph: str
    log: Log
    builder: trt.Builder
    definition: trt.INetworkDefinition
    parser: trt.OnnxParser


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
