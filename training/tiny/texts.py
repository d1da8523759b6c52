"""Texts and what the frozen sentence encoder makes of them, computed once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.precision import autocast

_BATCH = 128
_MAX_TOKENS = 48


class SentenceEncoder:
    """A frozen Hugging Face sentence encoder: mean of the last states over real tokens, unit length."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, L, D) last states in fp32 and (B, L) mask."""
        batch = self.tokenizer(list(texts), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        with autocast():
            states = self.model(**batch).last_hidden_state
        return states.float(), batch["attention_mask"]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each."""
        return [len(row) for row in self.tokenizer(list(texts), truncation=True, max_length=_MAX_TOKENS)["input_ids"]]

    def sentences(self, texts: Sequence[str]) -> Tensor:
        """(B, D), unit length."""
        states, mask = self.tokens(texts)
        weight = mask[..., None].float()
        return F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1)


class SentenceBank:
    """text -> sentence embedding, kept on disk. `add` what is new, then look up by text or by index."""

    def __init__(self, folder: Path, encoder: SentenceEncoder) -> None:
        self._texts_file, self._vectors_file = folder / "sentences.json", folder / "sentences.npy"
        self.encoder = encoder
        self.index: dict[str, int] = {}
        self._rows = torch.zeros(0, encoder.model.config.hidden_size, dtype=torch.float16)  # with room for more texts
        if self._texts_file.exists() and self._vectors_file.exists():
            texts = json.loads(self._texts_file.read_text())
            vectors = torch.from_numpy(np.load(self._vectors_file))
            if len(texts) == len(vectors):
                self.index, self._rows = {text: i for i, text in enumerate(texts)}, vectors

    @property
    def vectors(self) -> Tensor:
        """(N, D) in fp16, a row for each text in the order of `index`."""
        return self._rows[: len(self.index)]

    @torch.inference_mode(False)  # rows that an evaluation adds have to take training's later
    @torch.no_grad()
    def add(self, texts: Iterable[str], what: str = "texts", keep: bool = True) -> None:
        """Embed what is new, texts of one length together, else a fifth of the work would be padding. `keep` writes it
        to disk."""
        new = sorted({text for text in texts if text not in self.index})
        if not new:
            return
        lengths = dict(zip(new, self.encoder.lengths(new), strict=True))
        new.sort(key=lengths.__getitem__)
        batches = [new[i : i + _BATCH] for i in range(0, len(new), _BATCH)]
        made = [
            self.encoder.sentences(batch).half()
            for batch in track(batches, f"embedding {len(new)} {what}", disable=not keep)
        ]
        have, need = len(self.index), len(self.index) + len(new)
        if need > len(self._rows):  # a quarter more than needed: a batch of training brings a few new texts at a time
            rows = self._rows.new_empty(need + need // 4, self._rows.shape[1])
            rows[:have] = self.vectors
            self._rows = rows
        torch.cat(made, out=self._rows[have:need])
        for text in new:
            self.index[text] = len(self.index)
        if keep:
            with replacing(self._vectors_file) as vectors, replacing(self._texts_file) as texts_file:
                np.save(vectors, self.vectors.numpy())
                texts_file.write_text(json.dumps(list(self.index)))

    def ids(self, texts: Iterable[str]) -> list[int]:
        return [self.index[text] for text in texts]

    def __call__(self, texts: Iterable[str]) -> Tensor:
        """(N, D) in fp32."""
        return self.vectors[self.ids(texts)].float()
