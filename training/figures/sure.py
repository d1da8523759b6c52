"""How far a bundle's confidence can be trusted: on captioned photographs that nothing was trained on or fitted to.

What is right is told by what people wrote (training.everyday.truth), which calls some things wrong that are only
unsaid.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import BundleError
from vljepa_edge.evaluation.ranks import percent
from vljepa_edge.model import Model
from vljepa_edge.training.confidence import auc, expected_calibration_error, reliability
from vljepa_edge.training.everyday.truth import caption_is_right, general_is_right
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.figures.kept import Array, decode_items, embed_items, keep, progress

BINS = 10
_EMPTY = "."  # for a text that can't be embedded; its confidence is 0


@dataclass(frozen=True)
class Said:
    """What is said of the items of a table: `confidence` (n,) of the decoded texts, `right` (n,) whether they are;
    `shown` (n,) whether a stream shows a text, in own or general words, and `shown_right` (n,) whether that is."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    shown_right: NDArray[np.bool_]


def sure_figures(model: Model, tables: Sequence[Captioned]) -> dict[str, Any]:
    """Of all tables together and, by name, of each: `ECE`, the expected calibration error (0 to 1) of the decoded texts
    in bins of equally many; per cent: `right` of them, `shown` at the bundle's own min_confidence in own or general
    words, `shown_right` of those, `area` under the ROC curve. `bins`: mean confidence, share that is right, count.

    Raises BundleError for a bundle without a calibrator of captions.
    """
    found = {table.name: listen(model, table) for table in tables}
    everything = Said(*(np.concatenate([getattr(said, name) for said in found.values()]) for name in _PARTS))
    bins = reliability(everything.confidence, everything.right, BINS, "count")
    return {
        **_figures(everything),
        "bins": [[round(told, 3), round(true, 3), count] for told, true, count in bins],
        **{name: _figures(said) for name, said in found.items()},
    }


_PARTS = ("confidence", "right", "shown", "shown_right")


def _figures(said: Said) -> dict[str, Any]:
    area = auc(said.confidence, said.right)
    return {
        "texts": len(said.right),
        "ECE": round(expected_calibration_error(said.confidence, said.right), 4),
        "area": None if np.isnan(area) else round(100.0 * area, 1),
        "right": percent(said.right),
        "shown": percent(said.shown),
        "shown_right": percent(said.shown_right[said.shown]) if said.shown.any() else None,
    }


def listen(model: Model, table: Captioned) -> Said:
    """What a bundle says and shows of each item under its default query. Raises BundleError as `sure_figures` does."""
    seen = embed_items(model, table)
    query = model.manifest.text.default_query
    texts = decode_items(model, table, seen)
    embedded = keep(model, table, "texts again", lambda: model.embed_text([text or _EMPTY for text in texts]))
    confidence = model.confidence.text(query, np.einsum("ne,ne->n", embedded, seen))
    if confidence is None:
        raise BundleError(str(model.bundle.path), "has no calibrator for captions: there is no confidence to judge")
    confidence = np.where([bool(text) for text in texts], confidence, 0.0)
    captions = [tuple(table.of_item(place)) for place in range(len(table.items))]
    shown = _shown(model, table, seen, query)
    right = [caption_is_right(text, own) for text, own in zip(texts, captions, strict=True)]
    judges = {"specific": caption_is_right, "general": general_is_right}
    shown_right = [
        wording in judges and judges[wording](text, own) for (text, wording), own in zip(shown, captions, strict=True)
    ]
    return Said(confidence, np.array(right), np.array([bool(text) for text, _ in shown]), np.array(shown_right))


def _shown(model: Model, table: Captioned, seen: Array, query: str) -> list[tuple[str, str]]:
    """The text and the wording that a stream shows of each item."""
    least = model.confidence.least(None)

    def make() -> NDArray[np.uint8]:
        rows = progress(seen, f"what is shown of {table.name}")
        said = [model.confidence.say(model.text, z, query, least) for z in rows]
        return np.frombuffer(json.dumps([(words.text, words.wording) for words in said]).encode(), np.uint8)

    return [(text, wording) for text, wording in json.loads(keep(model, table, "shown", make).tobytes())]
