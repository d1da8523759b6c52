"""Each operation of the torch engine against ONNX Runtime, on a graph of that one node."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vljepa_edge.engines import open_engine
from vljepa_edge.engines.torch.ops import OPS
from vljepa_edge.errors import EngineError

RNG = np.random.default_rng(0)


class Case(NamedTuple):
    op: str
    inputs: list[NDArray[Any] | None]
    attributes: Mapping[str, Any] = MappingProxyType({})
    outputs: int = 1
    opset: int = 20


def f(*shape: int) -> NDArray[Any]:
    return RNG.normal(size=shape).astype(np.float32)


def positive(*shape: int) -> NDArray[Any]:
    return RNG.uniform(0.1, 2, size=shape).astype(np.float32)


def i64(*values: Any) -> NDArray[Any]:
    return np.array(values, np.int64)


def scalar(value: float, dtype: Any = np.float32) -> NDArray[Any]:
    return np.array(value, dtype)


def mask(*shape: int) -> NDArray[Any]:
    return RNG.integers(0, 2, shape).astype(bool)


def unary(op: str, x: NDArray[Any] | None = None, **attributes: Any) -> Case:
    return Case(op, [f(3, 5, 2) if x is None else x], attributes)


MIXED = np.array([-7, -3, 0, 2, 9], np.int64)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.49], np.float32)
TIED = np.array([[1, 3, 3, 2], [4, 4, 4, 4], [0, -1, 0, 2]], np.float32)

CASES = [
    *(unary(op) for op in ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish")),
    *(unary(op) for op in ("Identity", "LeakyRelu", "LogSoftmax", "Neg", "Relu", "Sigmoid", "Sign", "Sin", "Size")),
    *(unary(op) for op in ("Softmax", "Softplus", "Tanh", "Transpose", "Flatten", "Shape", "ArgMax", "ArgMin")),
    *(unary(op, positive(4, 3)) for op in ("Log", "Sqrt", "Reciprocal")),
    unary("Round", HALVES),
    unary("IsNaN", np.array([1, np.nan, np.inf], np.float32)),
    unary("Not", mask(3, 4)),
    unary("NonZero", mask(3, 4)),
    unary("Gelu", approximate="tanh"),
    unary("Elu", alpha=0.3),
    unary("LeakyRelu", alpha=0.3),
    unary("HardSigmoid", alpha=0.3, beta=0.4),
    unary("Softmax", axis=0),
    unary("LogSoftmax", axis=1),
    unary("Transpose", perm=[1, 2, 0]),
    *(unary("Flatten", axis=axis) for axis in (0, 2, 3, -1)),
    unary("Shape", start=1),
    unary("Shape", start=-2, end=-1),
    *(unary("ArgMax", TIED, axis=1, keepdims=0, select_last_index=last) for last in (0, 1)),
    *(unary("Cast", np.array([-1.7, 0, 0.4, 2.5], np.float32), to=to) for to in (6, 7, 9, 10, 11, 1)),
    Case("CastLike", [f(3), i64(1)]),
    *(Case(op, [f(3, 1, 2), f(5, 1)]) for op in ("Add", "Sub", "Mul", "Div", "Equal", "Greater", "Less")),
    *(Case(op, [f(4), f(3, 4)]) for op in ("GreaterOrEqual", "LessOrEqual", "Max", "Min", "Sum")),
    *(Case(op, [f(4), f(3, 4), f(3, 1)]) for op in ("Max", "Min", "Sum")),
    *(Case(op, [mask(3, 1), mask(4)]) for op in ("And", "Or", "Xor")),
    Case("Equal", [i64(1, 2, 3), i64(1, 0, 3)]),
    Case("Div", [MIXED, i64(2, 2, 2, -3, -4)]),  # towards zero
    Case("Mod", [MIXED, i64(4, -4, 3, 3, -4)]),
    Case("Mod", [f(5), f(5)], {"fmod": 1}),
    Case("Pow", [positive(3, 2), f(2)]),
    Case("Pow", [i64(2, 3), scalar(2.0)]),
    Case("Where", [mask(3, 1), f(4), f(3, 4)]),
    Case("Clip", [f(9), scalar(-0.5), scalar(0.5)]),
    Case("Clip", [f(9), None, scalar(0.2)]),
    Case("Clip", [f(9), scalar(0)]),
    Case("Clip", [f(9)]),
    Case("MatMul", [f(2, 3, 4), f(4, 5)]),
    Case("MatMul", [f(2, 1, 3, 4), f(5, 4, 2)]),
    Case("MatMul", [f(4), f(4, 2)]),
    Case("Gemm", [f(3, 4), f(4, 5), f(5)]),
    Case("Gemm", [f(4, 3), f(5, 4)], {"transA": 1, "transB": 1, "alpha": 0.5}),
    Case("Gemm", [f(3, 4), f(5, 4), f(3, 1)], {"transB": 1, "beta": 2.0}),
    Case("Einsum", [f(2, 3, 4), f(2, 5, 4)], {"equation": "bid,bjd->bij"}),
    Case("Einsum", [f(3, 3)], {"equation": "ii->"}),
    Case("Conv", [f(1, 3, 9, 7), f(4, 3, 3, 3), f(4)], {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    Case("Conv", [f(2, 4, 9, 8), f(4, 1, 3, 3)], {"group": 4, "dilations": [2, 1], "kernel_shape": [3, 3]}),
    *(
        Case("Conv", [f(1, 2, 8, 9), f(3, 2, 3, 4)], {"auto_pad": auto, "strides": [2, 3]})
        for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    Case("Conv", [f(1, 3, 11), f(2, 3, 4)], {"pads": [2, 1]}),
    Case("Conv", [f(1, 2, 5, 6, 7), f(3, 2, 3, 1, 3), f(3)], {"pads": [1, 0, 1, 1, 0, 1], "strides": [1, 2, 2]}),
    *(
        Case("AveragePool", [f(1, 2, 7, 8)], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], **more})
        for more in ({}, {"count_include_pad": 1})
    ),
    Case("AveragePool", [f(1, 2, 7, 8)], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    Case("AveragePool", [f(1, 2, 9)], {"kernel_shape": [3], "auto_pad": "SAME_UPPER"}),
    Case("AveragePool", [f(1, 2, 4, 6, 6)], {"kernel_shape": [2, 3, 3], "strides": [2, 3, 3]}),
    *(
        Case("MaxPool", [f(1, 2, 7, 9)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], **more})
        for more in ({}, {"ceil_mode": 1}, {"dilations": [2, 1]})
    ),
    Case("MaxPool", [f(1, 2, 4, 5, 6)], {"kernel_shape": [2, 2, 2]}),
    Case("GlobalAveragePool", [f(2, 3, 4, 5)]),
    Case("GlobalMaxPool", [f(2, 3, 4, 5)]),
    *(Case("Pad", [f(4, 5), i64(1, 2, 3, 1)], {"mode": mode}) for mode in ("constant", "reflect", "edge", "wrap")),
    Case("Pad", [f(4, 5), i64(0, -1, 1, -2), scalar(3)]),
    Case("Pad", [f(3, 4, 5), i64(2, 1), scalar(-1), i64(-2)]),
    Case("Pad", [f(2, 4, 5), i64(2, 3), None, i64(2)], {"mode": "reflect"}),
    Case("BatchNormalization", [f(2, 3, 4, 5), f(3), f(3), f(3), positive(3)], {"epsilon": 1e-3}),
    Case("InstanceNormalization", [f(2, 3, 4, 5), f(3), f(3)]),
    Case("GroupNormalization", [f(2, 6, 4), f(6), f(6)], {"num_groups": 3}, opset=21),
    Case("LayerNormalization", [f(2, 3, 8), f(8), f(8)], {"epsilon": 1e-3}),
    Case("LayerNormalization", [f(2, 3, 8), f(3, 8)], {"axis": 1}),
    *(
        Case(op, [f(2, 3, 4), i64(*axes)], {"keepdims": keep}, opset=20 if op != "ReduceSum" else 13)
        for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
        for axes, keep in (((-1,), 1), ((0, 2), 0), ((1,), 0))
    ),
    Case("ReduceSumSquare", [f(2, 3, 4), i64(1)]),
    Case("ReduceLogSumExp", [f(2, 3, 4), i64(1, 2)]),
    Case("ReduceMean", [f(2, 3, 4)]),
    Case("ReduceMean", [f(2, 3, 4)], {"axes": [1], "keepdims": 0}, opset=13),
    Case("ReduceSum", [f(2, 3, 4)], {"noop_with_empty_axes": 1}),
    Case("ReduceSum", [i64([1, 2], [3, 4]), i64(1)]),
    Case("ReduceMax", [np.array([[1, -5], [7, 2]], np.int64), i64(0)]),
    *(Case("TopK", [TIED, i64(3)], {"largest": large}, outputs=2) for large in (0, 1)),
    Case("TopK", [f(5, 3), i64(2)], {"axis": 0}, outputs=2),
    *(
        Case("CumSum", [f(3, 4), scalar(-1, np.int64)], {"exclusive": exclusive, "reverse": reverse})
        for exclusive in (0, 1)
        for reverse in (0, 1)
    ),
    Case("Reshape", [f(2, 3, 4), i64(0, -1)]),
    Case("Reshape", [f(0, 3), i64(3, 0)], {"allowzero": 1}),
    Case("Unsqueeze", [f(2, 3), i64(0, -1)]),
    Case("Squeeze", [f(1, 2, 1, 3), i64(0, -2)]),
    Case("Squeeze", [f(1, 2, 1)]),
    Case("Expand", [f(3, 1), i64(2, 1, 4)]),
    Case("Expand", [f(2, 3, 1), i64(4)]),
    Case("Concat", [f(2, 1), f(2, 3), f(2, 2)], {"axis": -1}),
    Case("Slice", [f(5, 6), i64(1, -4), i64(4, 2**62)]),
    Case("Slice", [f(5, 6), i64(-1), i64(-(2**62)), i64(1), i64(-2)]),
    Case("Slice", [f(5, 6), i64(4, 0), i64(0, 100), i64(0, -1), i64(-1, 2)]),
    Case("Slice", [f(5, 6), i64(3), i64(3), i64(0)]),
    Case("Split", [f(7, 2)], {"num_outputs": 3}, outputs=3),
    Case("Split", [f(2, 7), i64(1, 4, 2)], {"axis": -1}, outputs=3),
    Case("Split", [f(6, 2)], {}, outputs=2, opset=13),
    Case("Gather", [f(4, 3), i64([0, -1], [2, 2])]),
    Case("Gather", [f(2, 4, 3), scalar(-2, np.int64)], {"axis": 1}),
    Case("Gather", [f(4, 3), np.array([1, 3], np.int32)], {"axis": 0}),
    Case("GatherElements", [f(3, 4), i64([0, -1, 2, 1], [1, 1, 0, -3])]),
    Case("GatherND", [f(3, 4, 2), i64([0, -1], [2, 1])]),
    Case("GatherND", [f(2, 3, 4), i64([1], [-1])], {"batch_dims": 1}),
    Case("ScatterND", [f(4, 3), i64([1], [-1]), f(2, 3)]),
    Case("ScatterND", [f(4, 3), i64([0, 1], [0, 1], [2, 2]), f(3)], {"reduction": "add"}),
    Case("ScatterElements", [f(3, 4), i64([0, 2], [1, -1]), f(2, 2)], {"axis": 1}),
    Case("ScatterElements", [f(3, 4), i64([0, 0]), f(1, 2)], {"reduction": "add"}),
    Case("Tile", [f(2, 3), i64(2, 3)]),
    Case("Trilu", [f(2, 4, 5)]),
    Case("Trilu", [f(4, 5), scalar(-1, np.int64)], {"upper": 0}),
    Case("ConstantOfShape", [i64(2, 3)]),
    Case("ConstantOfShape", [i64(2)], {"value": numpy_helper.from_array(np.array([7], np.int64))}),
    Case("Range", [scalar(1, np.int64), scalar(9, np.int64), scalar(3, np.int64)]),
    Case("Range", [scalar(2), scalar(-1), scalar(-0.5)]),
    Case("OneHot", [i64(0, 2, -1), scalar(3, np.int64), np.array([-1, 5], np.float32)]),
    Case("OneHot", [i64([0], [1]), scalar(3, np.int64), np.array([0, 1], np.float32)], {"axis": 0}),
    Case("Dropout", [f(3, 4)]),
    Case("QuantizeLinear", [f(3, 4) * 90, scalar(0.5), scalar(3, np.int8)]),
    Case("QuantizeLinear", [HALVES * 100, scalar(1), scalar(128, np.uint8)]),
    Case("QuantizeLinear", [f(3, 4), positive(4) / 9, np.array([0, 1, 2, 3], np.int8)], {"axis": 1}),
    Case("QuantizeLinear", [f(3, 4), scalar(0.02)]),
    Case("DequantizeLinear", [np.arange(-6, 6, dtype=np.int8).reshape(3, 4), scalar(0.5), scalar(3, np.int8)]),
    Case("DequantizeLinear", [np.arange(12, dtype=np.uint8).reshape(3, 4), positive(3), None], {"axis": 0}),
    Case("DequantizeLinear", [np.arange(12, dtype=np.int32).reshape(3, 4), positive(4)], {"axis": -1}),
    Case(
        "DequantizeLinear",
        [np.arange(24, dtype=np.int8).reshape(4, 6), positive(4, 3), np.zeros((4, 3), np.int8)],
        {"axis": 1, "block_size": 2},
        opset=21,
    ),
    Case("RMSNormalization", [f(2, 3, 8), f(8)], {"epsilon": 1e-3}, opset=23),
    *(
        Case("Constant", [], {name: value})
        for name, value in (
            ("value_int", 3),
            ("value_ints", [3, 4]),
            ("value_float", 0.5),
            ("value_floats", [0.5, 1.0]),
        )
    ),
    Case("Constant", [], {"value": numpy_helper.from_array(np.array([[1, 2]], np.int32))}),
]


def model(case: Case, *, constant: bool) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The node alone. `constant`: its inputs are weights, so that the engine may run it when it compiles."""
    given = {f"x{i}": array for i, array in enumerate(case.inputs) if array is not None}
    names = ["" if array is None else f"x{i}" for i, array in enumerate(case.inputs)]
    outs = [f"y{i}" for i in range(case.outputs)]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
    ]
    graph = helper.make_graph(
        [helper.make_node(case.op, names, outs, **case.attributes)],
        case.op,
        [] if constant else infos,
        [helper.make_empty_tensor_value_info(name) for name in outs],
        [numpy_helper.from_array(array, name) for name, array in given.items()] if constant else [],
    )
    opsets = [helper.make_opsetid("", case.opset)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data, {} if constant else given


@pytest.mark.parametrize("constant", [False, True], ids=["input", "weight"])
@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case.op}" for i, case in enumerate(CASES)])
def test_equals_onnx_runtime(case: Case, constant: bool) -> None:
    data, inputs = model(case, constant=constant)
    expected = open_engine("onnxruntime", threads=1).compile(data, case.op)(inputs)
    before = {name: array.copy() for name, array in inputs.items()}
    given = open_engine("torch").compile(data, case.op)(inputs)
    assert list(given) == list(expected)
    for name, value in expected.items():
        assert given[name].dtype == value.dtype, name
        np.testing.assert_allclose(given[name], value, rtol=2e-5, atol=2e-6, err_msg=name)
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, before[name])


def test_every_operation_is_tested() -> None:
    assert set(OPS) == {case.op for case in CASES}


def test_an_attribute_that_changes_the_meaning_is_refused() -> None:
    case = Case("AveragePool", [f(1, 2, 8)], {"kernel_shape": [2], "dilations": [2]})
    data, inputs = model(case, constant=False)
    graph = open_engine("torch").compile(data, "pool")
    with pytest.raises(EngineError, match=r"pool: .*AveragePool.*dilations.* given x0 float32 \[1, 2, 8\]"):
        graph(inputs)


def test_weights_may_be_stored_in_16_bits() -> None:
    for dtype in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        weight = helper.make_tensor("w", dtype, [2], [0.5, -2.0])
        nodes = [
            helper.make_node("Cast", ["w"], ["v"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "v"], ["y"]),
        ]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
        data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
        given = open_engine("torch").compile(data, "g")({"x": np.array([3, 4], np.float32)})
        np.testing.assert_array_equal(given["y"], [1.5, -8])
