"""The random checkpoint has the paper's size, and is one that export reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from benchmarks import paper_size
from tests.export.test_checkpoint import config
from vljepa_edge.nn.vljepa import VLJepa


def test_it_has_as_many_parameters_as_the_paper_says() -> None:
    with torch.device("meta"):
        model = VLJepa(paper_size.paper_config())
    count = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in ("x_encoder", "predictor")}
    assert count["x_encoder"] == pytest.approx(304e6, rel=0.01)  # section 3.1
    assert count["predictor"] == pytest.approx(490e6, rel=0.02)
    assert sum(p.numel() for p in model.y_encoder.parameters()) == pytest.approx(300e6, rel=0.05)


def test_what_it_writes_is_a_checkpoint_with_tokenizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_size, "paper_config", config)
    count = paper_size.write(tmp_path / "made")
    model = VLJepa.from_pretrained(tmp_path / "made")
    assert count == sum(p.numel() for p in model.parameters())
    for role in ("query", "target", "decoder"):
        words = Tokenizer.from_file(str(tmp_path / "made" / "tokenizers" / f"{role}.json"))
        assert words.encode("what is happening?").ids == [3, 4, 5, 6]
