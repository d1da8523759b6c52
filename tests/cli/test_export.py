"""`vljepa export`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from tests.cli.conftest import COLOURS, Vljepa, write_photo, write_video
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.export.int8 import acceptance
from vljepa_edge.export.int8 import convert as int8


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(int8, "SPEED_SECONDS", 0.05)
    folder = tmp_path / "clips"
    folder.mkdir()
    write_video(folder / "a.mp4", 9)
    for i, colour in enumerate(COLOURS):
        write_photo(folder / f"{i}.png", colour)
    return folder


def test_a_bundle_is_stored_in_other_bits(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    run = vljepa("export", toy, "--precision", "fp32", "--out", tmp_path / "out.vljepa", "--json")
    assert run.status == 0, run.err
    assert run.json["precision"] == "fp32" and run.json["bytes"] > 0 and run.json["peak_bytes"] > 1 << 20
    assert Bundle.open(tmp_path / "out.vljepa").manifest.name == "toy"


@pytest.mark.slow
def test_int8_prints_its_report(vljepa: Vljepa, toy: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8"
    run = vljepa("export", toy, "--precision", "int8", "--calibration", clips, "--out", out)
    assert run.status == 0, run.err
    for said in ("graphs/predictor.onnx:", "cosine", "speed on this machine", "model card: not measured", str(out)):
        assert said in run.out
    assert Bundle.open(out).manifest.provenance["export"]["precision"] == "int8"


@pytest.mark.slow
def test_what_is_not_good_enough_is_reported_and_not_written(
    vljepa: Vljepa, toy: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance, "LEAST_MEAN", 1.1)
    out = tmp_path / "int8"
    asked = ("export", toy, "--precision", "int8", "--calibration", clips, "--out", out, "--json")
    run = vljepa(*asked)
    assert run.status == 1 and not out.exists()
    assert run.err.startswith("error: ") and "was not written: video embeddings" in run.err
    assert any("video embeddings" in problem for problem in run.json["problems"])
    kept = tmp_path / "int8.report.json"
    assert json.loads(kept.read_text()) == run.json and str(kept) in run.err
    forced = vljepa(*asked, "--force")
    assert forced.status == 0 and "written all the same" in forced.err
    assert Bundle.open(out).manifest.provenance["export"]["problems"] == forced.json["problems"]


@pytest.mark.slow
def test_a_card_that_can_not_be_taken_is_said_before_the_work(
    vljepa: Vljepa, toy: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("vljepa_edge.cli.export"), "CARD_MODULES", ("no_such_module",))
    asked = ("export", toy, "--precision", "int8", "--calibration", clips, "--out", tmp_path / "int8")
    run = vljepa(*asked, "--card")
    assert run.status == 1 and "no_such_module" in run.err and "--no-card" in run.err
    assert vljepa(*asked, "--no-card").status == 0
