"""What both arms of token prediction start from, made once of the texts that they train on, without any picture.

The paper has a language model, Llama-3.2-1B: the token predictor starts from all of it, VL-JEPA's predictor from the
second half of its layers. And it has a text encoder with a decoder, SONAR. Here a language model of the token
predictor's size and a Y-decoder for MiniLM are trained on the texts, with as many steps each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_edge.nn.config import LlamaStackConfig, YDecoderConfig
from vljepa_edge.nn.llama import LlamaStack
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.config import Decoder, TokenModel
from vljepa_edge.training.reproduction.experiment import Report
from vljepa_edge.training.tiny.decoder import word_tokenizer
from vljepa_edge.training.y_decoder import Pairs, embed_texts, encode_ids, train_decoder

_SEED = 0


class Language(nn.Module):
    """A language model, named as a TokenPredictor's parts are."""

    def __init__(self, vocab: int, sizes: TokenModel) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, sizes.hidden)
        nn.init.normal_(self.tokens.weight, std=0.02)
        stack = LlamaStackConfig(
            sizes.hidden, sizes.layers, sizes.heads, sizes.heads, sizes.ffn, max_positions=sizes.max_tokens
        )
        self.stack = LlamaStack(stack, sizes.dropout, causal=True)

    def forward(self, given: Tensor, ids: Tensor) -> Tensor:
        """logits (B, N, vocab) of the token after each of ids (B, N). given: nothing, in the place of an embedding."""
        return F.linear(self.stack(self.tokens(ids)), self.tokens.weight)


class Parts(NamedTuple):
    """tokenizer: a token a word of the texts. language: and its file. decoder: of the Y-encoder's embeddings."""

    tokenizer: Tokenizer
    language: Language
    file: Path
    decoder: YDecoder


def language_parts(
    folder: Path, model: VLJepa, target: Tokenizer, read: Callable[[], list[str]], sizes: TokenModel,
    training: Decoder, report: Report,
) -> Parts:  # fmt: skip
    """Made now unless they are in the folder.

    model: its Y-encoder is what the decoder is for; target: its tokenizer. read: the texts. sizes: of the language
    model. training: of each of the two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words, file, said = folder / "words.json", folder / "language.safetensors", folder / "y_decoder.safetensors"
    texts = [] if words.exists() and file.exists() and said.exists() else read()
    if not words.exists():
        with replacing(words) as part:
            part.write_text(word_tokenizer(texts).to_str(), encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(words))
    vocab, width = tokenizer.get_vocab_size(), model.config.predictor.embedding
    torch.manual_seed(_SEED)
    language = Language(vocab, sizes)
    decoder = YDecoder(YDecoderConfig(vocab, max_tokens=sizes.max_tokens, embedding=width))
    if not file.exists():
        nothing = torch.zeros(len(texts), 1)
        _train(language, nothing, encode_ids(texts, tokenizer, sizes.max_tokens), training, "language model", report)
        _save(language, file)
    if not said.exists():
        embeddings = embed_texts(
            model, target, texts, lambda done, total: report("embedding texts", done, total), bf16=False
        )
        _train(decoder, embeddings, encode_ids(texts, tokenizer, sizes.max_tokens), training, "Y-decoder", report)
        _save(decoder, said)
    language.load_state_dict(load_file(file))
    decoder.load_state_dict(load_file(said))
    return Parts(tokenizer, language, file, decoder.eval())


def take_last_layers(stack: LlamaStack, language: Language) -> None:
    """Start a stack from the last of the language model's layers and its norm."""
    stack.layers.load_state_dict(language.stack.layers[-len(stack.layers) :].state_dict())
    stack.norm.load_state_dict(language.stack.norm.state_dict())


def _train(module: nn.Module, given: Tensor, ids: Tensor, training: Decoder, what: str, report: Report) -> None:
    train_decoder(
        module, Pairs(given, ids, len(ids)), training, seed=_SEED, bf16=False,
        on_step=lambda step, _: report(what, step + 1, training.steps),
    )  # fmt: skip


def _save(module: nn.Module, file: Path) -> None:
    with replacing(file) as part:
        save_file({name: value.contiguous() for name, value in module.state_dict().items()}, part)
