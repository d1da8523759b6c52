"""torch.compile and torch.export off a GPU: they see PyTorch's own operators, in one graph, for batches of any size.

With the kernels in their place: `interpreter/test_torch_library.py`.
"""

from __future__ import annotations

import shutil

import pytest
import torch

from tests.kernels.compiler_cases import Case, cases
from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.predictor import Predictor

CASES = cases()
EXPORTED = {name: case for name, case in CASES.items() if case.operator != "similarity_lse"}
"""The loss in blocks is a loop over its rows: one graph for each batch, and for training alone."""


@pytest.mark.parametrize("case", EXPORTED.values(), ids=EXPORTED)
def test_export_has_pytorch_operators_only_for_batches_of_any_size(case: Case) -> None:
    exported = torch.export.export(case.module, case.tensors, dynamic_shapes=case.shapes)
    targets = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert targets and not any("vljepa" in target for target in targets)
    torch.testing.assert_close(exported.module()(*case.doubled), case.function(*case.doubled), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_compiled_operation_is_one_graph_with_equal_results_and_gradients(case: Case) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(case.module, fullgraph=True, backend="aot_eager")
    for found, expected in zip(case.outcome(compiled), case.outcome(case.function), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("name", ["add_rms_norm", "swiglu"])
def test_inductor_makes_the_same_of_it(name: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(CASES[name].module, fullgraph=True, backend="inductor")
    found, expected = (CASES[name].outcome(run) for run in (compiled, CASES[name].function))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_compiled_predictor_is_one_graph_with_equal_embeddings_and_gradients() -> None:
    torch.manual_seed(0)
    stack = LlamaStackConfig(hidden=16, layers=2, heads=4, kv_heads=2, ffn=24)
    config = PredictorConfig(streams=(StreamConfig(name="video", dim=6),), query_dim=5, embedding=8, stack=stack)
    predictor = Predictor(config)
    streams, query = {"video": torch.randn(2, 7, 6)}, torch.randn(2, 3, 5)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    torch._dynamo.reset()
    compiled = torch.compile(predictor, fullgraph=True, backend="aot_eager")
    outcomes = []
    for run in (compiled, predictor):
        predictor.zero_grad()
        embedding = run(streams, query, mask)
        embedding.square().mul(torch.arange(8)).sum().backward()
        outcomes.append([embedding.detach(), *(p.grad.clone() for p in predictor.parameters() if p.grad is not None)])
    torch.testing.assert_close(*outcomes, atol=1e-6, rtol=1e-5)
    assert len(outcomes[0]) > 10
