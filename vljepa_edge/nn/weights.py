"""Pretrained weights into our modules: from a hub id (`nn.hub`), a local folder (transformers' layout) or a GGUF file.

Only safetensors and GGUF are read. A folder that holds pickles instead (.bin, .pt, .pth, .ckpt) is refused:
unpickling runs code. The hub ids of `VLJepaConfig.paper()` never ran here (no network, and two of them are gated);
the same code runs in the tests on small models that transformers saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import LlamaStackConfig, YEncoderConfig
from vljepa_edge.nn.gguf_file import GgufFile
from vljepa_edge.nn.hub import hub_id
from vljepa_edge.nn.llama import LlamaStack, layer_range
from vljepa_edge.nn.sentence_modules import read_sentence_modules
from vljepa_edge.nn.x_encoder import XEncoder, config_from_hf
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.nn.x_encoder_folder import read_x_encoder, read_x_encoder_config, x_encoder_folder
from vljepa_edge.nn.y_encoder import YEncoder

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_CONTROL_TOKEN = 3


class LanguageModel(NamedTuple):
    """A language model's last layers with its final norm, its token embedding (vocab, hidden), its tokenizer."""

    stack: LlamaStack
    embedding: Tensor
    tokenizer: Tokenizer


def load_llama_last_layers(
    path_or_id: str | Path, layers: int | str = 8, *, max_positions: int | None = None, dropout: float = 0.0
) -> LanguageModel:
    """The last `layers` of a Llama-family model, or those that a text names ("8-16", "all").

    path_or_id: a .gguf file, a folder in transformers' layout, or a hub id (NAME or NAME@REVISION). Raises
    BundleError if the weights can't be read, InputError if the layers are not plain Llama layers or there are too few.
    """
    named = f"last {layers}" if isinstance(layers, int) else layers
    if Path(path_or_id).suffix == ".gguf":
        return _from_gguf(GgufFile(path_or_id), named, max_positions, dropout)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = _from_transformers(AutoModelForCausalLM, path_or_id)
    tokenizer = guarded(AutoTokenizer.from_pretrained, path_or_id).backend_tokenizer
    stack = LlamaStack.from_hf(model, named, max_positions=max_positions, dropout=dropout)
    return LanguageModel(stack, model.get_input_embeddings().weight.detach(), tokenizer)


def load_x_encoder(path_or_id: str | Path) -> XEncoder:
    """V-JEPA 2's encoder, frozen, in transformers' layout, or what `vljepa weights convert` wrote.

    Raises BundleError if the weights can't be read.
    """
    ours = x_encoder_folder(path_or_id)
    if ours is not None:
        return read_x_encoder(ours, path_or_id)
    from transformers import VJEPA2Model

    return XEncoder.from_hf(_from_transformers(VJEPA2Model, path_or_id), str(path_or_id))


def x_encoder_config(path_or_id: str | Path) -> XEncoderConfig:
    """The config of the encoder that load_x_encoder would give, without its weights; of a released V-JEPA 2 offline.

    Raises BundleError if the config can't be read.
    """
    for released in (XEncoderConfig.vjepa2(name) for name in ("L", "H", "g", "g-384")):
        if released.source == str(path_or_id):
            return released
    ours = x_encoder_folder(path_or_id)
    if ours is not None:
        return read_x_encoder_config(ours, path_or_id)
    from transformers import VJEPA2Config

    return config_from_hf(guarded(VJEPA2Config.from_pretrained, path_or_id), str(path_or_id))


def load_y_encoder(config: YEncoderConfig) -> YEncoder:
    """The sentence encoder that `config.source` names, with a fresh head; with its modules where the config takes them.

    Raises BundleError if it can't be read.
    """
    from transformers import AutoModel

    modules = None
    if config.modules == "take":
        modules = read_sentence_modules(config.source)
        config = modules.taken(config)
    elif config.dense:
        raise InputError("a Y-encoder's Dense modules come from its source: modules must be 'take'")
    encoder = YEncoder(config, _from_transformers(AutoModel, config.source))
    for dense, state in zip(encoder.dense, () if modules is None else modules.states, strict=True):
        dense.load_state_dict(state)
    return encoder


