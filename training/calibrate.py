"""Calibrating the confidence of a bundle on captioned photographs or clips that it was not trained on.

The bundle says what it sees in each of them, the captions tell whether that is right (training.everyday.truth), and
calibrators are fitted from cosines to how often it was. They go into the manifest, and general sentences to fall back
on into the bundle.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.confidence import IsotonicEntry, LogisticEntry
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import check_replaceable, parts_of, write_bundle
from vljepa_edge.model import load
from vljepa_edge.perception.confidence import probability
from vljepa_edge.training.confidence import (
    auc,
    brier,
    choose_min_confidence,
    draw_reliability,
    expected_calibration_error,
    fit_isotonic,
    fit_logistic,
)
from vljepa_edge.training.everyday.examples import LEAST_PHOTOGRAPHS, Examples, OnPhotograph, look, read_photographs
from vljepa_edge.training.everyday.general import general_sentences
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES

GENERAL_TEXTS, GENERAL_EMBEDDINGS = "texts/general.txt", "texts/general.npy"
SENTENCES = 300  # the commonest general sentences: what is rarer is mostly wrong where it is the nearest
_FOLDS = 5
_CLEARLY = 0.97  # of the logistic calibrator's squared error


@dataclass(frozen=True)
class Judged:
    """How good one calibrator is on photographs that it was not fitted on, each fifth by the others.

    kind: "logistic" or "isotonic". count: of examples, `right` the share that is right. auc: of the cosine; None where
    all are right, or none. ece_count and ece_width: the expected calibration error in 15 bins that hold equally many,
    or are equally wide.
    """

    name: str
    kind: str
    count: int
    right: float
    auc: float | None
    brier: float
    ece_count: float
    ece_width: float


@dataclass(frozen=True)
class Calibration:
    """What was fitted and written. confidence: the manifest's entry. shown: the share of captions that is shown at its
    min_confidence, in own or general words; of these `precision` are right."""

    confidence: dict[str, Any]
    judged: tuple[Judged, ...]
    photographs: int
    min_confidence: float
    shown: float
    precision: float


class _Fitted(NamedTuple):
    """A calibrator, and what one that was fitted without an example's photograph says of it (n,)."""

    entry: LogisticEntry | IsotonicEntry
    held: NDArray[np.float64]
    right: NDArray[np.bool_]


def calibrate(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    general: Sequence[str] | None = None,
    wanted_precision: float = 0.75,
    picture: Path | None = None,
    threads: int | None = None,
    seed: int = 0,
    on_photograph: OnPhotograph | None = None,
) -> Calibration:
    """Fit the calibrators of a bundle and write them into it. Its other files stay as they are, to the byte.

    data: a table, or several, of `path`, `caption` with three captions or more of each photograph or clip (`start`,
    `end`), which the bundle was not trained on; what has fewer is left out. general: sentences to fall back on; None:
    the commonest 300 that follow from the captions of the tables; none at all for (). wanted_precision: how many are to
    be right of the texts that are shown from `min_confidence` on. picture: a PNG for the reliability plot. Of the
    logistic and the isotonic calibrator the isotonic one is kept where it is clearly better on photographs that it was
    not fitted on.

    What is right is told by training.everyday.truth. Labels and "Is there ...?" are asked of things that captions name
    and, as often, of things that no caption leaves room for: their probabilities are for even odds. Of labels to watch
    for one in five is there.

    Raises DataError for fewer than 50 such photographs, BundleError, and what reading them raises.
    """
    check_replaceable(bundle)
    tables = [Path(one) for one in ([data] if isinstance(data, str | os.PathLike) else data)]
    photographs = read_photographs(tables, seed)
    if general is None:
        counts = Counter[str]()
        for table in tables:
            counts.update(dict(general_sentences(table)))
        general = [text for text, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:SENTENCES]]
    model = load(bundle, threads=threads)
    rows = model.embed_text(general).astype(np.float16)
    examples = look(model, photographs, general, rows, seed, on_photograph)
    fitted = {name: _fit(found) for name, found in examples.items() if len(found.numbers) >= LEAST_PHOTOGRAPHS}
    least, shown, precision = _choose(fitted, wanted_precision)
    entry: dict[str, Any] = {"caption_queries": list(CAPTION_QUERIES), "min_confidence": least}
    entry |= {name: one.entry.model_dump(mode="json") for name, one in fitted.items()}
    if "general" in entry:
        files = {"texts": GENERAL_TEXTS, "embeddings": GENERAL_EMBEDDINGS}
        entry["general"] = {**files, "calibrator": entry["general"]}
    judged = tuple(_judge(name, examples[name], one) for name, one in fitted.items())
    result = Calibration(entry, judged, len(photographs), least, shown, precision)
    if picture is not None:
        draw_reliability([(name, one.held, one.right) for name, one in fitted.items()], picture)
    _write(model.bundle, Path(bundle), result, general, rows, tables)
    return result


