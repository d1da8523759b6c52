"""TallyQA, test: simple and complex counting questions."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.items import Question, Questions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import field_of, json_list, texts_of

ANSWERS = tuple(str(number) for number in range(16))
TREE = """\
DIR/
  test.json             [{"image", "question", "answer", "issimple", ...}, ...]
  VG_100K/, VG_100K_2/  images of Visual Genome
  val2014/              images of COCO 2014"""


def read(layout: Layout) -> Questions:
    """All questions; the candidates are the numbers 0 to 15."""
    file, items = layout.file("test.json"), []
    for place, row in json_list(file):
        image, text = texts_of(file, place, row, "image", "question")
        answer, simple = field_of(file, place, row, "answer"), field_of(file, place, row, "issimple")
        if str(answer) not in ANSWERS:
            raise DataError(file, f"answer must be 0 to 15, got {answer!r}", place)
        if not isinstance(simple, bool):
            raise DataError(file, f"issimple must be true or false, got {simple!r}", place)
        media = layout.at(image, ".", "images")
        items.append(Question(media, text, ANSWERS, int(answer), "simple" if simple else "complex"))
    return Questions(tuple(items))


TALLYQA = Benchmark(
    "tallyqa", "TallyQA, test", "discriminative VQA", TREE, read,
    (Paper("Table 2", "accuracy", {"VL-JEPA SFT": 69.9, "PaliGemma 3B": 76.8, "SmolVLM-2B": 64.7}),),
    ('"accuracy" is over all questions, the weighted mean of simple and complex; the candidates are "0" to "15"',),
)  # fmt: skip
