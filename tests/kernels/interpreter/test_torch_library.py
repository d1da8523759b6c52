"""What compilers are told of every operator: schema, shapes, gradients; and that on a GPU it is what they capture.

The interpreter runs kernels on CPU tensors, so here the choice between kernel and PyTorch can be made as on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode

import vljepa_edge.kernels as kernels
from tests.kernels.compiler_cases import Case, cases
from vljepa_edge.errors import KernelError
from vljepa_edge.kernels import launch

CASES = cases()
OPERATORS = sorted(n.partition("::")[2] for n in torch._C._dispatch_get_all_op_names() if n.startswith("vljepa::"))
"""Every registered one."""
ALL_CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def modules() -> Iterator[ModuleType]:
    """The files of operations: all that asks who takes the kernel."""
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{kernels.__name__}.") and hasattr(module, "takes_kernel") and module is not launch:
            yield module


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer that tensors on a GPU get."""
    for module in modules():
        monkeypatch.setattr(module, "takes_kernel", lambda *tensors: True)


class Calls(TorchDispatchMode):
    """Records every call of an operator: its name and arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "vljepa":
            self.made.append((func._opname, args))
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("on_gpu")
def test_operators_keep_what_they_tell_the_compiler() -> None:
    """opcheck of each as its public function and its gradient call it: nothing is changed or shared against the schema,
    autograd is registered where it must be, fake outputs are like the real ones, and gradients with dynamic shapes are
    those of eager mode."""
    checked = set()
    for case in CASES.values():
        with Calls() as calls:
            case.outcome(case.function)
        for name, arguments in calls.made:
            learns = case.learns and f"{name}_backward" in OPERATORS
            fresh = tuple(_leaf(a, learns) if isinstance(a, Tensor) else a for a in arguments)
            found = opcheck(getattr(torch.ops.vljepa, name).default, fresh)
            assert found == dict.fromkeys(ALL_CHECKS, "SUCCESS")
            checked.add(name)
    assert sorted(checked) == OPERATORS


def _leaf(tensor: Tensor, learns: bool) -> Tensor:
    return tensor.detach().clone().requires_grad_(learns and tensor.is_floating_point())


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_export_captures_the_operator_for_batches_of_any_size(case: Case) -> None:
    exported = torch.export.export(case.module, case.tensors, dynamic_shapes=case.shapes)
    nodes = [node for node in exported.graph.nodes if node.op == "call_function"]
    captured = [str(node.target) for node in nodes if "vljepa" in str(node.target)]
    assert captured == [f"vljepa.{case.operator}.default"]
    found, expected = exported.module()(*case.doubled), case.function(*case.doubled)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    (output,) = (node for node in exported.graph.nodes if node.op == "output")
    for node, value in zip(output.args[0], expected if isinstance(expected, tuple) else (expected,), strict=True):
        fake = node.meta["val"]
        assert (fake.dtype, fake.shape[1:]) == (value.dtype, value.shape[1:])
        assert isinstance(fake.shape[0], torch.SymInt) and len(value) == 2 * len(case.tensors[0])


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_compiled_operation_is_one_graph_with_equal_results_and_gradients(case: Case) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(case.module, fullgraph=True, backend="aot_eager")
    for found, expected in zip(case.outcome(compiled), case.outcome(case.function), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.usefixtures("on_gpu")
def test_attention_exported_for_inference_refuses_to_learn() -> None:
    """It keeps no log-sum-exp then, which the backward kernels would read and write past its end."""
    case = CASES["attention, inference"]
    exported = torch.export.export(case.module, case.tensors)
    out = exported.module()(case.tensors[0].clone().requires_grad_())
    with pytest.raises(KernelError, match="traced for inference"):
        out.sum().backward()
