"""Labels are put into words in C++ as in Python."""

from __future__ import annotations

import random
import subprocess

from tests.cpp_programs import program
from vljepa_edge.perception import wordings as module
from vljepa_edge.perception.coco import COCO_80
from vljepa_edge.perception.wordings import singular, without_article, wordings

PROMPT = "There is a {label} in the scene."


def test_words_are_the_same() -> None:
    """Every word of the tables, names of COCO, and labels at random out of parts that are treated apart."""
    rng = random.Random(0)
    tables = [*module._IRREGULAR, *module._IRREGULAR.values(), *module._KEPT, *module._IE, *COCO_80]
    parts = ["a", "The", "an", "of", "in", "WITH", "who", "cups", "unicorns", "us", "one", "ones", "oneness", "hour"]
    parts += ["eggs", "Uses", "utensils", "ufo", "honest", "heirs", "bus", "boxes", "kisses", "ladies", "is", "as", "x"]
    labels = tables + [" ".join(rng.choices([*parts, *tables], k=rng.randint(1, 5))) for _ in range(3000)]
    labels += [f"  {label}\t  red " for label in labels[:50]]
    given = "\n".join(labels)
    done = subprocess.run([program("word"), PROMPT], input=given, capture_output=True, text=True, check=True)
    found = [line.split("\t") for line in done.stdout.splitlines()]
    assert found == [[singular(without_article(label)), *wordings(label, PROMPT)] for label in labels]
