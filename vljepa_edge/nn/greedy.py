"""Greedy text, a token at a time: what the Y-decoder and the token predictor say in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def greedy(say: Callable[[Tensor], Tensor], first: Tensor, end: int, most: int) -> list[list[int]]:
    """The likeliest next token again and again, up to and without `end`, at most `most` of each row.

    first: int64 (B,), the tokens that come before all. say: logits (B, vocab) of the token after the given ones (B, 1);
    it keeps what it was given before.
    """
    token, ended = first, torch.zeros_like(first, dtype=torch.bool)
    said: list[Tensor] = []
    while len(said) < most and not bool(ended.all()):
        token = say(token[:, None]).argmax(-1)
        ended = ended | (token == end)
        said.append(token)
    rows = torch.stack(said, 1).tolist() if said else [[] for _ in first]
    return [row[: row.index(end)] if end in row else row for row in rows]
