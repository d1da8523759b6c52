"""The Y-encoder alone: target embeddings of texts, for who has no video to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.manifest import TEXT_BATCH
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Precision, compile_all, open_engine
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.tokenizer import BundleTokenizer
from vljepa_edge.support.arguments import as_texts

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.engines.base import Engine, Graph
    from vljepa_edge.perception.text_sets import OnTexts


class TextEncoder:
    """The Y-encoder of a bundle and its tokenizer. Safe from many threads."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        """Compiles no other graph. Raises as a Model does."""
        text = bundle.manifest.text
        self.bundle = bundle
        self._graph = compile_all(engine, bundle, ("y_encoder",))["y_encoder"]
        self._tokenizer = bundle_tokenizer(bundle, text.target_tokenizer, text.target_tokens)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        engine: str = "openvino",
        threads: int | None = None,
        precision: Precision = "auto",
    ) -> TextEncoder:
        """That of a bundle. Arguments and errors are those of `vljepa_edge.load`."""
        bundle = Bundle.open(default_bundle() if path is None else path)
        return cls(bundle, open_engine(engine, threads=threads, precision=precision))

    def embed_text(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """As `Model.embed_text` does."""
        return embed_texts(self.bundle.manifest, self._tokenizer, self._graph, texts)


def embed_texts(
    manifest: Manifest,
    tokenizer: BundleTokenizer,
    graph: Graph,
    texts: Iterable[str],
    report: OnTexts | None = None,
    *,
    prompt: bool = True,
) -> NDArray[np.float32]:
    """What `Text.embed` gives, of a bundle's target tokenizer and its Y-encoder."""
    before = manifest.text.target_prompt if prompt else ""
    encoded = tokenizer.encode([before + text for text in as_texts(texts, "texts")])
    found = np.empty((len(encoded), manifest.embedding.width), np.float32)
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    for first in range(0, len(order), TEXT_BATCH):
        rows = order[first : first + TEXT_BATCH]
        ids, mask = pad([encoded[row] for row in rows])
        found[rows] = unit("y_encoder", graph({"input_ids": ids, "attention_mask": mask})["embedding"])
        if report is not None:
            report(first + len(rows), len(order))
    return found


def bundle_tokenizer(bundle: Bundle, file: str, most: int | None = None) -> BundleTokenizer:
    """One of a bundle's tokenizers, which cuts texts off at `most` tokens."""
    return BundleTokenizer(file, bundle.read(file), most)


def pad(rows: Sequence[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask [B, L], L at least 1; what is masked has id 0."""
    longest = max([1, *map(len, rows)])
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
        mask[row, : len(values)] = 1
    return ids, mask
