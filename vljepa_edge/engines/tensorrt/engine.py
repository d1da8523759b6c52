"""TensorRT on an NVIDIA GPU: runs the engines that `vljepa build` made on this machine.

One CUDA stream for all graphs of a model, so one call runs at a time. Each graph keeps its buffers on the device and in
pinned memory at their largest size. A shape that soon comes a second time is recorded, copies and kernels, as a CUDA
graph that later calls launch; where inputs vary, it gets an execution context of its own for that. From the third time
on, all that a call allocates is its outputs on the host: copies to keep, as the next call overwrites the buffers.

NOT VERIFIED ON HARDWARE: this has run against stand-ins for TensorRT and CUDA only.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorrt as trt
from numpy.typing import NDArray

from vljepa_edge.bundle.onnx_bytes import declared_inputs
from vljepa_edge.engines.base import Port, Precision, check_inputs, failed, refused
from vljepa_edge.engines.tensorrt.cuda_runtime import Buffer, CudaStream, Memory, Recording, gpu
from vljepa_edge.engines.tensorrt.log import Log
from vljepa_edge.engines.tensorrt.store import EngineFolder, Platform, rebuild
from vljepa_edge.errors import EngineError

FOLDER = "VLJEPA_ENGINES"
_RECORDED = 16  # shapes of a graph: contexts and CUDA graphs of hundreds would fill a small device
_TYPES: dict[str, type[np.generic]] = {"FLOAT": np.float32, "UINT8": np.uint8, "INT64": np.int64}
_log = logging.getLogger(__name__)
Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
_T = TypeVar("_T")


class _Tensor(NamedTuple):
    """An input or output of an engine, and a buffer for its largest shape."""

    name: str
    dtype: np.dtype[Any]
    buffer: Buffer

    def view(self, shape: Shape) -> NDArray[Any]:
        return self.buffer.view(shape, self.dtype)


class _Recorded(NamedTuple):
    """A complete call with inputs of one shape; the recording refers to what the context holds."""

    recording: Recording
    outputs: Shapes
    context: trt.IExecutionContext


class Device(NamedTuple):
    """What all graphs of an engine share."""

    log: Log
    runtime: trt.Runtime
    stream: CudaStream
    lock: Lock

    @classmethod
    def open(cls) -> Device:
        """Raises EngineError where CUDA fails."""
        log = Log()
        return cls(log, trt.Runtime(log), CudaStream(), Lock())

    def load(self, plan: bytes, model: bytes, name: str) -> TensorRtGraph:
        """The plan that was built from `model`, ready to run. Raises EngineError when it can't be loaded."""
        with self.lock:
            try:
                engine = self.log.given(self.runtime.deserialize_cuda_engine(plan))
                return TensorRtGraph(engine, name, declared_inputs(model), self)
            except EngineError as error:
                raise refused(name, "TensorRT", error) from error


