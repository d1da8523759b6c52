"""EmbeddingGemma's kind of backbone as a graph: transformers' own masks are the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator  # ONNX Runtime has fp32 in place of fp16, where nothing overflows

from vljepa_edge.engines import open_engine
from vljepa_edge.export.pytorch.graph import Graph
from vljepa_edge.export.pytorch.streamed import export_streamed, inline
from vljepa_edge.export.pytorch.text_encoder import needs_f32, traceable
from vljepa_edge.nn.config import DenseConfig, YEncoderConfig
from vljepa_edge.nn.y_encoder import YEncoder
from vljepa_edge.onnx_graphs import half
from vljepa_edge.onnx_graphs.qdq_check import check_qdq

GEMMA = {
    "model_type": "gemma3_text", "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "use_bidirectional_attention": True,
    "sliding_window": 8, "max_position_embeddings": 64,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
}  # fmt: skip


def test_gemma_without_a_causal_mask_is_transformers_at_every_length_and_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = YEncoder(YEncoderConfig("none", 32, 24, max_tokens=64, architecture=GEMMA)).eval()
    ids, mask = torch.randint(0, 100, (2, 5)), torch.ones(2, 5, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    path = tmp_path / "y_encoder.onnx"
    export_streamed(
        traceable(encoder), {"input_ids": ids, "attention_mask": mask}, ("embedding",),
        {"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}}, 32, path,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path)
    for batch, length in ((2, 5), (1, 3), (3, 40)):  # 40 tokens are more than the sliding window
        ids, mask = torch.randint(0, 100, (batch, length)), torch.ones(batch, length, dtype=torch.long)
        mask[0, length // 2 + 1 :] = 0
        with torch.inference_mode():
            expected = encoder(ids, mask).numpy()
        found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_gemma_is_marked_as_too_wide_for_fp16_and_then_engines_of_fp16_get_it_right(tmp_path: Path) -> None:
    """With gates as large as EmbeddingGemma's, which reach 800,000."""
    torch.manual_seed(0)
    encoder = YEncoder(YEncoderConfig("none", 32, 24, max_tokens=64, architecture=GEMMA)).eval()
    for name, weight in encoder.named_parameters():
        if "gate_proj" in name or "up_proj" in name:
            weight.data *= 10_000
    ids = {"input_ids": torch.randint(0, 100, (2, 5)), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    assert needs_f32(encoder) and not needs_f32(YEncoder(YEncoderConfig("none", 32, 24, architecture=BERT)))
    path = tmp_path / "y_encoder.onnx"
    Graph(traceable(encoder), ids, ("embedding",), {}, f32=needs_f32(encoder)).write(path, 16)
    marked = onnx.load(path)
    assert half.needs_f32(marked)
    with torch.inference_mode():
        expected = encoder(*ids.values()).numpy()
    for f32 in (False, True):
        made = half.to_half(marked, check_qdq(marked, "y_encoder"), "y_encoder", f32=f32)
        (found,) = ReferenceEvaluator(made).run(None, {name: value.numpy() for name, value in ids.items()})
        assert np.isfinite(found).all() == f32
    np.testing.assert_allclose(found, expected, atol=1e-3)


BERT = {
    "model_type": "bert", "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 4, "max_position_embeddings": 64,
}  # fmt: skip
TWO = (DenseConfig(32, 48, bias=False), DenseConfig(48, 20, activation="tanh"))


@pytest.mark.parametrize("architecture", [BERT, GEMMA], ids=["bert", "gemma"])
@pytest.mark.parametrize(
    "options",
    [
        {"dense": TWO, "normalise": True},
        {"pooling": "last", "dense": TWO},
        {"pooling": "end_token", "end_ids": (3, 4)},
    ],
    ids=["Dense", "last", "end token"],
)
def test_pooling_and_dense_modules_are_in_the_graph(
    architecture: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    encoder = YEncoder(YEncoderConfig("none", 32, 24, max_tokens=64, architecture=architecture, **options)).eval()
    axes = {0: "batch", 1: "tokens"}
    ids, mask = torch.randint(0, 100, (2, 5)), torch.ones(2, 5, dtype=torch.long)
    path = tmp_path / "y_encoder.onnx"
    export_streamed(
        traceable(encoder), {"input_ids": ids, "attention_mask": mask}, ("embedding",),
        {"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}}, 32, path,
    )  # fmt: skip
    whole = inline(path)
    graphs = [
        open_engine(name, precision="f32", threads=1).compile(whole, "y_encoder")
        for name in ("onnxruntime", "openvino", "torch")
    ]
    for batch, length in ((2, 5), (1, 3), (3, 40)):
        ids, mask = torch.randint(0, 12, (batch, length)), torch.ones(batch, length, dtype=torch.long)
        mask[0, length // 2 + 1 :] = 0
        with torch.inference_mode():
            expected = encoder(ids, mask).numpy()
        for graph in graphs:
            found = graph({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})["embedding"]
            np.testing.assert_allclose(found, expected, atol=1e-5)
