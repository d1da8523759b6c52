"""LlamaStack against transformers' LlamaModel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import LlamaStackConfig
from vljepa_edge.nn.llama import LlamaStack, layer_range

DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def llama(causal: bool = False, **options: Any) -> LlamaModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 11,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rope_parameters": DEFAULT,
        "is_causal": causal,
    }
    model = LlamaModel(LlamaConfig(**{**sizes, **options}))
    model.train(False)
    for parameter in model.parameters():  # transformers starts so small that attention would hardly matter
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
        else:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


@pytest.mark.parametrize("rope", [DEFAULT, LLAMA3], ids=["default", "llama3"])
@pytest.mark.parametrize("kv_heads", [8, 2, 1])
@pytest.mark.parametrize("grad", [True, False], ids=["training", "inference"])
def test_equals_llama_model_without_a_causal_mask(rope: dict[str, Any], kv_heads: int, grad: bool) -> None:
    model = llama(rope_parameters=rope, num_key_value_heads=kv_heads)
    stack = LlamaStack.from_hf(model).eval()
    x = torch.randn(2, 100, 64)
    mask = torch.ones(2, 100, dtype=torch.bool)
    mask[1, 70:] = False
    with torch.set_grad_enabled(grad):
        expected = model(inputs_embeds=x, attention_mask=mask.long()).last_hidden_state
        found = stack(x, mask)
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=0)


def test_head_size_may_differ_from_hidden_over_heads() -> None:
    model = llama(head_dim=12)
    x = torch.randn(1, 9, 64)
    torch.testing.assert_close(
        LlamaStack.from_hf(model)(x), model(inputs_embeds=x).last_hidden_state, atol=1e-5, rtol=0
    )


def test_causal_equals_llama_model() -> None:
    model = llama(causal=True)
    taken = LlamaStack.from_hf(model)
    stack = LlamaStack(taken.config, causal=True)
    stack.load_state_dict(taken.state_dict())
    x = torch.randn(2, 17, 64)
    torch.testing.assert_close(stack(x), model(inputs_embeds=x).last_hidden_state, atol=1e-5, rtol=0)


def test_a_cache_gives_what_llama_model_gives_with_its_own() -> None:
    model = llama(causal=True)
    stack = LlamaStack.from_hf(model).eval()
    stack.causal = True
    x = torch.randn(2, 9, 64)
    past, theirs = torch.zeros(2, stack.cache_rows, 0, 8), None
    for begin, end in ((0, 4), (4, 5), (5, 9)):
        with torch.no_grad():
            states, past = stack.extend(x[:, begin:end], past)
            out = model(inputs_embeds=x[:, begin:end], past_key_values=theirs, use_cache=True)
        theirs = out.past_key_values
        torch.testing.assert_close(states, out.last_hidden_state, atol=1e-5, rtol=1e-4)
    assert past.shape == (2, 2 * 2 * 4, 9, 8)


@pytest.mark.parametrize("shape", [(2, 16, 3, 7), (2, 15, 3, 8), (1, 16, 3, 8), (2, 16, 126, 8), (2, 16, 8)])
def test_caches_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    stack = LlamaStack.from_hf(llama())
    with pytest.raises(InputError):
        stack.extend(torch.randn(2, 4, 64), torch.zeros(shape))


def test_last_layers_equal_the_end_of_the_model() -> None:
    model = llama()
    states: list[torch.Tensor] = []
    hook = model.layers[2].register_forward_pre_hook(lambda module, arguments: states.append(arguments[0]))
    expected = model(inputs_embeds=torch.randn(1, 12, 64)).last_hidden_state
    hook.remove()
    for layers in ("last 2", "2-4"):
        torch.testing.assert_close(LlamaStack.from_hf(model, layers)(states[0]), expected, atol=1e-5, rtol=0)


def test_padding_changes_nothing() -> None:
    stack = LlamaStack.from_hf(llama()).eval()
    x = torch.randn(1, 10, 64)
    padded = torch.cat((x, 100 * torch.randn(1, 7, 64)), dim=1)
    mask = torch.arange(17)[None] < 10
    torch.testing.assert_close(stack(padded, mask)[:, :10], stack(x), atol=1e-5, rtol=0)


def test_bf16_training_step_is_finite_and_near_fp32() -> None:
    stack = LlamaStack.from_hf(llama())
    x = torch.randn(2, 20, 64)
    mask = torch.arange(20)[None] < torch.tensor([[20], [12]])
    with torch.autocast("cpu", torch.bfloat16):
        found = stack(x, mask)
    found.float().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in stack.parameters())
    cosine = torch.nn.functional.cosine_similarity(found[mask].float(), stack(x, mask)[mask], dim=-1)
    assert cosine.min() > 0.999


@pytest.mark.parametrize("layers", ["last 5", "2-2", "3-9", "first 2", "", "last 0"])
def test_layers_that_do_not_exist_are_refused(layers: str) -> None:
    with pytest.raises(InputError, match="layers"):
        layer_range(layers, 4)


@pytest.mark.parametrize(("option", "value"), [("attention_bias", True), ("mlp_bias", True), ("hidden_act", "gelu")])
def test_layers_that_are_not_plain_llama_are_refused(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=option):
        LlamaStack.from_hf(llama(**{option: value}))


def test_wrong_inputs_are_refused() -> None:
    stack = LlamaStack(LlamaStackConfig(hidden=16, layers=1, heads=2, kv_heads=1, ffn=16, max_positions=8))
    for x, mask, message in (
        (torch.zeros(1, 4, 15), None, "must be"),
        (torch.zeros(4, 16), None, "must be"),
        (torch.zeros(1, 9, 16), None, "max_positions"),
        (torch.zeros(1, 4, 16), torch.ones(1, 5), "mask"),
    ):
        with pytest.raises(InputError, match=message):
            stack(x, mask)
    with pytest.raises(InputError, match="kv_heads"):
        LlamaStackConfig(hidden=16, layers=1, heads=3, kv_heads=2, ffn=16)
