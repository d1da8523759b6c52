"""`vljepa eval card`: parts, tables that are not there, and what is printed and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from tests.cli.conftest import Vljepa
from tests.toy_bundle import write_toy_bundle
from tests.training.figures.tables import write_table

pytest.importorskip("torch")
pytest.importorskip("pycocoevalcap")

TEXTS = {
    "red": ["A red ball.", "The ball is red."], "green": ["A green box.", "Something green."],
    "blue": ["A blue car moves left.", "A car."], "grey": ["A grey cup.", "A cup stops."],
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    write_table(tmp_path / "data", TEXTS)
    return tmp_path / "data"


def test_a_part_is_measured_on_any_bundle_and_printed_with_its_bars(vljepa: Vljepa, tmp_path: Path, data: Path) -> None:
    toy = write_toy_bundle(tmp_path / "toy")
    out = tmp_path / "card.md"
    run = vljepa("eval", "card", toy, "--only", "coco-val, robot-test", "--data", data, "--out", out)
    assert run.status == 0, run.err
    assert "COCO val, text to photograph, R@1" in run.out and "everyday.coco-val.items" in run.out
    assert "warning: robot-test was not measured" in run.err and "vljepa data fetch everyday" in run.err
    text = out.read_text()
    assert "| `coco-val` | 4 | 8 |" in text and "`robot-test`: " in text
    again = vljepa("eval", "card", "--model", toy, "--only", "coco-val", "--data", data, "--json")
    figures = again.json
    assert figures["everyday"]["coco-val"]["captions"] == 8
    assert "missing" not in figures


def test_what_cannot_be_measured_at_all_is_an_error(vljepa: Vljepa, tmp_path: Path, data: Path) -> None:
    toy = write_toy_bundle(tmp_path / "toy")
    for only, why in (
        ("flickr8k-test", "nothing could be measured: flickr8k-test"),
        ("photos", "must be one of coco-val"),
        ("coco-val,drawn", "has no output 'appearance' of width 640"),
    ):
        run = vljepa("eval", "card", toy, "--only", only, "--data", data)
        assert run.status == 2 and why in run.err and not run.out


def test_without_pycocoevalcap_only_cider_is_missing(
    vljepa: Vljepa, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap.cider.cider", None)
    toy = write_toy_bundle(tmp_path / "toy")
    figures = vljepa("eval", "card", toy, "--only", "coco-val", "--data", data, "--json").json
    assert "CIDEr needs pycocoevalcap" in figures["missing"]["coco-val"]
    assert figures["everyday"]["coco-val"]["items"] == 4 and "CIDEr" not in figures["everyday"]["coco-val"]


def test_the_help_names_every_part() -> None:
    from vljepa_edge.cli.eval import card
    from vljepa_edge.training.tiny.card import check_parts

    (option,) = get_type_hints(card, include_extras=True)["only"].__metadata__
    assert option.help == f"Parts of the card: {','.join(check_parts(()))}."
