"""A stand-in for tensorrt that keeps its rules and computes with ONNX Runtime.

A "plan" is the ONNX model with its profile. It refuses what TensorRT refuses: shapes outside the profile, an execution
without addresses or scratch memory, and a recording of a shape that has not run in that context yet.
"""

from __future__ import annotations

import ctypes
import json
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from tests.engines.fake_cuda import FakeCuda

_MAGIC = b"FAKE PLAN"


class _Enum:
    def __init__(self, *names: str) -> None:
        for value, name in enumerate(names):
            setattr(self, name, _Member(name, value))


class _Member(int):
    name: str

    def __new__(cls, name: str, value: int) -> _Member:
        member = super().__new__(cls, value)
        member.name = name
        return member


class FakeTensorRt(ModuleType):
    """`tensorrt`. `fail` names methods that fail. `strongly_typed`: engines compute in the types of their graphs, by
    ONNX's slow reference; ONNX Runtime has fp32 in place of fp16, where nothing overflows."""

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0") -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        self.cuda = cuda
        self.fail: set[str] = set()
        self.contexts = 0
        self.timings: list[bytes] = []
        self.refused_timings: set[bytes] = set()
        self.workspaces: list[int] = []
        self.strongly_typed = False
        self.NetworkDefinitionCreationFlag = _Enum("EXPLICIT_BATCH", "STRONGLY_TYPED")
        self.MemoryPoolType = _Enum("WORKSPACE")
        self.TensorIOMode = _Enum("NONE", "INPUT", "OUTPUT")
        self.DataType = _Enum("FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8", "INT64")
        self.ExecutionContextAllocationStrategy = _Enum("STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED")
        self.Dims = tuple
        self.ILogger = _Logger
        self.IProgressMonitor = _Monitor
        self.Builder = lambda log: _Builder(self, log)
        self.OnnxParser = _Parser
        self.Runtime = lambda log: _Runtime(self, log)

    def fails(self, method: str, log: Any) -> bool:
        """Whether a method is to fail; it says so as TensorRT does."""
        if method in self.fail:
            log.log(_Logger.Severity.ERROR, f"[{method}] Error Code 4: no luck\n(today)")
        return method in self.fail


