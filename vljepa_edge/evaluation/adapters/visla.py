"""VISLA (github.com/Sri-Harsha/visla_benchmark): two tables of triplets."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.items import Triplet, Triplets
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows

TABLES = {
    "generic": ("Generic_VISLA.tsv", ("caption", "second positive", "negative_caption")),
    "spatial": ("Spatial_VISLA.tsv", ("sent1", "sent2", "Best reference (Semantically close)")),
}
TREE = """\
DIR/
  data/                of the repository Sri-Harsha/visla_benchmark, or DIR itself
    Generic_VISLA.tsv  columns filename, caption, second positive, negative_caption
    Spatial_VISLA.tsv  columns image, sent1, sent2, Best reference (Semantically close), ..."""


def read(layout: Layout) -> Triplets:
    """All triplets but those of which a text is empty: 12 of the spatial ones have no negative."""
    items = []
    for group, (name, columns) in TABLES.items():
        file = layout.file(f"data/{name}", name)
        for _, row in csv_rows(file, *columns, delimiter="\t", quoted=False):
            first, second, negative = (row[column] for column in columns)
            if first.strip() and second.strip() and negative.strip():
                items.append(Triplet(first, second, negative, group))
    return Triplets(tuple(items))


VISLA = Benchmark(
    "visla", "VISLA", "text hard negatives", TREE, read,
    (
        paper("Table 6", "mean", 42.9, 39.5, 38.3, 40.4, 34.5),
        paper("Table 6", "generic", 49.8, 44.8, 45.2, 48.7, 37.6),
        paper("Table 6", "spatial", 35.9, 34.2, 31.4, 32.1, 31.3),
    ),
    (
        "the strict rule of SugarCrepe++ (VISLA has no published code)",
        "which columns are the positives and the negative; rows without a negative are left out",
        "similarities that differ by less than 1e-6 tie, and a tie is wrong",
    ),
)  # fmt: skip
