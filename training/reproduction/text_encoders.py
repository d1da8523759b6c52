"""Text encoders to compare a Y-encoder with: what it was before its training, and one that knows words alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.embedder import Array, Look

_WORD = re.compile(r"[a-z0-9']+")
_BATCH = 64


class TextsAlone:
    """An embedder that sees nothing. It is measured without a cache, so its digest names its kind alone."""

    @property
    def digest(self) -> str:
        """See above."""
        return type(self).__name__

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """Raises InputError."""
        raise InputError("a text encoder sees no videos")

    def decode(self, embeddings: Array) -> list[str]:
        """Raises InputError."""
        raise InputError("a text encoder says nothing")


class BagOfWords(TextsAlone):
    """Counts of the words of the texts that are given together: order says nothing. Rows are not scaled."""

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """(N, words) counts; prompt: it has none."""
        found = [_WORD.findall(text.lower()) for text in texts]
        places = {word: place for place, word in enumerate(sorted({word for words in found for word in words}))}
        counts = np.zeros((len(texts), max(1, len(places))), np.float32)
        for row, words in enumerate(found):
            for word in words:
                counts[row, places[word]] += 1
        return counts


class SentenceModel(TextsAlone):
    """A sentence encoder of transformers in fp32: the mean of its last states, unit length."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """(N, D); prompt: it has none."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = np.empty((len(texts), self._model.config.hidden_size), np.float32)
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            batch = self._tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
            weight = batch["attention_mask"][..., None].float()
            states = self._model(**batch).last_hidden_state
            found[rows] = F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1).numpy()
        return found
