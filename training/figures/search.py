"""Search among a table's items by its captions, and among captions by items: recall at 1, 5 and 10.

As captioning data sets are searched everywhere (CLIP, section 3.1.3; VL-JEPA, section 4.1): every caption asks once,
and only the item that it was written for is right, whatever else it would fit. The other way round an item asks, and
any of its captions is right. Ties never go to the right one (evaluation.ranks).
"""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation.ranks import percent, ranks
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.figures.kept import Array

TOPS = (1, 5, 10)


def search_figures(items: Array, captions: Array, table: Captioned) -> dict[str, float]:
    """Per cent. items (items, E) and captions (captions, E): embeddings of unit norm."""
    scores = captions @ items.T
    by_text = ranks(scores, table.owner)
    by_item = ranks(scores.T, table.owner == np.arange(len(items))[:, None])
    figures = {f"text_to_item_R@{top}": percent(by_text < top) for top in TOPS}
    return figures | {f"item_to_text_R@{top}": percent(by_item < top) for top in TOPS}
