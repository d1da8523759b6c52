"""CIDEr of texts against what people wrote, by the implementation that captioning papers use (pycocoevalcap)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vljepa_edge.errors import InputError
from vljepa_edge.support.install import install_extra

_WORD = re.compile(r"\w+(?:'\w+)?")


def cider(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D of each text against its references, mean over all, times 100 as papers print it; n-grams are weighed by
    how rare they are among all `references`.

    Words are what a regular expression finds, in small letters. Raises InputError for texts without references, and
    where pycocoevalcap is not installed.
    """
    try:
        from pycocoevalcap.cider.cider import Cider
    except ImportError as error:
        raise InputError(f"CIDEr needs pycocoevalcap; to get it, run: {install_extra('eval')}") from error
    if len(said) != len(references) or not said:
        raise InputError(f"each text must have its references, got {len(said)} texts and {len(references)} lists")
    for place, own in enumerate(references):
        if not own:
            raise InputError(f"each text must have a reference, text {place} has none")
    found = {place: [words(text)] for place, text in enumerate(said)}
    truth = {place: [words(text) for text in own] for place, own in enumerate(references)}
    score, _ = Cider().compute_score(truth, found)
    return 100.0 * float(score)


def words(text: str) -> str:
    """The words of a text in small letters, a space between two."""
    return " ".join(_WORD.findall(text.lower()))
