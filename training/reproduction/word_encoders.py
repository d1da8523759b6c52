"""Text encoders without layers: a vector a token, and their mean. They know which words a text has, not their order.

Each is a folder in transformers' layout (a Llama of no layers) with a tokenizer, so the trainer takes it as a frozen
Y-encoder.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_edge.support.atomic import replacing

BAG_WIDTH = 384


def language_words(folder: Path) -> Path:
    """SmolLM2-135M's token embedding: words that a language model has learnt. 576 wide."""
    from vljepa_edge.nn.gguf_file import GgufFile
    from vljepa_edge.nn.weights import gguf_tokenizer
    from vljepa_edge.training.tiny.assets import smollm2_gguf

    file = GgufFile(smollm2_gguf())
    return write_words(folder, torch.from_numpy(file.tensor("token_embd.weight")), gguf_tokenizer(file))


def bag_of_words(folder: Path) -> Path:
    """A random vector for each of MiniLM's tokens: words of which nothing is known but that they differ."""
    from vljepa_edge.training.tiny.assets import minilm_dir

    tokenizer = Tokenizer.from_file(str(minilm_dir() / "tokenizer.json"))
    random = torch.Generator().manual_seed(0)
    return write_words(folder, torch.randn(tokenizer.get_vocab_size(), BAG_WIDTH, generator=random), tokenizer)


def write_words(folder: Path, words: Tensor, tokenizer: Tokenizer) -> Path:
    """The folder, unless it is there. words (tokens, width)."""
    if (folder / "config.json").exists():  # the last that is written
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    vocab, width = words.shape
    config = {
        "model_type": "llama", "architectures": ["LlamaModel"], "vocab_size": vocab, "hidden_size": width,
        "intermediate_size": width, "num_hidden_layers": 0, "num_attention_heads": 1, "num_key_value_heads": 1,
        "max_position_embeddings": 512,
    }  # fmt: skip
    with replacing(folder / "tokenizer.json") as part:
        part.write_text(tokenizer.to_str(), encoding="utf-8")
    with replacing(folder / "model.safetensors") as part:
        state = {"embed_tokens.weight": words.contiguous(), "norm.weight": torch.ones(width)}
        save_file(state, part, metadata={"format": "pt"})
    with replacing(folder / "config.json") as part:
        part.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder
