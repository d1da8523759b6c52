"""`vljepa eval NAME`: what it prints, lists and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa
from tests.evaluation.made_up import WRITERS, write_csv
from tests.evaluation.shown import show
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.items import Media


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))


def test_the_list_shows_protocol_paper_choices_and_tree_of_each(vljepa: Vljepa) -> None:
    run = vljepa("eval", "--list")
    assert run.status == 0
    for benchmark in BENCHMARKS.values():
        assert f"{benchmark.name}  {benchmark.title}: {benchmark.protocol}" in run.out
        assert all(choice in run.out for choice in benchmark.ours)
        assert benchmark.tree.splitlines()[-1] in run.out


def test_figures_stand_beside_the_paper_s(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    WRITERS["sugarcrepe_pp"](tmp_path / "scpp")
    run = vljepa("eval", "sugarcrepe_pp", "--data", tmp_path / "scpp", "--model", toy, "--threads", "1")
    assert run.status == 0, run.err
    (mean,) = [line for line in run.out.splitlines() if line.startswith("mean")]
    assert "VL-JEPA Base 63.9" in mean and "(Table 6)" in mean
    assert "ours: similarities" in run.out
    assert "10 items were measured, and 4757 are published: don't compare it with the paper" in run.err
    part = vljepa("eval", "sugarcrepe_pp", "--data", tmp_path / "scpp", "--model", toy, "--limit", "3", "--json").json
    assert (part["benchmark"], part["items"], part["total"], part["complete"]) == ("sugarcrepe_pp", 3, 4757, False)


def test_a_table_of_one_s_own(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    rows = [["a.png", "red"], ["b.png", "blue"], ["gone.png", "blue"]]
    write_csv(tmp_path / "own.csv", [["path", "label"], *rows])
    show([Media(tmp_path / "a.png"), Media(tmp_path / "b.png")], tmp_path / "made")
    run = vljepa("eval", "classification", "--csv", tmp_path / "own.csv", "--model", toy, "--query", "Which colour?")
    assert run.status == 0, run.err
    assert run.out.startswith("top-1") and "1 items were left out" in run.err
    assert "paper" not in run.err, "there is no paper's figure of it"


def test_files_that_lack_or_cannot_be_read_are_named(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    rows = [["a.png", "red"], ["b[1].mp4", "blue"], *([f"gone{n}.png", "blue"] for n in range(5))]
    write_csv(tmp_path / "own.csv", [["path", "label"], *rows])
    show([Media(tmp_path / "a.png")], tmp_path / "made")
    (tmp_path / "b[1].mp4").write_bytes(b"no video")
    what = ("eval", "classification", "--csv", tmp_path / "own.csv", "--model", toy)
    left, unread = vljepa(*what).err.splitlines()[:2]
    gone = [str(tmp_path / f"gone{n}.png") for n in range(5)]
    assert left == f"warning: 5 items were left out: their files are not there: {', '.join(gone[:3])} and 2 more"
    assert unread.startswith("warning: 1 files") and unread.endswith(f"wrong: {tmp_path / 'b[1].mp4'}")
    found = vljepa(*what, "--json").json
    assert found["missing_files"] == gone and found["unread_files"] == [str(tmp_path / "b[1].mp4")]


def test_names_of_files_keep_a_warning_on_one_line_of_some_length(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    rows = [["a.png", "red"], [f"{'x' * 5000}.png", "blue"], ["two\nlines.png", "blue"]]
    write_csv(tmp_path / "own.csv", [["path", "label"], *rows])
    show([Media(tmp_path / "a.png")], tmp_path / "made")
    (line,) = vljepa("eval", "classification", "--csv", tmp_path / "own.csv", "--model", toy).err.splitlines()
    assert "two\\nlines.png'" in line and "xxx...xxx" in line and len(line) < 800


def test_captions_of_one_s_own_videos_are_scored_and_kept(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap")
    texts = [["a.png", "a red ball moves"], ["a.png", "a ball"], ["b.png", "the cup is green"]]
    write_csv(tmp_path / "own.csv", [["path", "text"], *texts])
    show([Media(tmp_path / "a.png"), Media(tmp_path / "b.png")], tmp_path / "made")
    first = vljepa("eval", "captioning", "--csv", tmp_path / "own.csv", "--model", toy, "--json").json
    assert first["figures"]["CIDEr"] >= 0 and first["items"] == 2
    assert vljepa("eval", "captioning", "--csv", tmp_path / "own.csv", "--model", toy, "--json").json == first


def test_what_cannot_be_measured_is_refused_before_a_model_is_loaded(vljepa: Vljepa, tmp_path: Path) -> None:
    for arguments, why in (
        (("imagenet", "--data", tmp_path), "a benchmark must be one of ssv2"),
        (("ssv2",), "must be given --data DIR"),
        (("classification", "--data", tmp_path), "must be given --csv FILE"),
        (("ssv2", "--data", tmp_path), "20bn-something-something-v2/"),
    ):
        run = vljepa("eval", *arguments, "--model", tmp_path / "none")
        assert run.status == 2 and why in run.err and not run.out
