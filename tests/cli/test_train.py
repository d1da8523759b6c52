"""`vljepa train --init`: a bundle out of a table of clips, and errors in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa
from tests.training.finetune.drawn import draw
from vljepa_edge.bundle.store import Bundle


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    path = folder / "clips.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "start", "end", "caption"])
        rows.writerows([Path(s.media).name, "", "1.6", s.target] for s in draw(folder, 24))
    return path


def test_it_prints_figures_before_and_after_and_writes_a_bundle(
    vljepa: Vljepa, toy: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.vljepa"
    run = vljepa("train", "--init", toy, "--data", table, "--out", out, "--steps", "4")
    assert run.status == 0, run.err
    assert "24 clips of 24 videos: 20 to learn from, 2 to stop by, 2 held out" in run.out
    assert "before" in run.out and "after" in run.out and "chance" in run.out
    assert "top-1 of 2" in run.out
    assert f"written to {out}" in run.out
    assert Bundle.open(out).manifest.name == "mine"
    assert "--steps 4" in Bundle.open(out).manifest.provenance["fine_tune"][0]["command"]


def test_json_has_the_report(vljepa: Vljepa, toy: Path, table: Path, tmp_path: Path) -> None:
    run = vljepa("train", "--init", toy, "--data", table, "--out", tmp_path / "out", "--steps", "2", "--json")
    report = json.loads(run.out)
    assert (report["train"], report["held_out"], report["warnings"]) == (20, 2, [])
    assert report["figures"][0].keys() == {"name", "before", "after", "chance", "of"}
    assert isinstance(report["problems"], list)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,caption\n", "there are no samples in it"),
        ("path,caption\nnone.mp4,a\n", "at least 10 clips of 3 videos, got 1 of 1"),
        ("path,text\nnone.mp4,a\n", "columns must be path, caption"),
    ],
)
def test_a_table_that_can_not_be_used_is_one_line(
    vljepa: Vljepa, toy: Path, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "t.csv").write_text(content)
    run = vljepa("train", "--init", toy, "--data", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert run.status == 2
    assert said in run.err and run.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_way_is_left_alone(vljepa: Vljepa, toy: Path, table: Path, tmp_path: Path) -> None:
    (tmp_path / "out.vljepa").write_text("mine")
    run = vljepa("train", "--init", toy, "--data", table, "--out", tmp_path / "out.vljepa")
    assert run.status == 2 and "is not a bundle" in run.err
    assert (tmp_path / "out.vljepa").read_text() == "mine"
