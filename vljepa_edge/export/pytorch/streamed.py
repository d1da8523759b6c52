"""A module of any size as an ONNX file: traced without its weights, which are then written one at a time.

PyTorch's exporter copies all weights several times over. Here the trace has them as inputs, so the peak is the module
itself plus one weight; they go to the file's external data in the precision asked for.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from vljepa_edge.errors import ExportError
from vljepa_edge.export.pytorch.trace import OPSET
from vljepa_edge.onnx_graphs.weights import PROTOBUF_MOST, fits_half

_SMALLEST = 1024  # weights with fewer numbers stay at fp32, inside the file
_FOLDED_MOST = 1 << 24  # numbers of a constant that is computed now rather than by the engine
_ALIGNMENT = 64


def export_streamed(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
    bits: int,
    path: Path,
) -> None:
    """Write `module(*inputs.values())` at `path`, its weights at 32 or 16 bits in `path`.data beside it.

    dynamic: input or output name -> {axis: name of the free dimension}. Weights at 16 bits are followed by a Cast.
    """
    model = trace(module, inputs, outputs, dynamic)
    state = module.state_dict()
    with path.with_name(path.name + ".data").open("wb") as data:
        _attach(model, state, bits, data)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(path)


def inline(path: Path) -> bytes:
    """The file that export_streamed wrote with its weights inside, as a bundle holds it.

    Raises ExportError when that is more than one protobuf message can hold.
    """
    size = path.stat().st_size + path.with_name(path.name + ".data").stat().st_size
    if size > PROTOBUF_MOST:
        raise ExportError(f"{path.name} would have {size / 1e9:.1f} GB; a graph holds at most 2. Use --precision fp16")
    whole: bytes = onnx.load(path).SerializeToString()
    return whole


def trace(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """The graph with the module's weights as further inputs, named as in its state_dict, and all shapes worked out."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's own notices; the tests check the result against torch
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer,  # type: ignore[arg-type]
            input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={k: dict(v) for k, v in dynamic.items()}, opset_version=OPSET, dynamo=False,
            export_params=False, keep_initializers_as_inputs=True, do_constant_folding=False,
        )  # fmt: skip
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(buffer.getvalue()), data_prop=True)
    _fold_constants(model)
    return model


def _fold_constants(model: onnx.ModelProto) -> None:
    """Compute now what depends on constants and fixed shapes only, with onnx's own reference implementation."""
    graph = model.graph
    shapes = {value.name: _fixed_shape(value) for value in (*graph.value_info, *graph.input)}
    known: dict[str, NDArray[np.generic]] = {}
    kept = []
    for node in graph.node:
        value: NDArray[np.generic] | None = None
        shape = shapes.get(node.input[0]) if node.op_type == "Shape" else None
        if shape is not None and not node.attribute:
            value = np.array(shape, np.int64)
        elif len(node.output) == 1 and all(name in known for name in node.input if name):
            value = _evaluate(node, known)
        if value is None or value.size > _FOLDED_MOST:
            kept.append(node)
        else:
            known[node.output[0]] = value
    read = {name for node in kept for name in node.input} | {output.name for output in graph.output}
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in known.items() if name in read)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)


def _evaluate(node: onnx.NodeProto, known: Mapping[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(filter(None, node.input))]
    graph = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name=node.output[0])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    (value,) = ReferenceEvaluator(model).run(None, {item.name: known[item.name] for item in inputs})
    return np.asarray(value)


def _fixed_shape(value: onnx.ValueInfoProto) -> list[int] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(d.HasField("dim_value") for d in kind.shape.dim):
        return None
    return [d.dim_value for d in kind.shape.dim]


def _attach(model: onnx.ModelProto, state: Mapping[str, Tensor], bits: int, data: BinaryIO) -> None:
    """Turn the inputs that are weights into initialisers; a weight that is only read transposed is stored so."""
    graph = model.graph
    turned = {
        node.input[0]: node for node in graph.node if node.op_type == "Transpose" and node.input[0] in state
    }  # Linear: x @ W.T
    readers: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    casts = []
    for value in list(graph.input):
        if value.name not in state:
            continue
        graph.input.remove(value)
        name, tensor = value.name, state[value.name]
        node = turned.get(name)
        if node is not None and readers[name] == 1:
            permutation = list(next(a.ints for a in node.attribute if a.name == "perm"))
            graph.node.remove(node)
            name, tensor = node.output[0], tensor.permute(permutation)
        if bits == 16 and fits_half(tensor.detach().numpy()):
            casts.append(helper.make_node("Cast", [name + "/f16"], [name], to=TensorProto.FLOAT))
            name, tensor = name + "/f16", tensor.half()
        graph.initializer.append(_stored(name, tensor, data))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _stored(name: str, tensor: Tensor, data: BinaryIO) -> TensorProto:
    """A tensor whose bytes are appended to `data`; a small one keeps them."""
    array = tensor.detach().contiguous().numpy()
    if array.size < _SMALLEST:
        return numpy_helper.from_array(array, name)
    data.write(bytes(-data.tell() % _ALIGNMENT))
    offset = data.tell()
    data.write(array.data.cast("B"))
    found = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
    found.data_location = TensorProto.EXTERNAL
    for key, text in (("location", Path(data.name).name), ("offset", offset), ("length", array.nbytes)):
        found.external_data.add(key=key, value=str(text))
    return found
