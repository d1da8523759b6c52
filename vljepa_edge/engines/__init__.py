"""Engines run the graphs of a bundle. OpenVINO is the default; ONNX Runtime and PyTorch (the reference) are extras."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from vljepa_edge.engines.base import PRECISIONS, Engine, Graph, KeepingEngine, Precision
from vljepa_edge.engines.process_graph import ProcessGraph
from vljepa_edge.errors import BundleError, EngineError, InputError
from vljepa_edge.support.arguments import as_text, as_whole, shown
from vljepa_edge.support.install import install_extra, install_torch, pip_install

if TYPE_CHECKING:
    from vljepa_edge.bundle.store import Bundle

__all__ = ["Engine", "Graph", "Precision", "available", "compile_all", "import_engine", "open_engine", "verified"]

# name -> its module here, which has open_engine(threads, precision).
_MODULES = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "torch": "torch.engine",
    "tensorrt": "tensorrt.engine",
}
# name -> how to install it
_INSTALL: dict[str, Callable[[], str]] = {
    "openvino": partial(pip_install, "openvino"),
    "onnxruntime": partial(pip_install, "onnxruntime"),
    "torch": partial(install_torch, "onnx"),
    "tensorrt": partial(install_extra, "tensorrt"),
}


def open_engine(name: str = "openvino", *, threads: int | None = None, precision: Precision = "auto") -> Engine:
    """Open an engine on this machine: on its CPU or, for "tensorrt", its GPU.

    `name`: one of `available()`. TensorRT runs engines that were built on this machine: "tensorrt:FOLDER" names them,
    and "tensorrt" alone means those of the variable VLJEPA_ENGINES.
    `threads`: how many it may use; None is the engine's own choice, usually all cores.
    `precision`: of the arithmetic outside INT8 parts. "auto" is bf16 where the engine and the CPU have it, else f32.

    Raises InputError for values that no engine takes, EngineError where this machine lacks the engine or the precision.
    """
    kind, _, folder = as_text(name, "engine").partition(":")
    if kind not in _INSTALL:
        raise InputError(f"engine must be one of {', '.join(_INSTALL)}, got {shown(name)}")
    if ":" in name and (kind != "tensorrt" or not folder):
        raise InputError(f"only tensorrt takes a folder, as tensorrt:FOLDER, got engine {shown(name)}")
    if as_text(precision, "precision") not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {shown(precision)}")
    if threads is not None:
        threads = as_whole(threads, "threads", 1, 1024)
    module = import_engine(kind)
    engine: Engine = module.open_engine(threads, precision, *([folder] if folder else []))
    return engine


def import_engine(name: str) -> ModuleType:
    """The module of an engine. Raises EngineError, with what to install, where it can't be imported."""
    missing = _missing(name)
    if missing:
        raise EngineError(missing)
    return import_module(f"{__name__}.{_MODULES[name]}")


def available() -> dict[str, str | None]:
    """Every engine and, where it can't be used here, why not and what fixes that. Imports them all: a second or two."""
    return {name: _missing(name) for name in _INSTALL}


def verified(name: str) -> bool:
    """Whether this engine has ever run on a machine like this: x86. TensorRT has met stand-ins only."""
    return name != "tensorrt" and platform.machine().lower() in ("x86_64", "amd64")


def graph_name(file: str) -> str:
    """What a bundle's graph file is called by engines and in messages: its path below graphs/, with dots."""
    return file.removeprefix("graphs/").removesuffix(".onnx").replace("/", ".")


def compile_all(engine: Engine, bundle: Bundle, only: Collection[str] | None = None) -> dict[str, Graph]:
    """Every graph of a bundle by its role, or of those roles `only`. Each file is read and compiled once, several at
    a time.

    Raises EngineError when a graph can't be compiled, BundleError when its inputs or outputs are not the manifest's.
    """
    graphs = bundle.manifest.graphs
    roles = graphs if only is None else {role: graphs[role] for role in only}
    entries = {graph.file: graph for graph in roles.values()}
    first = roles["predictor"].file if "predictor" in roles else ""  # the most nodes, whatever its size
    files = sorted(entries, key=lambda file: (file != first, -entries[file].bytes))  # the slowest starts first

    def compile_file(file: str) -> Graph:
        name = graph_name(file)
        if isinstance(engine, KeepingEngine):
            return ProcessGraph(engine.compile_known(bundle.view(file), entries[file].sha256, name))
        return ProcessGraph(engine.compile(bundle.read(file), name))

    with ThreadPoolExecutor(min(len(files), os.cpu_count() or 1), thread_name_prefix="compile") as pool:
        compiled = dict(zip(files, pool.map(compile_file, files), strict=True))
    for role, entry in roles.items():
        graph = compiled[entry.file]
        given, taken = {tensor.name for tensor in entry.inputs}, set(graph.inputs)
        absent = {tensor.name for tensor in entry.outputs} - set(graph.outputs)
        if given != taken or absent:
            raise BundleError(
                entry.file,
                f"does not fit its manifest as {role}: it takes {', '.join(graph.inputs)} and gives "
                f"{', '.join(graph.outputs)}; write the bundle again with the graph's own names",
            )
    return {role: compiled[entry.file] for role, entry in roles.items()}


def _missing(name: str) -> str | None:
    try:
        import_module(f"{__name__}.{_MODULES[name]}")
    except Exception as error:  # a shared library that does not load, or whatever a broken package raises
        return f"engine {name} can't be used: {error}; to fix it, run: {_INSTALL[name]()}"
    return None
