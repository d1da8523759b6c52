"""Samples to a batch: texts to token ids by the model's own tokenizers, padded to the longest, and text keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.training.batch import Batch, Negatives, Tokens
from vljepa_edge.training.data.sample import Sample

MAX_TOKENS = 512  # of a query and of a target (section 3 of the paper)


class Row(NamedTuple):
    """The texts of a sample as numbers: token ids, and the keys of the target and of other right texts. cut: what of
    the query or the target is left out, in words; empty where nothing is."""

    name: str
    query: list[int]
    target: list[int]
    key: int
    also: list[int]
    negatives: list[list[int]]
    text: str = ""
    cut: str = ""


class Collate:
    """Reads samples' texts and makes batches on the CPU. Can be sent to workers.

    query: None for a model without queries. query_tokens, target_tokens: at which a text is cut off, special tokens
    counted. target_prompt: what the Y-encoder reads before every text (its config's prompt). negatives: of each sample
    at most so many are taken.
    """

    def __init__(
        self,
        query: Tokenizer | None,
        target: Tokenizer,
        *,
        query_tokens: int = MAX_TOKENS,
        target_tokens: int = MAX_TOKENS,
        target_prompt: str = "",
        negatives: int = 0,
    ) -> None:
        """Raises InputError for less than 1 token or 0 negatives."""
        if query_tokens < 1 or target_tokens < 1 or negatives < 0:
            raise InputError(
                f"texts must have at least 1 token and samples 0 negatives, got {query_tokens} and {target_tokens} "
                f"tokens and {negatives} negatives"
            )
        self._query = None if query is None else cutting(query, query_tokens)
        self._target = cutting(target, target_tokens)
        self._prompt = target_prompt
        self._negatives = negatives

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        """The texts of samples. An empty query has no token, not even special ones.

        Raises InputError for a query where the model has none.
        """
        queries = [sample.query for sample in samples]
        if self._query is None and any(queries):
            raise InputError(f"the data has queries ({next(filter(None, queries))!r}), and the model takes none")
        wrong = [sample.negatives[: self._negatives] for sample in samples]
        some = iter(_encoded(self._query, [query for query in queries if query]))
        asked = [next(some) if query else Encoding() for query in queries]
        targets = _encoded(self._target, [self._prompt + sample.target for sample in samples])
        negatives = iter(_encoded(self._target, [self._prompt + text for texts in wrong for text in texts]))
        return [
            Row(
                name=sample.key,
                query=query.ids,
                target=target.ids,
                key=key_of_text(sample.target if sample.text_key is None else sample.text_key),
                also=[key_of_text(text) for text in sample.also],
                negatives=[next(negatives).ids for _ in texts],
                text=sample.target,
                cut=_cut("query", query) or _cut("target", target),
            )
            for sample, query, target, texts in zip(samples, asked, targets, wrong, strict=True)
        ]

    def __call__(self, samples: Sequence[Sample], video: Tensor) -> Batch:
        """A batch of samples and their clips, uint8 (B, T, H, W, 3)."""
        return batch_of(self.rows(samples), video)


def batch_of(rows: Sequence[Row], video: Tensor | Mapping[str, Tensor]) -> Batch:
    """A batch of rows and their clips, uint8 (B, T, H, W, 3), or streams by name, which it keeps.

    There is no query where all are empty: the query-free first stage. Else a row without one has no token.
    """
    return Batch(
        video=video,
        target=padded([row.target for row in rows]),
        keys=torch.tensor([row.key for row in rows], dtype=torch.int64),
        query=padded([row.query for row in rows]) if any(row.query for row in rows) else None,
        also=_also(rows),
        negatives=_negatives(rows),
        names=tuple(row.name for row in rows),
        texts=tuple(row.text for row in rows),
    )


def key_of_text(text: str) -> int:
    """The int64 that stands for a text in the loss, the same in every process and run.

    Of two texts that differ it is the same with a chance of 2 ** -64.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def cutting(tokenizer: Tokenizer, most: int) -> Tokenizer:
    """A copy that cuts texts at `most` tokens, special ones counted, and pads none."""
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(most)
    return copy


def _encoded(tokenizer: Tokenizer | None, texts: list[str]) -> list[Encoding]:
    return [] if tokenizer is None else list(tokenizer.encode_batch(texts))


def _cut(what: str, text: Encoding) -> str:
    """What a tokenizer that cuts left out of a text, in words."""
    return f"its {what} is cut off after {len(text.ids)} tokens, the most that are read" if text.overflowing else ""


def padded(texts: Sequence[Sequence[int]]) -> Tokens:
    lengths = torch.tensor([len(ids) for ids in texts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    ids[mask] = torch.tensor([token for text in texts for token in text], dtype=torch.int64)
    return Tokens(ids, mask)


def _also(rows: Sequence[Row]) -> Tensor | None:
    most = max(len(row.also) for row in rows)
    if most == 0:
        return None
    return torch.tensor([[*row.also, *[row.key] * (most - len(row.also))] for row in rows], dtype=torch.int64)


def _negatives(rows: Sequence[Row]) -> Negatives | None:
    """Where a row has fewer than others its target stands, masked: a text without a token has no embedding."""
    most = max(len(row.negatives) for row in rows)
    if most == 0:
        return None
    texts = [text for row in rows for text in (*row.negatives, *[row.target] * (most - len(row.negatives)))]
    held = torch.tensor([len(row.negatives) for row in rows])
    return Negatives(padded(texts), torch.arange(most) < held[:, None])
