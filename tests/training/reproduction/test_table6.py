"""The text encoders that a Y-encoder is compared with, and the page of Table 6."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny_bert import write_sentence_encoder
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.measure import measure
from vljepa_edge.training.reproduction import table6
from vljepa_edge.training.reproduction.text_encoders import BagOfWords, SentenceModel


def test_a_bag_of_words_counts_and_knows_no_order() -> None:
    rows = BagOfWords().embed_texts(["A cat's cup, a cup.", "cup a CUP a cat's", "?"])
    assert rows.tolist() == [[2.0, 1.0, 2.0], [2.0, 1.0, 2.0], [0.0, 0.0, 0.0]]


def test_a_sentence_model_is_the_mean_of_the_last_states_whatever_stands_beside_it(tmp_path: Path) -> None:
    folder = write_sentence_encoder(tmp_path, ["a", "red", "cup", "table"], 24)
    encoder = SentenceModel(folder)
    texts = ["a red cup", "a", "a red cup a table a cup"]
    rows = encoder.embed_texts(texts)
    for row, text in zip(rows, texts, strict=True):
        with torch.no_grad():
            states = encoder._model(**encoder._tokenizer([text], return_tensors="pt")).last_hidden_state[0].numpy()
        mean = states.mean(0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


def test_the_page_has_a_row_an_encoder_in_the_order_of_the_paper_s_columns() -> None:
    page = table6.page({"VL-JEPA Base (paper)": table6.published("VL-JEPA Base")}, 6370)
    row = "| VL-JEPA Base (paper) | 63.9 | 72.2 | 90.1 | 52.2 | 62.9 | 42.0 | 42.9 | 49.8 | 35.9 |"
    assert row in page.splitlines() and "6,370" in page


@pytest.mark.skipif("VLJEPA_ANNOTATIONS" not in os.environ, reason="VLJEPA_ANNOTATIONS names no folder")
def test_a_bag_of_words_scores_on_the_real_files_what_another_implementation_of_it_does() -> None:
    folder = Path(os.environ["VLJEPA_ANNOTATIONS"])
    crepe = measure(BENCHMARKS["sugarcrepe_pp"].task(folder / "sugarcrepe_pp"), BagOfWords())
    right = {"swap_obj": 12 / 245, "swap_att": 98 / 666, "replace_obj": 363 / 1652, "replace_att": 132 / 788,
             "replace_rel": 382 / 1406}  # fmt: skip
    assert {name: crepe[name] for name in right} == pytest.approx({name: 100 * one for name, one in right.items()})
    visla = measure(BENCHMARKS["visla"].task(folder / "visla"), BagOfWords())
    assert visla["generic"] == pytest.approx(100 * 166 / 973) and visla["spatial"] == pytest.approx(100 * 194 / 640)