class _Logger:
    Severity = _Enum("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class _Monitor:
    pass


class _Value:
    def __init__(self, info: onnx.ValueInfoProto) -> None:
        self.name = info.name
        dims = info.type.tensor_type.shape.dim
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
        self.kind = info.type.tensor_type.elem_type


class _Network:
    def __init__(self) -> None:
        self.model: onnx.ModelProto | None = None

    @property
    def inputs(self) -> list[_Value]:
        assert self.model is not None
        return [_Value(info) for info in self.model.graph.input]

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> _Value:
        return self.inputs[index]


class _ParserError:
    def desc(self) -> str:
        return "no such thing"

    def node_name(self) -> str:
        return "node_7"


class _Parser:
    def __init__(self, network: _Network, log: Any) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        proto = onnx.load_from_string(model)
        if any(node.op_type == "Unsupported" for node in proto.graph.node):
            self.num_errors = 1
            return False
        self._network.model = proto
        return True

    def get_error(self, index: int) -> _ParserError:
        return _ParserError()


class _Profile(dict[str, Any]):
    def set_shape(self, name: str, least: Any, typical: Any, largest: Any) -> None:
        self[name] = [list(least), list(typical), list(largest)]


class _Cache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data + b"+"


class _Config:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self.profile: _Profile | None = None
        self.progress_monitor: Any = None
        self._cache: _Cache | None = None

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self._trt.workspaces.append(size)

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profile = profile
        return 0

    def create_timing_cache(self, data: bytes) -> _Cache:
        self._trt.timings.append(bytes(data))
        return _Cache(bytes(data))

    def set_timing_cache(self, cache: _Cache, ignore_mismatch: bool) -> bool:
        if cache.data in self._trt.refused_timings:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> _Cache | None:
        return self._cache


class _Builder:
    def __init__(self, trt: FakeTensorRt, log: Any) -> None:
        self._trt, self._log = trt, log

    def create_network(self, flags: int) -> _Network:
        assert flags == 1 << 1, "strongly typed"
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config(self._trt)

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building", None, 2)
            for step in range(2):
                if not monitor.step_complete("Building", step):
                    return None
            monitor.phase_finish("Building")
        varying = [value.name for value in network.inputs if -1 in value.shape]
        assert not varying or set(varying) <= set(config.profile or {}), "a profile for each input that varies"
        if self._trt.fails("build_serialized_network", self._log):
            return None
        assert network.model is not None
        head = json.dumps(config.profile or {}).encode()
        return b"".join((_MAGIC, len(head).to_bytes(4, "big"), head, network.model.SerializeToString()))


class _Runtime:
    def __init__(self, trt: FakeTensorRt, log: Any) -> None:
        self._trt, self._log = trt, log

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        if not plan.startswith(_MAGIC) or self._trt.fails("deserialize_cuda_engine", self._log):
            return None
        start = len(_MAGIC) + 4
        size = int.from_bytes(plan[start - 4 : start], "big")
        return _Engine(self._trt, self._log, json.loads(plan[start : start + size]), plan[start + size :])


class _Engine:
    device_memory_size_v2 = 4096

    def __init__(self, trt: FakeTensorRt, log: Any, profile: dict[str, Any], model: bytes) -> None:
        self.trt, self.log, self.profile = trt, log, profile
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.reference = ReferenceEvaluator(model) if trt.strongly_typed else None
        graph = onnx.load_from_string(model).graph
        read = {name for node in graph.node for name in node.input}
        self.inputs = {v.name: v for v in map(_Value, graph.input) if v.name in read}
        self.outputs = {v.name: v for v in map(_Value, graph.output)}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> int:
        return self.trt.TensorIOMode.INPUT if name in self.inputs else self.trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.inputs | self.outputs)[name].shape

    def get_tensor_dtype(self, name: str) -> _Member:
        kinds = {onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.UINT8: "UINT8", onnx.TensorProto.INT64: "INT64"}
        return getattr(self.trt.DataType, kinds.get((self.inputs | self.outputs)[name].kind, "BOOL"))

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
        assert profile_index == 0
        return self.profile[name]

    def create_execution_context(self, strategy: _Member) -> _Context | None:
        assert strategy.name == "USER_MANAGED"
        if self.trt.fails("create_execution_context", self.log):
            return None
        self.trt.contexts += 1
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {
            v.name: v.shape for v in engine.inputs.values() if -1 not in v.shape
        }
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self._ran: dict[str, tuple[int, ...]] | None = None

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size == self._engine.device_memory_size_v2 and memory in self._engine.trt.cuda.live
        self._scratch = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return not self._engine.trt.fails("set_tensor_address", self._engine.log)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, largest = self._engine.profile.get(name, [self._engine.inputs[name].shape] * 3)
        inside = all(low <= size <= high for low, size, high in zip(least, shape, largest, strict=True))
        if inside:
            self._shapes[name] = tuple(shape)
        return inside and not self._engine.trt.fails("set_input_shape", self._engine.log)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if "get_tensor_shape" in self._engine.trt.fail:
            return tuple(-1 for _ in self._engine.outputs[name].shape)
        session = self._engine.session
        sizes = {
            symbol: size
            for item in session.get_inputs()
            for symbol, size in zip(item.shape, self._shapes.get(item.name, ()), strict=False)
            if isinstance(symbol, str)
        }
        shape = session.get_outputs()[list(self._engine.outputs).index(name)].shape
        if any(isinstance(size, str) and size not in sizes for size in shape):  # computed, as a cache's new length is
            answer: tuple[int, ...] = session.run([name], self._zeros())[0].shape
            return answer
        return tuple(sizes[size] if isinstance(size, str) else size for size in shape)

    def _zeros(self) -> dict[str, np.ndarray[Any, Any]]:
        """For every input of the graph, also those that the engine dropped."""
        return {
            item.name: np.zeros(
                self._shapes.get(item.name, [1 if isinstance(s, str) else s for s in item.shape]), _numpy(item.type)
            )
            for item in self._engine.session.get_inputs()
        }

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda = self._engine, self._engine.trt.cuda
        names = [*engine.inputs, *engine.outputs]
        ready = self._scratch in cuda.live and all(self._addresses.get(name) in cuda.live for name in names)
        if not ready or engine.trt.fails("execute_async_v3", engine.log):
            return False
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        results = {name: self.get_tensor_shape(name) for name in engine.outputs}
        if cuda.recorded is not None and (self._ran != shapes or "capture" in engine.trt.fail):
            cuda.capture_broken = True
            return True

        def run() -> None:
            assert self._shapes == shapes, "a recording's context was given another shape"
            given = self._zeros()
            for name, shape in shapes.items():
                given[name] = _at(addresses[name], shape, given[name].dtype).copy()
            found = (engine.reference or engine.session).run(list(results), given)
            for (name, shape), array in zip(results.items(), found, strict=True):
                assert array.shape == shape
                np.copyto(_at(addresses[name], shape, array.dtype), array)

        cuda.add(run)
        self._ran = shapes
        return True


def _numpy(kind: str) -> np.dtype[Any]:
    return np.dtype({"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}[kind])


def _at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8).view(dtype).reshape(shape)
