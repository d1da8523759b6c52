"""Plays TensorRT's part around `tensorrt.plugin`: run with NVIDIA's bindings, prints what TensorRT would be given.

NVIDIA's Python layer between TensorRT and a plugin is the real one; it is driven as TensorRT drives it while it parses
and builds. What has no constructor in Python or lives in TensorRT's libraries is a stand-in: the registry, expressions
of dimensions (which remember how to compute their value from the sizes of a run), and the CUDA runtime's description
of the GPU.

    python tests/engines/plugin_host.py sm_87 12060 < requests.json > answers.json

A request has a plugin's name, attributes, and its inputs as [type, shape], sizes that vary as names; and `runs`, in
each of which the names have values.
"""

import json
import sys
from operator import add, eq, floordiv, lt, mul, sub
from types import ModuleType, SimpleNamespace
from typing import Any

import tensorrt_bindings as trt

from tests.engines.fake_cuda import FakeCuda

OPERATIONS: dict[str, Any] = {
    "SUM": add, "PROD": mul, "MAX": max, "MIN": min, "SUB": sub, "EQUAL": eq, "LESS": lt, "FLOOR_DIV": floordiv,
    "CEIL_DIV": lambda a, b: -(-a // b),
}  # fmt: skip


class Expression:
    """trt.IDimensionExpr."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def at(self, run: dict[str, int]) -> int:
        if isinstance(self.value, tuple):
            kind, first, second = self.value
            return int(OPERATIONS[kind](first.at(run), second.at(run)))
        return run[self.value] if isinstance(self.value, str) else int(self.value)

    def is_constant(self) -> bool:
        return isinstance(self.value, int)

    def get_constant_value(self) -> int:
        assert self.is_constant(), "TensorRT knows no value of a size that varies"
        return int(self.value)


class Expressions:
    """trt.IExprBuilder; it folds constants, as TensorRT does."""

    constant = Expression

    def operation(self, kind: Any, first: Expression, second: Expression) -> Expression:
        made = Expression((kind.name, first, second))
        return Expression(made.at({})) if first.is_constant() and second.is_constant() else made


class Registry:
    """trt.IPluginRegistry."""

    def __init__(self) -> None:
        self.creators: dict[tuple[str, str, str], Any] = {}

    def register_creator(self, creator: Any, namespace: str) -> bool:
        self.creators[creator.name, creator.plugin_version, namespace] = creator
        return True

    def get_creator(self, name: str, version: str, namespace: str) -> Any:
        return self.creators[name, version, namespace]


class Symbol:
    """trt.ISymExpr."""


REGISTRY = Registry()


def install(arch: int, driver: int) -> None:
    """The stand-ins, the driver's version as 12060, where `tensorrt_plugin` and NVIDIA's layer look for them."""
    sys.modules["tensorrt"] = trt
    trt.get_plugin_registry = lambda: REGISTRY
    trt.IDimensionExpr, trt.DimsExprs, trt.ISymExpr = Expression, lambda size: [None] * size, Symbol
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = FakeCuda(major=arch // 10, minor=arch % 10)  # type: ignore[attr-defined]
    bindings.runtime.driver = driver
    sys.modules.update({"cuda": ModuleType("cuda"), "cuda.bindings": bindings})


def described(kind: str, shape: list[int | str]) -> Any:
    made = trt.DynamicPluginTensorDesc()
    made.desc.dims = tuple(-1 if isinstance(size, str) else size for size in shape)
    made.desc.type, made.desc.format = getattr(trt, kind), trt.TensorFormat.LINEAR
    return made


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """As TensorRT asks, in order: types, shapes, combinations and tactics, then code and launch for each tactic."""
    texts = request["attributes"].items()
    fields = [trt.PluginField(name, text.encode(), trt.PluginFieldType.CHAR) for name, text in texts]
    creator = REGISTRY.get_creator(request["plugin"], "1", "vljepa")
    plugin = creator.create_plugin(
        request["plugin"], "vljepa", trt.PluginFieldCollection(fields), trt.TensorRTPhase.BUILD,
        trt.QuickPluginCreationRequest.UNKNOWN,
    )  # fmt: skip
    types = [getattr(trt, kind) for kind, _ in request["inputs"]]
    sizes = [[Expression(size) for size in shape] for _, shape in request["inputs"]]
    (out_type,) = plugin.get_output_data_types(types, [len(shape) for shape in sizes])
    (out_shape,) = plugin.get_output_shapes(sizes, [], Expressions())
    constants = [size.value if size.is_constant() else "varies" for size in out_shape]
    names = {trt.float16: "float16", trt.float32: "float32"}
    in_out = [described(*tensor) for tensor in [*request["inputs"], (names[out_type], constants)]]
    combinations = plugin.get_supported_format_combinations(in_out, len(types))
    plugin.configure_plugin(in_out[: len(types)], in_out[len(types) :])
    tactics = sorted(plugin.get_valid_tactics()) or [0]
    return {
        "type": names[out_type],
        "shapes": [[size.at(run) for size in out_shape] for run in request["runs"]],
        "combinations": [[c.type.name, c.format.name] for c in combinations],
        "tactics": {tactic: launched(plugin, tactic, in_out, len(types), sizes, request["runs"]) for tactic in tactics},
    }


def launched(
    plugin: Any, tactic: int, in_out: list[Any], inputs: int, sizes: list[Any], runs: list[dict[str, int]]
) -> dict[str, Any]:
    plugin.set_tactic(tactic)
    launch, integers = SimpleNamespace(), {}
    setter = type("Setter", (), {"__setitem__": lambda self, place, symbol: integers.__setitem__(place, symbol)})()
    plugin.get_launch_params(sizes, in_out, inputs, launch, setter, Expressions())
    name, ptx = plugin.get_kernel([d.desc for d in in_out[:inputs]], [d.desc for d in in_out[inputs:]])
    return {
        "name": name,
        "ptx": ptx.decode(),
        "launches": [{key: symbol.expr.at(run) for key, symbol in vars(launch).items()} for run in runs],
        "integers": [[integers[place].expr.at(run) for place in range(setter.nbSymExprs)] for run in runs],
        "integer_types": [integers[place].dtype.name for place in range(setter.nbSymExprs)],
    }


if __name__ == "__main__":
    install(int(sys.argv[1].removeprefix("sm_")), int(sys.argv[2]))
    from vljepa_edge.kernels.tensorrt import plugin as tensorrt_plugin  # noqa: F401 it registers the plugins

    json.dump([answer(request) for request in json.load(sys.stdin)], sys.stdout)