class TensorRtGraph:
    """See engines.base.Graph."""

    def __init__(
        self, engine: trt.ICudaEngine, name: str, declared: Mapping[str, tuple[str | None, ...]], device: Device
    ) -> None:
        self._name, self._engine, self._device = name, engine, device
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        given = [tensor for tensor in names if engine.get_tensor_mode(tensor) == trt.TensorIOMode.INPUT]
        self.inputs = tuple(declared)
        self.outputs = tuple(tensor for tensor in names if tensor not in given)
        self._unused = frozenset(declared) - set(given)  # an engine drops what no node uses; callers may still give it
        self._ports = [_port(engine, tensor, declared) for tensor in given]
        self._sizes = [_sizes(engine, tensor) for tensor in given]
        longest = _longest_range(self._sizes)
        # A Y-decoder, which alone takes `ids`, is given every length in turn.
        self._most = longest if "ids" in given else min(longest, _RECORDED)
        self._scratch = Memory(engine.device_memory_size_v2)
        self._context = self._create_context()
        largest = tuple(most for _, most in self._sizes)
        self._in = [_tensor(engine, tensor, shape) for tensor, shape in zip(given, largest, strict=True)]
        results = self._set_shapes(self._context, largest)
        self._out = [_tensor(engine, tensor, shape) for tensor, shape in zip(self.outputs, results, strict=True)]
        self._bind(self._context)
        self._recorded: OrderedDict[Shapes, _Recorded] = OrderedDict()
        self._once: OrderedDict[Shapes, None] = OrderedDict()  # the latest of those that came once
        self._records = True

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        arrays = check_inputs(self._name, self._ports, inputs, self._unused)
        shapes = tuple(array.shape for array in arrays)
        self._check_sizes(shapes)
        with self._device.lock:
            try:
                for tensor, array in zip(self._in, arrays, strict=True):
                    np.copyto(tensor.view(array.shape), array)
                results = self._run(shapes)
                return {t.name: t.view(shape).copy() for t, shape in zip(self._out, results, strict=True)}
            except EngineError as error:
                raise failed(self._name, "TensorRT", error, self._ports, arrays) from error

    def _run(self, shapes: Shapes) -> Shapes:
        """Copy in, compute, copy out, wait; returns the shapes of the outputs."""
        known = self._recorded.get(shapes)
        if known is not None:
            self._recorded.move_to_end(shapes)
            self._device.stream.launch(known.recording)
            self._device.stream.wait()
            return known.outputs
        context = self._context
        again = self._records and shapes in self._once
        if again and self._most > 1:  # one that is recorded is given no other shape
            try:
                context = self._create_context()
                self._bind(context)
            except EngineError as error:  # for want of memory
                again, context = False, self._context
                self._record_no_more(error)
        results = self._set_shapes(context, shapes)
        self._queue(context, shapes, results)  # TensorRT wants one run of a new shape before it is recorded
        self._device.stream.wait()
        recorded = self._record(context, shapes, results) if again else None
        if recorded is not None:
            del self._once[shapes]
            _keep(self._recorded, shapes, recorded, self._most)
        else:
            _keep(self._once, shapes, None, self._most)
        return results

    def _record(self, context: trt.IExecutionContext, shapes: Shapes, results: Shapes) -> _Recorded | None:
        """Record a call that just ran. An engine that can't be recorded goes on without."""
        stream = self._device.stream
        try:
            stream.begin_recording()
            self._queue(context, shapes, results)
            return _Recorded(stream.end_recording(), results, context)
        except BaseException as error:
            stream.abandon_recording()
            if not isinstance(error, EngineError):  # Ctrl-C
                raise
            self._record_no_more(error)
            return None

    def _record_no_more(self, error: EngineError) -> None:
        self._records = False
        _log.warning("%s: new shapes run without a CUDA graph: %s", self._name, error)

    def _queue(self, context: trt.IExecutionContext, shapes: Shapes, results: Shapes) -> None:
        stream = self._device.stream
        for tensor, shape in zip(self._in, shapes, strict=True):
            tensor.buffer.upload(_bytes(shape, tensor.dtype), stream)
        self._device.log.done(context.execute_async_v3(int(stream.handle)))
        for tensor, shape in zip(self._out, results, strict=True):
            tensor.buffer.download(_bytes(shape, tensor.dtype), stream)

    def _create_context(self) -> trt.IExecutionContext:
        """A context in the scratch memory that all contexts of this graph use, one after another."""
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._device.log.given(self._engine.create_execution_context(strategy))
        context.set_device_memory(self._scratch.address, self._scratch.size)
        return context

    def _bind(self, context: trt.IExecutionContext) -> None:
        for tensor in (*self._in, *self._out):
            self._device.log.done(context.set_tensor_address(tensor.name, tensor.buffer.device))

    def _set_shapes(self, context: trt.IExecutionContext, shapes: Shapes) -> Shapes:
        """Tell a context the shapes of the inputs; returns those of the outputs."""
        for port, shape in zip(self._ports, shapes, strict=True):
            self._device.log.done(context.set_input_shape(port.name, shape))
        results = tuple(shape_of(context.get_tensor_shape(name)) for name in self.outputs)
        for name, shape in zip(self.outputs, results, strict=True):
            if min(shape, default=0) < 0:
                raise EngineError(f"output {name} has a shape that depends on values: {list(shape)}")
        return results

    def _check_sizes(self, shapes: Shapes) -> None:
        for port, shape, (least, most) in zip(self._ports, shapes, self._sizes, strict=True):
            if any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
                raise EngineError(
                    f"{self._name}: input {port.name} is {port.dtype} {list(shape)}; the engine was built for "
                    f"{list(least)} to {list(most)}: build it with other --profiles"
                )


