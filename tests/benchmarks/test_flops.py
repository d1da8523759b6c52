"""The operation counter against networks counted by hand."""

import numpy as np
import pytest

from benchmarks.flops import Cost, graph_cost

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def model(nodes, inputs, outputs, weights) -> bytes:
    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "net",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, None) for name in outputs],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return proto.SerializeToString()


def test_a_small_conv_net():
    """(1, 3, 16, 16) -> Conv 8 x 3 x 3, stride 2 -> depthwise 3 x 3 -> mean -> Gemm 8 -> 10."""
    net = model(
        [
            helper.make_node("Conv", ["x", "a"], ["h"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Conv", ["r", "b"], ["d"], group=8, pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["d"], ["g"]),
            helper.make_node("Flatten", ["g"], ["f"]),
            helper.make_node("Gemm", ["f", "c"], ["y"], transB=1),
        ],
        {"x": (1, 3, 16, 16)},
        ["y"],
        {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "c": (10, 8)},
    )
    conv, depthwise, gemm = 2 * 8 * 8 * 8 * 27, 2 * 8 * 8 * 8 * 9, 2 * 8 * 10
    assert graph_cost(net, {"x": (1, 3, 16, 16)}) == Cost(conv + depthwise + gemm, depthwise, 8 * 27 + 8 * 9 + 80)


def test_grouped_but_not_depthwise():
    net = model([helper.make_node("Conv", ["x", "w"], ["y"], group=2)], {"x": (1, 4, 5, 5)}, ["y"], {"w": (6, 2, 1, 1)})
    assert graph_cost(net, {"x": (1, 4, 5, 5)}) == Cost(2 * 6 * 25 * 2, 0, 12)


@pytest.mark.parametrize("length", [1, 7])
def test_products_of_free_length(length):
    """x (1, L, 4) through a weight (4, 6), and attention's own x xT, which reads no weight."""
    net = model(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["x", "t"], ["s"]),
        ],
        {"x": (1, "length", 4)},
        ["h", "s"],
        {"w": (4, 6)},
    )
    cost = graph_cost(net, {"x": (1, length, 4)})
    assert cost == Cost(2 * length * 4 * 6 + 2 * length * length * 4, 0, 24)


def test_a_conv_in_three_dimensions():
    net = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": (1, 2, 4, 6, 6)}, ["y"], {"w": (5, 2, 3, 3, 3)})
    assert graph_cost(net, {"x": (1, 2, 4, 6, 6)}) == Cost(2 * 5 * 2 * 4 * 4 * 2 * 27, 0, 5 * 2 * 27)


def test_layers_in_int8_are_counted_apart():
    pytest.importorskip("onnxruntime")
    from tests.export.encoders import net
    from vljepa_edge.export.int8.qdq import layers, quantise

    example = net()
    shapes = {name: array.shape for name, array in example.fit[0].items()}
    names = layers(example.model)
    whole = graph_cost(example.model.SerializeToString(), shapes)
    quantised = graph_cost(quantise(example.model, names, example.fit).SerializeToString(), shapes)
    assert whole.int8_flops == whole.int8_weights == 0
    assert (quantised.flops, quantised.depthwise) == (whole.flops, whole.depthwise)
    small = whole.flops - quantised.int8_flops  # layers too small for two more nodes
    assert 0 <= small < 0.1 * whole.flops
    one = graph_cost(quantise(example.model, names[:1], example.fit).SerializeToString(), shapes)
    assert 0 < one.int8_flops < quantised.int8_flops and 0 < one.int8_weights < quantised.int8_weights


def test_costs_add_up_and_repeat():
    assert Cost(2, 1, 3) + Cost(4, 0, 5) == Cost(6, 1, 8)
    assert Cost(2, 1, 3) * 3 == Cost(6, 3, 9)
