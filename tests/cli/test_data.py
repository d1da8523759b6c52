"""`vljepa data`: what is wrong with training data is said before a run, and good data is packed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa, write_photo, write_video


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two good samples, one of a file that is none, and a row without a caption."""
    write_video(tmp_path / "a.mp4", 4)
    write_photo(tmp_path / "b.png", (9, 9, 9))
    (tmp_path / "c.mp4").write_text("words")
    rows = [{"path": name, "caption": name} for name in ("a.mp4", "b.png", "c.mp4")] + [
        {"path": "a.mp4", "caption": ""}
    ]
    file = tmp_path / "clips.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def keep(table: Path, lines: int) -> None:
    table.write_text("\n".join(table.read_text().splitlines()[:lines]))


def test_faults_are_said_and_end_with_status_1(vljepa: Vljepa, table: Path) -> None:
    run = vljepa("data", "check", table)
    assert run.status == 1
    assert f"{table}, line 4: caption must be a text, got an empty one" in run.out
    assert f"{table}, sample 3: " in run.out
    assert "3 samples, 3 different texts, 0 queries, 2 faults" in run.out
    run = vljepa("data", "check", table, "--json")
    assert run.status == 1
    assert [fault["place"] for fault in run.json["faults"]] == ["line 4", "sample 3"]
    assert run.json["seconds"]["most"] == pytest.approx(4.0)


def test_good_data_ends_with_status_0_and_is_packed(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    keep(table, 2)
    run = vljepa("data", "check", table)
    assert (run.status, run.out.splitlines()[0]) == (0, "2 samples, 2 different texts, 0 queries, 0 faults")
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed", "--samples", "1", "--json")
    assert (run.status, run.json["shards"], run.json["samples"], run.json["faults"]) == (0, 2, 2, [])
    assert vljepa("data", "check", tmp_path / "packed").status == 0
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed")
    assert run.status == 2
    assert "is there already" in run.err


def test_packing_says_what_it_left_out(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    keep(table, 3)
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed")
    assert run.status == 1
    assert "sample 3: " in run.err
    assert "2 samples in 1 shards" in run.out


def test_data_that_cannot_be_opened_ends_with_status_2(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path / "nothing.csv",), "no such file or folder"),
        ((table, "--camera", "front"), "takes no options, got camera"),
        ((table, "--kind", "zip"), "the kind of a source must be one of"),
    ):
        run = vljepa("data", "check", *arguments)
        assert run.status == 2
        assert said in run.err
