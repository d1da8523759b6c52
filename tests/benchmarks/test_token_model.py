"""The token model's cache changes its speed, not its tokens."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from benchmarks.token_model import TokenModel, run_layers  # noqa: E402
from vljepa_edge.engines import open_engine  # noqa: E402
from vljepa_edge.nn.config import YDecoderConfig  # noqa: E402
from vljepa_edge.nn.y_decoder import YDecoder  # noqa: E402

SIZE = YDecoderConfig(vocab=50, hidden=32, layers=2, heads=2, ffn=48, max_tokens=16, embedding=8)


def test_layers_with_a_cache_equal_the_causal_stack():
    torch.manual_seed(0)
    stack = YDecoder(SIZE).eval().stack
    x = torch.randn(1, 7, SIZE.hidden)
    with torch.inference_mode():
        states, keys, values = run_layers(stack, x[:, :5], 0, None, None)
        parts = [states]
        for i in (5, 6):
            states, keys, values = run_layers(stack, x[:, i : i + 1], i, keys, values)
            parts.append(states)
        torch.testing.assert_close(torch.cat(parts, 1), stack(x), rtol=1e-4, atol=1e-5)


def test_it_writes_as_many_tokens_as_asked_and_the_same_each_time():
    draw = np.random.default_rng(0)
    shapes = {"appearance": (1, 8, 10, 12), "motion": (1, 4, 6), "query_tokens": (1, 3, 5)}
    features = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    model = TokenModel(open_engine(threads=1), SIZE, features)
    found = model.write(features, 6)
    assert len(found) == 6
    assert all(0 <= token < SIZE.vocab for token in found)
    assert found[:4] == model.write(features, 4)