def refuse_pickles(folder: Path) -> None:
    """Raises BundleError, naming the file, if a folder has pickled weights and no safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    for file in sorted(folder.iterdir()):
        if file.suffix in PICKLES:
            raise BundleError(
                file,
                "is a pickle, which can run code when it is loaded; only safetensors are read "
                "(`vljepa weights convert` makes them of V-JEPA 2's and open-vljepa's files)",
            )
    raise BundleError(folder, "holds no .safetensors file")


def _from_transformers(kind: Any, path_or_id: str | Path) -> Any:
    if Path(path_or_id).is_dir():
        refuse_pickles(Path(path_or_id))
    model = guarded(kind.from_pretrained, path_or_id, use_safetensors=True, dtype=torch.float32)
    return model.eval()


def guarded(load: Any, path_or_id: str | Path, **options: Any) -> Any:
    """transformers' many errors as one BundleError. Code from the hub never runs."""
    found = hub_id(path_or_id)
    name, revision = (str(path_or_id), None) if found is None else found
    if revision is not None:
        options["revision"] = revision
    try:
        return load(name, trust_remote_code=False, **options)
    except Exception as error:
        raise BundleError(path_or_id, f"transformers can't load it: {error}") from error


def _from_gguf(file: GgufFile, layers: str, max_positions: int | None, dropout: float) -> LanguageModel:
    kept, config = _gguf_config(file, layers, max_positions)
    read = file.tensor
    state = {"norm.weight": read("output_norm.weight")}
    for i, block in enumerate(f"blk.{j}" for j in kept):
        q = _unpermuted(read(f"{block}.attn_q.weight"), config.heads)
        k = _unpermuted(read(f"{block}.attn_k.weight"), config.kv_heads)
        gate, up = read(f"{block}.ffn_gate.weight"), read(f"{block}.ffn_up.weight")
        state[f"layers.{i}.attention_norm.weight"] = read(f"{block}.attn_norm.weight")
        state[f"layers.{i}.qkv.weight"] = np.concatenate((q, k, read(f"{block}.attn_v.weight")))
        state[f"layers.{i}.out.weight"] = read(f"{block}.attn_output.weight")
        state[f"layers.{i}.ffn_norm.weight"] = read(f"{block}.ffn_norm.weight")
        state[f"layers.{i}.gate_up.weight"] = np.concatenate((gate, up))
        state[f"layers.{i}.down.weight"] = read(f"{block}.ffn_down.weight")
    stack = LlamaStack(config, dropout)
    try:
        stack.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    except RuntimeError as error:
        raise BundleError(file.path, f"its tensors don't fit its metadata: {error}") from error
    return LanguageModel(stack, torch.from_numpy(read("token_embd.weight")), gguf_tokenizer(file))


def _gguf_config(file: GgufFile, layers: str, max_positions: int | None) -> tuple[range, LlamaStackConfig]:
    meta = file.metadata
    if meta.get("general.architecture") != "llama":
        raise BundleError(file.path, f"the architecture must be 'llama', got {meta.get('general.architecture')!r}")
    if "rope_freqs.weight" in file.tensors:
        raise BundleError(file.path, "scales its rotary frequencies, which GGUF doesn't explain; use the safetensors")
    try:
        heads = int(meta["llama.attention.head_count"])
        kept = layer_range(layers, int(meta["llama.block_count"]))
        config = LlamaStackConfig(
            hidden=int(meta["llama.embedding_length"]),
            layers=len(kept),
            heads=heads,
            kv_heads=int(meta.get("llama.attention.head_count_kv", heads)),
            ffn=int(meta["llama.feed_forward_length"]),
            rope_theta=float(meta.get("llama.rope.freq_base", 10000.0)),
            rms_eps=float(str(np.float32(meta["llama.attention.layer_norm_rms_epsilon"]))),
            head_dim=meta.get("llama.attention.key_length"),
            max_positions=max_positions or min(int(meta["llama.context_length"]), 8192),
        )
    except KeyError as error:
        raise BundleError(file.path, f"has no {error} in its metadata") from error
    return kept, config


def _unpermuted(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """llama.cpp stores the rows of each query and key head in rotary pairs; transformers in two halves."""
    rows = weight.shape[0] // heads // 2
    halves: NDArray[np.float32] = weight.reshape(heads, rows, 2, -1).swapaxes(1, 2).reshape(weight.shape)
    return halves


def gguf_tokenizer(file: GgufFile) -> Tokenizer:
    """The byte-level BPE tokenizer of SmolLM2 inside a GGUF file. Raises BundleError for another kind."""
    meta = file.metadata
    kind = (meta.get("tokenizer.ggml.model"), meta.get("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise BundleError(file.path, f"the tokenizer must be ('gpt2', 'smollm'), got {kind}")
    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, meta["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token, kind in kinds if kind == _CONTROL_TOKEN])
    return tokenizer
