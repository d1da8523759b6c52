"""One step's data, whatever it came from: pixels or cached features, texts as token ids or as cached states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Texts as token ids. ids int64 (B, L); mask bool (B, L), true where there is a token. A row may have none."""

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TokenStates:
    """Queries as the frozen encoder's states. states (B, L, D); mask bool (B, L), true where there is a token."""

    states: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Negatives:
    """More negative texts for each video, K at most. texts: (B * K, L) tokens, or (B, K, D) pooled states; mask bool
    (B, K), true where there is one."""

    texts: Tokens | Tensor
    mask: Tensor

    def of(self, rows: slice) -> Negatives:
        """Those of some rows of the batch."""
        most = self.mask.shape[1]
        texts = slice(rows.start * most, rows.stop * most) if isinstance(self.texts, Tokens) else rows
        return Negatives(_cut(self.texts, texts), self.mask[rows])


@dataclass(frozen=True)
class Batch:
    """B samples of one step on one device.

    video: uint8 (B, T, H, W, 3), or the predictor's streams by name. query: None in the query-free first stage.
    target: tokens, or pooled states (B, D) of a frozen backbone, which only the head is left to do. keys int64 (B,): of
    the targets' texts; also int64 (B, R): more keys that are right for each video, padded with the row's own key.
    names: which samples these are, for messages. texts: the targets.
    """

    video: Tensor | Mapping[str, Tensor]
    target: Tokens | Tensor
    keys: Tensor
    query: Tokens | TokenStates | None = None
    also: Tensor | None = None
    negatives: Negatives | None = None
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def filled(self, query: bool, negatives: bool) -> Batch:
        """With a query of no token and a masked negative where they are wanted and there are none: on another rank
        there are, and all must run the same layers."""
        rows, found = len(self), self
        if query and self.query is None:
            nothing = self.keys.new_zeros((rows, 1))
            found = replace(found, query=Tokens(nothing, nothing.bool()))
        if negatives and self.negatives is None:
            texts = self.target if isinstance(self.target, Tokens) else self.target[:, None]
            found = replace(found, negatives=Negatives(texts, self.keys.new_zeros((rows, 1)).bool()))
        return found

    def split(self, counts: Sequence[int]) -> list[Batch]:
        """Chunks of so many samples each, views of this one."""
        return [self._rows(slice(end - count, end)) for count, end in zip(counts, accumulate(counts), strict=True)]

    def _rows(self, rows: slice) -> Batch:
        video = {name: value[rows] for name, value in self.video.items()} if isinstance(self.video, Mapping) else (
            self.video[rows]
        )  # fmt: skip
        return Batch(
            video, _cut(self.target, rows), self.keys[rows], _cut(self.query, rows),
            None if self.also is None else self.also[rows],
            None if self.negatives is None else self.negatives.of(rows), self.names[rows], self.texts[rows],
        )  # fmt: skip

    def to(self, device: torch.device | str) -> Batch:
        """This batch on a device; itself where it is there already."""
        moved: Batch = _moved(self, device)
        return moved


def _cut(texts: Any, rows: slice) -> Any:
    """Rows of texts in whichever form they are."""
    if isinstance(texts, Tokens):
        return Tokens(texts.ids[rows], texts.mask[rows])
    if isinstance(texts, TokenStates):
        return TokenStates(texts.states[rows], texts.mask[rows])
    return None if texts is None else texts[rows]


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, (Batch, Tokens, TokenStates, Negatives)):
        return replace(value, **{field.name: _moved(getattr(value, field.name), device) for field in fields(value)})
    return value
