"""OpenVINO on the CPU, x86 and Arm: the default engine.

One stream, tuned for latency: a graph runs one call at a time on all its threads. Several calls at once run on graphs
that are made for them (openvino_many.py, openvino_rows.py).

OpenVINO's telemetry is not imported: see support/quiet_openvino.py.

Compiled graphs are kept (engines/compiled_cache.py). OpenVINO's own CACHE_DIR would do less: it parses each ONNX file
to find what it compiled, believes what it finds there, and is never tidied.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.onnx_bytes import declared_inputs
from vljepa_edge.engines.base import Port, Precision, check_inputs, failed, refused
from vljepa_edge.engines.compiled_cache import CompiledCache, compiled_root
from vljepa_edge.engines.openvino_many import Call, Check, Found, Later, ManyCalls, Part
from vljepa_edge.engines.openvino_rows import cut, with_rows
from vljepa_edge.errors import EngineError
from vljepa_edge.support.quiet_openvino import openvino as ov
from vljepa_edge.support.quiet_openvino import shared_core

_RECIPE = 1  # counts changes of how graphs for several calls are made
_SINK = "/sink_port_0"  # the ONNX frontend calls the node of output `x` `x/sink_port_0`


class OpenVinoGraph:
    """See engines.base.Graph."""

    def __init__(
        self,
        compiled: Any,
        name: str,
        outputs: tuple[str, ...],
        declared: Mapping[str, tuple[str | None, ...]],
        held: object = None,
    ) -> None:
        """held: what `compiled` points into, to live as long as this."""
        self._name = name
        self._held = held
        self.ports = [_port(item, declared) for item in compiled.inputs]
        self.many: ManyCalls | None = None
        self.inputs = tuple(declared)
        self.outputs = outputs
        # OpenVINO drops inputs that no node uses; other engines want them, so callers give them.
        self._unused = frozenset(declared) - {port.name for port in self.ports}
        self._request = compiled.create_infer_request()
        self._lock = Lock()  # there is one stream, so a second request would only wait inside OpenVINO
        self._usable = True

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        arrays = check_inputs(self._name, self.ports, inputs, self._unused)
        with self._lock:
            if not self._usable:
                raise EngineError(f"{self._name}: an earlier failure left it unusable; load the model again")
            try:
                return self._infer(arrays)
            except RuntimeError as error:
                self._recover()
                raise failed(self._name, "OpenVINO", error, self.ports, arrays) from error

    def run_many(self, calls: Sequence[Call], once: Collection[str] = ()) -> list[Found]:
        """See engines.base.RowsGraph."""
        return [self(call) for call in calls] if self.many is None else self.many(calls, once)

    def _infer(self, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        for index, array in enumerate(arrays):
            writable = array if array.flags.writeable else array.copy()  # ov.Tensor won't share a read-only array
            self._request.set_input_tensor(index, ov.Tensor(writable, shared_memory=True))
        self._request.infer()
        return {name: self._request.get_output_tensor(i).data.copy() for i, name in enumerate(self.outputs)}

    def _recover(self) -> None:
        """A run that fails half way leaves shapes behind, and later runs of the same shapes trust them.

        Runs of two other sizes make every node look at its shapes again. Where even those fail, so must later calls.
        """
        try:
            for size in (1, 2):
                shapes = [[n if isinstance(n, int) else size for n in port.shape] for port in self.ports]
                self._infer([np.zeros(s, port.dtype) for s, port in zip(shapes, self.ports, strict=True)])
        except RuntimeError:
            self._usable = False


class OpenVinoEngine:
    """See engines.base.Engine."""

    name = "openvino"

    def __init__(self, core: Any, threads: int | None, precision: Precision, cache: CompiledCache | None) -> None:
        self.precision = precision
        self._core = core
        self._cache = cache
        self._later = Later()
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": precision,
            # Pinned threads of several graphs, or processes, would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            self._config["INFERENCE_NUM_THREADS"] = threads

    def compile(self, model: bytes, name: str) -> OpenVinoGraph:
        """See engines.base.Engine."""
        try:
            return self._open(model, name, None)
        except (RuntimeError, ValueError) as error:
            raise refused(name, "OpenVINO", error) from error

    def compile_known(self, model: memoryview, digest: str, name: str) -> OpenVinoGraph:
        """See engines.base.KeepingEngine."""
        try:
            return self._open(model, name, digest)
        except (RuntimeError, ValueError) as error:
            raise refused(name, "OpenVINO", error) from error

    def settle(self) -> None:
        """Wait until the graphs for several calls that were wanted so far are made."""
        self._later.wait()

    def _open(self, model: bytes | memoryview, name: str, digest: str | None) -> OpenVinoGraph:
        declared = declared_inputs(model)

        def make(part: Part, rows: int, late: Collection[str], check: Check) -> OpenVinoGraph:
            def build() -> Any:
                network = self._core.read_model(bytes(model), b"")
                chosen = network if part == "all" else getattr(cut(network, late), part)
                return with_rows(chosen, rows)

            taken = declared
            if part == "early":
                taken = {port: symbols for port, symbols in declared.items() if port not in late}
            elif part == "late":
                taken = {port: symbols for port, symbols in declared.items() if port in late}
            about = [digest, self._config, part, rows, sorted(late), _RECIPE]
            return self._graph(None if digest is None else about, f"{name}, {rows} at once", taken, build, check)

        about = None if digest is None else [digest, self._config]
        graph = self._graph(about, name, declared, lambda: self._core.read_model(bytes(model), b""), None)
        graph.many = ManyCalls(graph, make, self._later)
        return graph

    def _graph(
        self,
        about: list[Any] | None,
        name: str,
        declared: Mapping[str, tuple[str | None, ...]],
        build: Callable[[], Any],
        check: Check | None,
    ) -> OpenVinoGraph:
        """The graph that was compiled before, or else compiled now, checked, and kept where there is something to tell
        it by: `about`."""
        key = None if about is None else hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        kept = None if key is None else self._import(key, name, declared)
        if kept is not None:
            return kept
        network = build()
        compiled = self._compile(network)
        outputs = tuple(item.node.friendly_name.removesuffix(_SINK) for item in network.outputs)
        graph = OpenVinoGraph(compiled, name, outputs, declared)
        if check is not None and not check(graph):
            raise ValueError("it computes something else")
        if self._cache is not None and key is not None:
            self._cache.put(key, _exported(compiled), {"outputs": outputs})
        return graph

    def _compile(self, network: Any) -> Any:
        return self._core.compile_model(network, "CPU", self._config)

    def _import(self, key: str, name: str, declared: Mapping[str, tuple[str | None, ...]]) -> OpenVinoGraph | None:
        """A graph that was compiled before; None where there is none that can be used."""
        kept = None if self._cache is None else self._cache.get(key)
        if kept is None:
            return None
        tensor = ov.Tensor(np.frombuffer(kept.data, np.uint8), shared_memory=True)
        try:
            compiled = self._core.import_model(tensor, "CPU", self._config)
        except RuntimeError:
            assert self._cache is not None
            self._cache.drop(key)
            return None
        return OpenVinoGraph(compiled, name, tuple(kept.notes["outputs"]), declared, held=tensor)


def open_engine(threads: int | None, precision: Precision) -> OpenVinoEngine:
    """See engines.open_engine."""
    core = shared_core()
    _set_up_types()
    native = {"f32"}
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    native |= {ours for ours, theirs in (("bf16", "BF16"), ("f16", "FP16")) if theirs in capabilities}
    if precision == "auto":
        precision = "bf16" if "bf16" in native else "f32"
    if precision not in native:
        allowed = ", ".join(["auto", *sorted(native)])
        raise EngineError(f"openvino: this CPU has no {precision} arithmetic; precision must be one of {allowed}")
    root = compiled_root()
    cache = None if root is None else CompiledCache(root, _place(core, capabilities))
    return OpenVinoEngine(core, threads, precision, cache)


def _place(core: Any, capabilities: list[str]) -> str:
    """A name that differs where one machine's OpenVINO could not use what another's has compiled."""
    about = [platform.machine(), core.get_property("CPU", "FULL_DEVICE_NAME"), sorted(capabilities), _cpu_features()]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    version = re.sub(r"[^\w.]+", "-", ov.__version__)
    return f"openvino-{version}-{digest[:16]}"


def _cpu_features() -> list[str]:
    """What the kernel says that the first processor can do. Empty where there is no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return sorted(next(found, []))


def _exported(compiled: Any) -> bytes:
    """A compiled graph as bytes."""
    stream = compiled.export_model()
    return stream.getvalue() if isinstance(stream, BytesIO) else bytes(stream)


def _set_up_types() -> None:
    """Make OpenVINO build its tables of element types, while there is one thread.

    It does so on first use, under a lock of C++ that is held while the GIL is waited for: two threads that compile, or
    make tensors, as the first thing they do may wait for each other for ever.
    """
    ov.Type.f32.to_dtype()
    _ = ov.Tensor(np.zeros(1, np.float32), shared_memory=True).data


def _port(item: Any, declared: Mapping[str, tuple[str | None, ...]]) -> Port:
    name = item.node.friendly_name
    sizes = [size.get_length() if size.is_static else None for size in item.partial_shape]
    symbols = declared.get(name) or (None,) * len(sizes)
    shape = tuple(symbol if size is None else size for size, symbol in zip(sizes, symbols, strict=True))
    return Port(name, shape, np.dtype(item.element_type.to_dtype()))
