"""Graphs of OpenVINO that take one thing at a time, remade to take several, and cut where an input comes in late.

A graph that was exported for a batch of 1 has that 1 in the shapes that it reshapes to, and in constants that it puts
beside its inputs. Nothing here knows whether what it makes of a graph computes the same: who uses it compares.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from vljepa_edge.support.quiet_openvino import openvino as ov


class Cut(NamedTuple):
    """A graph in two: `late` takes the late inputs and, as cut0, cut1, ..., the outputs of `early`, in their order."""

    early: Any
    late: Any


def with_rows(model: Any, rows: int) -> Any:
    """The openvino.Model, changed to take `rows` at once. Each of its inputs must have a first dimension of 1.

    Raises ValueError or RuntimeError for a graph that can't be changed.
    """
    if rows == 1:
        return model
    data = _reached(model, {node.get_name() for node in model.get_parameters()}, through_shapes=False)
    for node in model.get_ordered_ops():
        kind = node.get_type_name() if node.get_name() in data else ""
        if kind == "Reshape":
            value, wanted = node.input_value(0), node.input_value(1).get_node()
            if wanted.get_type_name() == "Constant" and _is_one(value.get_partial_shape()):
                shape = np.array(wanted.get_data())
                if shape.size and shape[0] == 1:
                    shape[0] = 0  # as many as come in
                    node.input(1).replace_source_output(ov.opset13.constant(shape).output(0))
        elif kind == "Concat" and node.get_axis() != 0:
            for place in node.inputs():
                value = place.get_source_output()
                if value.get_node().get_name() not in data and _is_one(value.get_partial_shape()):
                    times = [rows] + [1] * (value.get_partial_shape().rank.get_length() - 1)
                    place.replace_source_output(ov.opset13.tile(value, ov.opset13.constant(np.array(times))).output(0))
    for parameter in model.get_parameters():
        shape = parameter.get_partial_shape()
        if not _is_one(shape):
            raise ValueError(f"input {parameter.friendly_name} has no first dimension of 1")
        shape[0] = ov.Dimension(rows)
        parameter.set_partial_shape(shape)
    model.validate_nodes_and_infer_types()  # not Model.reshape, which looks at the graph before all inputs have rows
    return model


def cut(model: Any, late: Collection[str]) -> Cut:
    """An openvino.Model cut where what depends on the inputs `late` begins; it is used up.

    Raises ValueError or RuntimeError for a graph that can't be cut.
    """
    parameters = model.get_parameters()
    behind = _reached(model, {node.get_name() for node in parameters if node.friendly_name in late})
    data = _reached(model, {node.get_name() for node in parameters}, through_shapes=False) - behind
    crossing: dict[tuple[str, int], tuple[Any, list[Any]]] = {}
    for node in model.get_ordered_ops():
        for place in node.inputs() if node.get_name() in behind else ():
            value = place.get_source_output()
            if value.get_node().get_name() in data:
                crossing.setdefault((value.get_node().get_name(), value.get_index()), (value, []))[1].append(place)
    made = []
    for index, (value, places) in enumerate(crossing.values()):
        parameter = ov.opset13.parameter(value.get_partial_shape(), value.get_element_type())
        parameter.friendly_name = f"cut{index}"
        for place in places:
            place.replace_source_output(parameter.output(0))
        made.append(parameter)
    early = [node for node in parameters if node.friendly_name not in late]
    after = [node for node in parameters if node.friendly_name in late]
    results = [ov.opset13.result(value) for value, _ in crossing.values()]
    for index, result in enumerate(results):
        result.friendly_name = f"cut{index}"
    return Cut(ov.Model(results, early, "early"), ov.Model(model.get_results(), [*after, *made], "late"))


def _reached(model: Any, start: set[str], *, through_shapes: bool = True) -> set[str]:
    """The names of the nodes that depend on those of `start`, these too; through_shapes: also on their shapes alone."""
    found = set(start)
    for node in model.get_ordered_ops():
        if not through_shapes and node.get_type_name() == "ShapeOf":
            continue
        if any(place.get_source_output().get_node().get_name() in found for place in node.inputs()):
            found.add(node.get_name())
    return found


def _is_one(shape: Any) -> bool:
    """Whether the first of several dimensions, or the only one, is 1."""
    if shape.rank.is_dynamic or shape.rank.get_length() == 0 or shape[0].is_dynamic:
        return False
    return int(shape[0].get_length()) == 1
