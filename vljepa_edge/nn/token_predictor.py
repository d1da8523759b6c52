"""Token prediction: the vision-language model that the paper compares with (section 4.5), made of the same parts.

Vision tokens, then the query, then the answer; Llama layers; the output layer is the token embedding (tied). Trained
with cross-entropy of each next token of the answer, all tokens before it being the right ones.

Causal all over, vision and query too: the paper's baseline is Llama-3.2-1B by PerceptionLM's recipe, which leaves the
language model's mask as it was trained. Text is written with a cache, so vision and query are read once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import TokenPredictorConfig
from vljepa_edge.nn.greedy import greedy
from vljepa_edge.nn.llama import LlamaStack
from vljepa_edge.nn.predictor import StreamTokens


class TokenPredictor(nn.Module):
    """(S_V, X_Q, the answer so far) to logits of each next token.

    A query may be padded at its end: padding is moved to the front of the sequence, so that the answer follows the
    query, and no token sees it. Rotary positions are relative, so a row's logits don't depend on the others' lengths.
    """

    def __init__(self, config: TokenPredictorConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.stack.hidden
        self.streams = nn.ModuleDict({stream.name: StreamTokens(stream, hidden) for stream in config.streams})
        self.query = nn.Linear(config.query_dim, hidden)
        self.tokens = nn.Embedding(config.vocab, hidden)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.stack = LlamaStack(config.stack, config.dropout, causal=True)

    def forward(
        self,
        streams: Mapping[str, Tensor],
        ids: Tensor,
        query_tokens: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> Tensor:
        """logits (B, N, vocab): logits[:, i] predicts ids[:, i + 1]. ids (B, N) start with the start token; what is
        padded at their end changes nothing before it.

        streams, query_tokens, query_mask: as of `Predictor`. Raises InputError on wrong shapes or more than
        `max_tokens` ids.
        """
        self._check(streams, ids)
        prefix, mask = self._prefix(streams, query_tokens, query_mask)
        if mask is not None:
            mask = torch.cat((mask, torch.ones_like(ids, dtype=mask.dtype)), dim=1)
        states = self.stack(torch.cat((prefix, self.tokens(ids)), dim=1), mask)
        return F.linear(states[:, prefix.shape[1] :], self.tokens.weight)

    @torch.no_grad()
    def generate(
        self,
        streams: Mapping[str, Tensor],
        start: int,
        end: int,
        query_tokens: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> list[list[int]]:
        """Greedy answers: ids after `start`, up to and without `end`, at most max_tokens - 1."""
        past, mask = self._read(streams, query_tokens, query_mask)

        def say(ids: Tensor) -> Tensor:
            nonlocal past, mask
            logits, past, mask = self._say(ids, past, mask)
            return logits[:, -1]

        first = torch.full((len(past),), start, device=past.device)
        return greedy(say, first, end, self.config.max_tokens - 1)

    @torch.no_grad()
    def log_likelihood(
        self,
        streams: Mapping[str, Tensor],
        ids: Tensor,
        id_mask: Tensor,
        query_tokens: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, C): of each row the mean log probability of the tokens of each of C answers, after the start token: the
        lowest perplexity is the highest. ids and id_mask (C, L): answers from the start to the end token, padded at
        their end.

        Raises InputError on wrong shapes, more than `max_tokens` ids, or an answer of less than two.
        """
        self._check(streams, ids, rows=False)
        counted = id_mask[:, 1:].to(torch.float32)
        if not bool((counted.sum(1) > 0).all()):
            raise InputError("each answer must have a token after its start")
        past, mask = self._read(streams, query_tokens, query_mask)
        found = []
        for row in range(len(past)):
            own = None if mask is None else mask[row : row + 1].expand(len(ids), -1)
            logits, _, _ = self._say(ids[:, :-1], past[row : row + 1].expand(len(ids), -1, -1, -1), own)
            said = -F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
            found.append((said * counted).sum(1) / counted.sum(1))
        return torch.stack(found)

    def _say(self, ids: Tensor, past: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """logits (B, N, vocab) of the tokens after ids (B, N), and cache and mask with them."""
        if mask is not None:
            mask = torch.cat((mask, torch.ones_like(ids, dtype=mask.dtype)), dim=1)
        states, present = self.stack.extend(self.tokens(ids), past, mask)
        return F.linear(states, self.tokens.weight), present, mask

    def _read(
        self, streams: Mapping[str, Tensor], query_tokens: Tensor | None, query_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The cache of vision and query, and their mask."""
        prefix, mask = self._prefix(streams, query_tokens, query_mask)
        past = prefix.new_zeros((len(prefix), self.stack.cache_rows, 0, self.stack.config.head_size))
        return self.stack.extend(prefix, past, mask)[1], mask

    def _prefix(
        self, streams: Mapping[str, Tensor], query_tokens: Tensor | None, query_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Vision and query (B, P, hidden), and which are tokens (B, P), padding first; None: all are."""
        tokens = []
        for name, module in self.streams.items():
            assert isinstance(module, StreamTokens)
            tokens.append(module(module.flat(streams[name])))
        vision = torch.cat(tokens, dim=1)
        if query_tokens is None:
            return vision, None
        prefix = torch.cat((vision, self.query(query_tokens)), dim=1)
        if query_mask is None:
            return prefix, None
        mask = torch.cat((torch.ones_like(vision[:, :, 0], dtype=torch.bool), query_mask.bool()), dim=1)
        first = torch.arange(mask.shape[1], device=mask.device) - (~mask).sum(1, keepdim=True)
        place = first % mask.shape[1]
        return prefix.gather(1, place[:, :, None].expand_as(prefix)), mask.gather(1, place)

    def _check(self, streams: Mapping[str, Tensor], ids: Tensor, rows: bool = True) -> None:
        """rows: whether ids have a row for each of the streams."""
        if set(streams) != set(self.streams):
            raise InputError(f"streams must be {sorted(self.streams)}, not {sorted(streams)}")
        most = self.config.max_tokens
        count = len(next(iter(streams.values()))) if rows else len(ids)
        if ids.ndim != 2 or len(ids) != count or not 1 <= ids.shape[1] <= most:
            raise InputError(f"ids must be ({count}, 1 to {most}), not {tuple(ids.shape)}")
