"""What a frozen Y-encoder makes of texts, computed once for each: a run says the same texts again and again.

Texts go through the encoder in batches of a fixed shape, whatever other texts are new in the step. So what is made of a
text doesn't depend on its neighbours, and a run that was interrupted makes the same of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_encoder import YEncoder
from vljepa_edge.training.batch import Batch, Negatives, Tokens, TokenStates
from vljepa_edge.training.data.collate import padded
from vljepa_edge.training.precision import cast_once

_ROWS = 64
_LENGTHS = 8  # texts are padded to a multiple of it
_MOST = 300_000  # texts that are kept; then all are forgotten, which costs time alone

_Ids: TypeAlias = tuple[int, ...]


class TextMemo:
    """Replaces a batch's token ids by what the frozen part of the model's Y-encoder makes of them."""

    def __init__(self, model: VLJepa, *, bf16: bool, targets: bool = True) -> None:
        """targets: whether they and negatives are replaced, not queries alone."""
        self._model, self._bf16, self._targets = model, bf16, targets
        self._pooled: dict[_Ids, Tensor] = {}
        self._states: dict[_Ids, Tensor] = {}

    def __call__(self, batch: Batch) -> Batch:
        """The batch with pooled states as targets and negatives, and token states as query where the model reads
        queries with its Y-encoder."""
        query, negatives = batch.query, batch.negatives
        if isinstance(query, Tokens) and self._model.query_embedding is None:
            query = self._queries(query)
        if not self._targets:
            return replace(batch, query=query)
        if negatives is not None and isinstance(negatives.texts, Tokens):
            rows, most = negatives.mask.shape
            negatives = Negatives(self._texts(negatives.texts).reshape(rows, most, -1), negatives.mask)
        target = self._texts(batch.target) if isinstance(batch.target, Tokens) else batch.target
        return replace(batch, target=target, query=query, negatives=negatives)

    def _texts(self, tokens: Tokens) -> Tensor:
        """(B, D) pooled."""
        rows = _rows(tokens)
        self._learn(rows, self._pooled)
        return torch.stack([self._pooled[row] for row in rows]).to(tokens.ids.device)

    def _queries(self, tokens: Tokens) -> TokenStates:
        """A row without a token has zeros, which are masked."""
        rows = _rows(tokens)
        self._learn([row for row in rows if row], self._states)
        width = self._model.config.predictor.query_dim
        states = torch.zeros(*tokens.ids.shape, width)
        for place, row in zip(states, rows, strict=True):
            if row:
                place[: len(row)] = self._states[row]
        return TokenStates(states.to(tokens.ids.device), tokens.mask)

    @cached_property
    def _encoder(self) -> YEncoder:
        encoder = self._model.y_encoder
        return cast_once(encoder) if self._bf16 else encoder

    @torch.no_grad()
    def _learn(self, rows: Sequence[_Ids], known: dict[_Ids, Tensor]) -> None:
        if len(known) > _MOST:
            known.clear()
        new = [row for row in dict.fromkeys(rows) if row not in known]
        by_length: dict[int, list[_Ids]] = {}
        most = self._model.y_encoder.config.max_tokens
        for row in new:
            by_length.setdefault(min(-(-len(row) // _LENGTHS) * _LENGTHS, most), []).append(row)
        for length, texts in by_length.items():
            for begin in range(0, len(texts), _ROWS):
                self._encode(texts[begin : begin + _ROWS], length, known)

    def _encode(self, texts: list[_Ids], length: int, known: dict[_Ids, Tensor]) -> None:
        """Texts of at most `length` tokens, at most _ROWS; the rest of the batch repeats the first."""
        encoder, device = self._encoder, self._model.log_scale.device
        filled = [*texts, *[texts[0]] * (_ROWS - len(texts))]
        tokens = padded([*filled, (0,) * length])  # the last row sets the width
        ids, mask = tokens.ids[:-1].to(device), tokens.mask[:-1].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            states = encoder.token_states(ids, mask).float()
            made = states if known is self._states else encoder.pool(states, mask, ids)
        for text, own in zip(texts, made.cpu(), strict=False):
            known[text] = own[: len(text)].clone() if known is self._states else own.clone()


def _rows(tokens: Tokens) -> list[_Ids]:
    lengths = tokens.mask.sum(1).tolist()
    return [tuple(row[:length]) for row, length in zip(tokens.ids.tolist(), lengths, strict=True)]
