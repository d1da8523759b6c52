"""The text half of a model: queries for the predictor, target embeddings (Y-encoder), decoded text (Y-decoder)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.engines.base import run_many
from vljepa_edge.errors import InputError
from vljepa_edge.perception.finite import check_finite, not_finite
from vljepa_edge.perception.text_encoder import bundle_tokenizer, embed_texts, pad
from vljepa_edge.perception.text_sets import OnTexts, TextSets
from vljepa_edge.perception.together import End, Look, Together, alone
from vljepa_edge.perception.tokenizer import BundleTokenizer
from vljepa_edge.support.arguments import as_text, shown

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import GraphEntry, Manifest, TextEntry
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.engines.base import Graph

Call = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Query:
    """A query, embedded: float32 tokens [1, L, D] and int64 mask [1, L] (1 where a token is)."""

    text: str
    tokens: NDArray[np.float32]
    mask: NDArray[np.int64]


class Tokenizers(NamedTuple):
    """Those of one bundle."""

    query: BundleTokenizer
    target: BundleTokenizer
    decoder: BundleTokenizer


def read_tokenizers(bundle: Bundle) -> Tokenizers:
    """The tokenizers of a bundle. Raises BundleError."""
    text = bundle.manifest.text
    return Tokenizers(
        bundle_tokenizer(bundle, text.query_tokenizer, text.query_tokens),
        bundle_tokenizer(bundle, text.target_tokenizer, text.target_tokens),
        bundle_tokenizer(bundle, text.decoder_tokenizer),
    )


class Text:
    """Tokenizers and text graphs of one bundle. Safe from many threads.

    `sets.get(texts)` is `embed(texts)` for sets of texts that come again: it keeps the embeddings of those used last.
    """

    def __init__(self, manifest: Manifest, graphs: Mapping[str, Graph], tokenizers: Tokenizers) -> None:
        self._manifest, self._tokenizers = manifest, tokenizers
        self._query, self._y_encoder, self._y_decoder = graphs["query"], graphs["y_encoder"], graphs["y_decoder"]
        self._width = manifest.embedding.width
        self._decoder_entry, self._limits = manifest.graphs["y_decoder"], manifest.text
        takes_many = getattr(self._y_decoder, "takes_many", False)
        self._together: Together[Call] = Together(self._step, 1, 8) if takes_many else Together(self._step, None, 1)
        self.sets = TextSets(self.embed)

    def query(self, text: str, *, cut: bool = False) -> Query:
        """Embed a query for the predictor.

        cut: cut off the tokens beyond the manifest's `query_tokens`, as training on a data set does.

        The empty query asks nothing: the predictor sees the video alone, as in pretraining (section 3.2 of the paper).
        Where the manifest's `empty_query` is "tokens", it sees the tokens that the tokenizer adds to every text too.
        Raises InputError when `text` is not a text or, without `cut`, has more tokens than that; EngineError when its
        embedding is not finite.
        """
        text, most = as_text(text, "query"), self._limits.query_tokens
        if not cut and (count := self._tokenizers.query.count(text)) > most:
            raise InputError(f"query must have at most {most} tokens, got {count}")
        ids, mask = pad(self._tokenizers.query.encode([text]))
        tokens = self._query({"input_ids": ids, "attention_mask": mask})["query_tokens"]
        check_finite("query", tokens)
        if not text and self._limits.empty_query == "none":
            mask = np.zeros_like(mask)  # which no graph can tell from no token at all
        return Query(text, tokens, mask)

    def embed(
        self, texts: Iterable[str], report: OnTexts | None = None, *, prompt: bool = True
    ) -> NDArray[np.float32]:
        """Target embeddings [N, E] of unit norm, in the order of `texts`, each behind the manifest's `target_prompt`,
        or alone without `prompt`; tokens beyond `target_tokens` are cut off.

        Texts of similar length run together, so that padding costs little. report: called after each batch with how
        many are embedded, and how many there are. Raises InputError when one is empty or not a text, EngineError when
        an embedding is not finite or zero.
        """
        return embed_texts(self._manifest, self._tokenizers.target, self._y_encoder, texts, report, prompt=prompt)

    def decode(self, embedding: NDArray[np.float32]) -> str:
        """Read an embedding [E] out as text: greedy, until the end token or the manifest's `decoder_tokens`.

        Raises InputError when `embedding` has another shape, or is zero or not finite, EngineError when the Y-decoder's
        numbers are not finite.
        """
        return self.decode_all([embedding])[0]

    def decode_all(self, embeddings: Sequence[NDArray[np.float32]]) -> list[str]:
        """What decode() gives for each, read out together; raises the first of what it raises for any."""
        ends = self.decode_each(embeddings)
        for end in ends:
            if end.error is not None:
                raise end.error
        return [end.value for end in ends]

    def decode_each(self, embeddings: Sequence[NDArray[np.float32]]) -> list[End[str]]:
        """What decode() gives, or raises, for each. They are read out together, a token of each at a time, and with
        those of other streams that wait."""
        return self._together.run_each([self._decoding(embedding) for embedding in embeddings])

    def _step(self, calls: Sequence[Call]) -> list[dict[str, NDArray[Any]]]:
        return run_many(self._y_decoder, calls)

    def _decoding(self, embedding: NDArray[np.float32]) -> Look[Call, str]:
        vector = _vector(embedding, self._width)
        ids = yield from _reading(self._decoder_entry, self._limits, vector[None])
        return self._tokenizers.decoder.decode(ids).strip()


def greedy(graph: Graph, entry: GraphEntry, text: TextEntry, embedding: NDArray[np.float32]) -> list[int]:
    """The likeliest token at each step, without the start and the end token, at most `decoder_tokens` of them.

    graph: the Y-decoder that `entry` describes. embedding: (1, E), unit norm. A graph with `past` keeps the keys and
    values of what it has read, so each step gives it one token; one without reads the complete text again. Raises
    EngineError when the logits are not finite.
    """
    return alone(lambda calls: run_many(graph, calls), _reading(entry, text, embedding))


def _reading(entry: GraphEntry, text: TextEntry, embedding: NDArray[np.float32]) -> Look[Call, list[int]]:
    """greedy() as a look, which asks for what the graph gives for a call."""
    start = text.decoder_end if text.decoder_start is None else text.decoder_start
    given: dict[str, NDArray[Any]] = {"embedding": embedding, "ids": np.array([[start]], np.int64)}
    past = entry.input("past")
    if past is not None:
        given["past"] = np.zeros((1, past.shape[1], 0, past.shape[3]), np.float32)
    said: list[int] = []
    while len(said) < text.decoder_tokens:
        out = yield given
        logits = out["logits"][0]
        token = int(logits.argmax())  # the first NaN, if there is one
        if not np.isfinite(logits[token]):
            raise not_finite("y_decoder", "logits are")
        if token == text.decoder_end:
            break
        said.append(token)
        latest = np.array([[token]], np.int64)
        given["ids"] = latest if past is not None else np.concatenate((given["ids"], latest), axis=1)
        if past is not None:
            given["past"] = out["present"]
    return said


def _vector(embedding: object, width: int) -> NDArray[np.float32]:
    """An embedding that a caller gave, scaled to unit norm: float32 [width]."""
    try:
        given = np.asarray(embedding)
        exact = given.astype(np.float64) if given.dtype.kind in "fiu" else None
    except Exception:  # what np.asarray raises is up to the object
        exact = None
    if exact is not None and exact.shape == (width,) and np.isfinite(exact).all() and exact.any():
        exact = exact / np.abs(exact).max()  # so that no square is too large or too small
        vector: NDArray[np.float32] = (exact / np.linalg.norm(exact)).astype(np.float32)
        return vector
    got = shown(embedding) if exact is None else f"an array of shape {exact.shape}"
    raise InputError(f"an embedding to decode must be {width} finite numbers, not all zero, got {got}")
