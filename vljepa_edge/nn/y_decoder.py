"""Y-decoder: a predicted embedding back to text. Light, trained on text alone after the rest, run only for an event.

The paper does not disclose its architecture. Ours: a linear map of the embedding gives a few prefix tokens, a small
causal Llama stack reads them and then the text so far; the output layer is the token embedding (tied, so a wide
vocabulary is paid once).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.greedy import greedy
from vljepa_edge.nn.llama import LlamaStack


class YDecoder(nn.Module):
    """Embedding (B, E) and the text so far, ids (B, N), to logits of each next token.

    Causal, so padding on the right changes nothing before it and needs no mask.
    """

    def __init__(self, config: YDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.prefix = nn.Linear(config.embedding, config.prefix * config.hidden)
        self.tokens = nn.Embedding(config.vocab, config.hidden)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.stack = LlamaStack(config.stack(), config.dropout, causal=True)

    def forward(self, embedding: Tensor, ids: Tensor) -> Tensor:
        """logits (B, N, vocab): logits[:, i] predicts ids[:, i + 1]. ids start with the start token.

        Raises InputError on wrong shapes or more than `max_tokens` ids.
        """
        return F.linear(self._states(embedding, ids), self.tokens.weight)

    def step(self, embedding: Tensor, ids: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """logits (B, vocab) of the token after ids (B, N), and the cache for the next step: what a deployed graph does.

        past: `LlamaStack.extend`'s. Empty (P = 0), the prefix goes in before ids; else ids follow what it holds.
        """
        first = (past.shape[2] == 0) * self.config.prefix  # a tensor while it is traced, so one graph does both
        prefix = self.prefix(embedding).reshape(-1, self.config.prefix, self.config.hidden)[:, :first]
        states, present = self.stack.extend(torch.cat((prefix, self.tokens(ids)), dim=1), past)
        return F.linear(states[:, -1], self.tokens.weight), present

    @torch.no_grad()
    def generate(self, embedding: Tensor, start: int, end: int) -> list[list[int]]:
        """Greedy text of each embedding (B, E): ids after `start`, up to and without `end`, at most max_tokens."""
        past = embedding.new_zeros((len(embedding), self.stack.cache_rows, 0, self.stack.config.head_size))

        def say(ids: Tensor) -> Tensor:
            nonlocal past
            logits, past = self.step(embedding, ids, past)
            return logits

        first = torch.full((len(embedding),), start, device=embedding.device)
        return greedy(say, first, end, self.config.max_tokens)

    def _states(self, embedding: Tensor, ids: Tensor) -> Tensor:
        """States (B, N, hidden) of the ids, after the prefix."""
        if not torch.onnx.is_in_onnx_export():
            self._check(embedding, ids)
        tokens = self.tokens(ids)
        prefix = self.prefix(embedding).reshape(-1, self.config.prefix, self.config.hidden).to(tokens.dtype)
        states: Tensor = self.stack(torch.cat((prefix, tokens), dim=1))
        return states[:, self.config.prefix :]

    def _check(self, embedding: Tensor, ids: Tensor) -> None:
        width, most = self.config.embedding, self.config.max_tokens
        if embedding.ndim != 2 or embedding.shape[1] != width:
            raise InputError(f"embedding must be (batch, {width}), not {tuple(embedding.shape)}")
        if ids.ndim != 2 or len(ids) != len(embedding) or not 1 <= ids.shape[1] <= most:
            raise InputError(f"ids must be ({len(embedding)}, 1 to {most}), not {tuple(ids.shape)}")
