"""A sentence encoder of MiniLM's kind with random weights and a tokenizer of given words, as a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer(words: Sequence[str]) -> Tokenizer:
    """WordPiece of whole words and single letters, lower case, as BERT's."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.?,'-"]
    pieces = dict.fromkeys(
        [*_SPECIAL, *sorted({word.lower() for word in words}), *letters, *(f"##{c}" for c in letters)]
    )
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", _SPECIAL.index("[CLS]")), ("[SEP]", _SPECIAL.index("[SEP]"))]
    )
    return made


def bert(vocab: int, width: int) -> BertModel:
    """Weights large enough that words and their order matter."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab, hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=2 * width,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    return BertModel(config).eval()


def write_sentence_encoder(folder: Path, words: Sequence[str], width: int) -> Path:
    """A folder that AutoModel and AutoTokenizer read, with the tokenizer.json that a bundle wants."""
    made = tokenizer(words)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    fast.save_pretrained(folder)
    bert(made.get_vocab_size(), width).save_pretrained(folder)
    return folder