def _fit(examples: Examples) -> _Fitted:
    """The better calibrator by the squared error on photographs that it was not fitted on; the logistic one where they
    are about as good. Beyond the numbers of the photographs it goes on falling, as it must for videos, and the isotonic
    one stays at what the worst of them had."""
    numbers, right = np.array(examples.numbers), np.array(examples.right)
    fold = np.array(examples.of) % _FOLDS
    best: _Fitted | None = None
    for fit in (fit_logistic, fit_isotonic):
        held = np.empty(len(numbers))
        for one in range(_FOLDS):
            out = fold == one
            if out.any():
                rest = ~out if (~out).any() else out
                held[out] = probability(fit(numbers[rest], right[rest]), numbers[out])
        if best is None or brier(held, right) < _CLEARLY * brier(best.held, right):
            best = _Fitted(fit(numbers, right), held, right)
    assert best is not None
    return best


def _judge(name: str, examples: Examples, fitted: _Fitted) -> Judged:
    held, right = fitted.held, fitted.right
    return Judged(
        name,
        fitted.entry.kind,
        len(right),
        float(right.mean()),
        None if right.all() or not right.any() else auc(examples.numbers, right),
        brier(held, right),
        expected_calibration_error(held, right, binning="count"),
        expected_calibration_error(held, right, binning="width"),
    )


def _choose(fitted: Mapping[str, _Fitted], wanted: float) -> tuple[float, float, float]:
    """min_confidence for captions that fall back on general sentences, the share that is shown, and how much of it is
    right, by calibrators that were not fitted on each."""
    if "caption" not in fitted:
        return 0.0, 1.0, 0.0
    own, other = fitted["caption"], fitted.get("general")
    fallback = None if other is None else (other.held, other.right)
    least = choose_min_confidence(own.held, own.right, wanted, fallback)
    shown = own.held >= least
    right, count = int(own.right[shown].sum()), int(shown.sum())
    if other is not None:
        instead = ~shown & (other.held >= least)
        right, count = right + int(other.right[instead].sum()), count + int(instead.sum())
    return least, count / len(own.right), right / count if count else 0.0


def _write(
    bundle: Bundle,
    out: Path,
    result: Calibration,
    sentences: Sequence[str],
    rows: NDArray[np.float16],
    tables: Sequence[Path],
) -> None:
    """The bundle with another confidence, in its own place."""
    old = None if bundle.manifest.confidence is None else bundle.manifest.confidence.general
    manifest, files = parts_of(bundle, () if old is None else (old.texts, old.embeddings))
    if "general" in result.confidence:
        array = io.BytesIO()
        np.lib.format.write_array(array, np.ascontiguousarray(rows), (1, 0), allow_pickle=False)
        files |= {GENERAL_TEXTS: "\n".join(sentences).encode(), GENERAL_EMBEDDINGS: array.getvalue()}
    manifest["confidence"] = result.confidence
    about = {
        "data": {table.name: hashlib.sha256(table.read_bytes()).hexdigest() for table in tables},
        "photographs": result.photographs,
        "shown": result.shown,
        "precision": result.precision,
        "judged": [asdict(one) for one in result.judged],
    }
    manifest["provenance"] = {**bundle.manifest.provenance, "confidence": about}
    write_bundle(out, manifest, files)
