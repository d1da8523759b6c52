"""SugarCrepe++, text-only task (github.com/Sri-Harsha/scpp): five files of triplets."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.items import Triplet, Triplets
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_list, texts_of

SUBSETS = ("replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
TREE = """\
DIR/
  data/               of the repository Sri-Harsha/scpp, or DIR itself
    replace_att.json  [{"id", "filename", "caption", "caption2", "negative_caption"}, ...]
    replace_obj.json
    replace_rel.json
    swap_att.json
    swap_obj.json"""


def read(layout: Layout) -> Triplets:
    """All triplets of the five files; the images play no part."""
    items = []
    for subset in SUBSETS:
        file = layout.file(f"data/{subset}.json", f"{subset}.json")
        for place, row in json_list(file):
            first, second, negative = texts_of(file, place, row, "caption", "caption2", "negative_caption")
            items.append(Triplet(first, second, negative, subset))
    return Triplets(tuple(items))


SUGARCREPE_PP = Benchmark(
    "sugarcrepe_pp", "SugarCrepe++", "text hard negatives", TREE, read,
    (
        paper("Table 6", "mean", 63.9, 58.4, 58.6, 56.5, 44.5),
        paper("Table 6", "replace_att", 72.2, 68.5, 73.6, 66.9, 56.7),
        paper("Table 6", "replace_obj", 90.1, 90.9, 90.6, 74.4, 83.0),
        paper("Table 6", "replace_rel", 52.2, 47.4, 48.9, 52.1, 42.5),
        paper("Table 6", "swap_att", 62.9, 55.4, 53.2, 58.4, 27.0),
        paper("Table 6", "swap_obj", 42.0, 29.8, 26.5, 30.6, 13.5),
    ),
    (
        "the mean of the five files, unweighted: the paper says \"micro average\", but its own row averages so",
        "similarities that differ by less than 1e-6 tie, and a tie is wrong",
    ),
)  # fmt: skip