class TensorRtEngine:
    """See engines.base.Engine."""

    name = "tensorrt"
    precision: Precision = "f16"

    def __init__(self, folder: EngineFolder, here: Platform) -> None:
        self._folder, self._here = folder, here
        self._device = Device.open()

    def compile(self, model: bytes, name: str) -> TensorRtGraph:
        """Load the engine that was built from `model`. Raises EngineError when there is none, or it can't be loaded."""
        return self._device.load(self._folder.plan(model, name, self._here), model, name)


def open_engine(threads: int | None, precision: Precision, folder: str | None = None) -> TensorRtEngine:
    """See engines.open_engine. `folder` holds engines that were built here; None is what VLJEPA_ENGINES says."""
    if threads is not None:
        raise EngineError("tensorrt: runs on the GPU and takes no threads; leave them out")
    if precision not in ("auto", "f16"):
        raise EngineError(f"tensorrt: precision must be auto or f16, for which engines are built, got {precision}")
    folder = folder or os.environ.get(FOLDER)
    if not folder:
        raise EngineError(
            f"tensorrt: needs engines that were built on this machine: name their folder as tensorrt:FOLDER or in "
            f"{FOLDER}; to fix it, run: {rebuild('FOLDER')}"
        )
    return TensorRtEngine(EngineFolder.open(folder), this_platform())


def this_platform() -> Platform:
    """The GPU and the TensorRT of this machine. Raises EngineError where there is no GPU."""
    device = gpu()
    return Platform(**device._asdict(), tensorrt=trt.__version__)


def shape_of(dims: trt.Dims) -> Shape:
    """TensorRT's shape as a tuple; -1 is a size that varies."""
    return tuple(int(dims[i]) for i in range(len(dims)))


def _port(engine: trt.ICudaEngine, name: str, declared: Mapping[str, tuple[str | None, ...]]) -> Port:
    shape = shape_of(engine.get_tensor_shape(name))
    symbols = declared.get(name) or (None,) * len(shape)
    sizes = tuple(symbol if size < 0 else size for size, symbol in zip(shape, symbols, strict=True))
    return Port(name, sizes, _dtype(engine, name))


def _sizes(engine: trt.ICudaEngine, name: str) -> tuple[Shape, Shape]:
    """The least and the largest shape of an input."""
    fixed = shape_of(engine.get_tensor_shape(name))
    if min(fixed, default=0) >= 0:
        return fixed, fixed
    least, _, most = engine.get_tensor_profile_shape(name, 0)
    return shape_of(least), shape_of(most)


def _longest_range(sizes: Sequence[tuple[Shape, Shape]]) -> int:
    """How many sizes the axis that varies most can have: one for a frame, all lengths for a text."""
    return max((high - low + 1 for shapes in sizes for low, high in zip(*shapes, strict=True)), default=1)


def _keep(kept: OrderedDict[Shapes, _T], shapes: Shapes, value: _T, most: int) -> None:
    """As the latest; beyond `most`, the one that is unused for longest goes."""
    kept[shapes] = value
    kept.move_to_end(shapes)
    if len(kept) > most:
        kept.popitem(last=False)


def _tensor(engine: trt.ICudaEngine, name: str, largest: Shape) -> _Tensor:
    dtype = _dtype(engine, name)
    return _Tensor(name, dtype, Buffer(_bytes(largest, dtype)))


def _dtype(engine: trt.ICudaEngine, name: str) -> np.dtype[Any]:
    kind = engine.get_tensor_dtype(name).name
    if kind not in _TYPES:
        raise EngineError(f"the type of {name} must be one of {', '.join(_TYPES)}, got {kind}")
    return np.dtype(_TYPES[kind])


def _bytes(shape: Shape, dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
