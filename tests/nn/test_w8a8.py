"""Llama layers in 8 bits: exact integer products, and a predictor that says the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.ops import int8_linear
from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.llama import GatedLinear, LlamaStack
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.w8a8 import W8A8Linear, to_w8a8

STACK = LlamaStackConfig(hidden=64, layers=3, heads=4, kv_heads=2, ffn=160)


def predictor() -> Predictor:
    torch.manual_seed(0)
    config = PredictorConfig(streams=(StreamConfig(name="video", dim=24),), query_dim=16, embedding=48, stack=STACK)
    model = Predictor(config).eval()
    for parameter in model.stack.parameters():  # as large as trained ones, so that the layers matter
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=1.5 * parameter.shape[1] ** -0.5)
    return model


def inputs(batch: int = 6) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    streams = {"video": torch.randn(batch, 20, 24, generator=generator)}
    mask = torch.arange(7) < torch.arange(2, 2 + batch)[:, None]
    return streams, torch.randn(batch, 7, 16, generator=generator), mask.float()


def test_products_are_those_of_integers() -> None:
    """Tokens whose largest value is 127 have scale 1: the layer is an integer product, here far beyond 2^24."""
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-127, 128, (9, 5000)), rng.integers(-127, 128, (11, 5000))
    x[:, 0], weight[:, 0] = 127, 127
    x[0], weight[0] = 127, 127
    linear = nn.Linear(5000, 11, bias=False)
    linear.weight.data = torch.from_numpy(weight).float()
    layer = W8A8Linear(linear)
    assert torch.equal(layer.weight, torch.from_numpy(weight).to(torch.int8)) and torch.all(layer.scale == 1)
    exact = (x.astype(np.int32) @ weight.astype(np.int32).T).astype(np.int32)
    assert exact.max() == 127 * 127 * 5000
    assert torch.equal(layer(torch.from_numpy(x).float()), torch.from_numpy(exact).float())


@pytest.mark.parametrize("kind", ["plain", "bias", "gated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_layer_is_its_float64_reference_and_near_the_layer_it_came_from(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear = GatedLinear(96, 40) if kind == "gated" else nn.Linear(96, 40, bias=kind == "bias")
    layer, x = W8A8Linear(linear), torch.randn(2, 5, 96).to(dtype)
    with torch.no_grad():
        found, full = layer(x), linear(x.float())
    exact = int8_linear.reference(x, layer.weight, layer.scale, layer.bias, None, kind == "gated")
    eps = 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), exact, atol=max(eps, 1e-6), rtol=max(eps, 1e-5))
    assert found.dtype == dtype and found.shape == (2, 5, 40)
    assert F.cosine_similarity(found.float().flatten(), full.flatten(), dim=0) > 0.999


def test_a_predictor_in_8_bits_says_the_same() -> None:
    full = predictor()
    small = to_w8a8(full)
    with torch.inference_mode():
        expected, found = full(*inputs()), small(*inputs())
    cosine = (expected * found).sum(-1)
    assert cosine.min() > 0.995 and not torch.equal(expected, found)
    assert (expected @ expected.T).fill_diagonal_(0).max() < 0.95  # what is said differs between clips
    assert torch.equal((found @ expected.T).argmax(1), torch.arange(len(found)))


def test_every_linear_layer_of_the_stack_and_no_other_is_converted_in_a_copy() -> None:
    full = predictor()
    small = to_w8a8(full)
    kinds = {name: type(module).__name__ for name, module in small.named_modules() if hasattr(module, "weight")}
    converted = {name for name, kind in kinds.items() if kind == "W8A8Linear"}
    assert converted == {f"stack.layers.{i}.{n}" for i in range(3) for n in ("qkv", "out", "gate_up", "down")}
    assert kinds["head"] == kinds["query"] == "Linear"
    assert not any(isinstance(module, W8A8Linear) for module in full.modules())
    assert all(parameter.requires_grad for parameter in full.parameters())

    def size(model: nn.Module) -> int:
        return sum(t.numel() * t.element_size() for t in model.state_dict().values())

    assert size(small.stack) < 0.3 * size(full.stack)


def test_a_saved_one_is_loaded_back() -> None:
    small = to_w8a8(predictor())
    other = to_w8a8(Predictor(small.config))
    other.load_state_dict(small.state_dict())
    with torch.inference_mode():
        assert torch.equal(other.eval()(*inputs()), small(*inputs()))


def test_a_causal_stack_extends_in_8_bits() -> None:
    torch.manual_seed(0)
    stack = to_w8a8(LlamaStack(STACK, causal=True).eval())
    x = torch.randn(2, 5, 64)
    with torch.inference_mode():
        whole = stack(x)
        first, past = stack.extend(x[:, :3], torch.zeros(2, stack.cache_rows, 0, STACK.head_size))
        second, _ = stack.extend(x[:, 3:], past)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, atol=2e-2, rtol=0)


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(InputError, match="no Llama layers"):
        to_w8a8(nn.Linear(3, 3))
    layer = W8A8Linear(nn.Linear(8, 4))
    with pytest.raises(InputError, match="inference"):
        layer(torch.randn(2, 8, requires_grad=True))
    with pytest.raises(InputError, match="fp32"):
        layer.half()(torch.randn(2, 8).half())
    with pytest.raises(InputError, match="8"):
        layer(torch.randn(2, 9))
