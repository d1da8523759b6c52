"""EmbeddingGemma's kind of backbone as a graph: transformers' own masks are the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from vljepa_edge.engines import open_engine
from vljepa_edge.export.pytorch.streamed import export_streamed, inline
from vljepa_edge.export.pytorch.text_encoder import traceable
from vljepa_edge.nn.config import DenseConfig, YEncoderConfig
from vljepa_edge.nn.y_encoder import YEncoder

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
