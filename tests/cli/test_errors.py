"""Every mistake gets one clear line on stderr and a status: 2 for bad input, 1 for a failure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cli.conftest import Vljepa
from tests.toy_bundle import write_toy_bundle

CASES = {
    "missing file": (["stream", "{tmp}/nothing.mp4"], "nothing.mp4"),
    "text named .mp4": (["stream", "{tmp}/text.mp4"], "text.mp4"),
    "a directory": (["stream", "{tmp}"], "{tmp}"),
    "empty file": (["classify", "{tmp}/empty.mp4", "--labels", "a"], "empty.mp4"),
    "no camera": (["stream", "camera:63"], "63"),
    "bad policy": (["stream", "{video}", "--policy", "magic"], "running-ward"),
    "bad policy key": (["stream", "{video}", "--policy", "running-ward:speed=3"], "threshold"),
    "bad policy value": (["stream", "{video}", "--policy", "uniform:period=soon"], "period"),
    "empty labels": (["classify", "{video}", "--labels", " , "], "--labels cat,dog"),
    "empty label file": (["classify", "{video}", "--labels", "@{tmp}/empty.mp4"], "one name a line"),
    "missing label file": (["classify", "{video}", "--labels", "@{tmp}/none.txt"], "none.txt"),
    "empty candidates": (["ask", "{video}", "--question", "What?", "--candidates", ""], "--candidates"),
    "unknown engine": (["stream", "{video}", "--engine", "steam"], "openvino"),
    "unknown precision": (["stream", "{video}", "--precision", "f8"], "bf16"),
    "broken bundle": (["stream", "{video}", "--model", "{tmp}/broken"], "manifest.json"),
    "altered bundle": (["stream", "{video}", "--model", "{tmp}/altered"], "graphs/predictor.onnx"),
    "missing bundle": (["stream", "{video}", "--model", "{tmp}/none.vljepa"], "none.vljepa"),
    "no zip": (["stream", "{video}", "--model", "{tmp}/other.vljepa"], "other.vljepa"),
    "search in no directory": (["search", "{tmp}/none", "--text", "x"], "no such folder"),
    "search in an empty directory": (["search", "{tmp}/hollow", "--text", "x"], "no video or photo"),
    "search among broken files": (["search", "{tmp}/ruins", "--text", "x"], "none of the 1 files"),
    "nothing to embed": (["embed"], "SOURCE or --text"),
    "two things to embed": (["embed", "{video}", "--text", "x"], "SOURCE or --text"),
    "empty text": (["embed", "--text", ""], "text"),
    "a missing argument": (["stream"], "--help"),
    "an unknown command": (["strem"], "strem"),
    "an unknown option": (["stream", "{video}", "--polcy", "x"], "--polcy"),
    "an unknown export precision": (["export", "{tmp}", "--precision", "int4", "--out", "{tmp}/x"], "fp32, fp16, int8"),
    "INT8 of nothing seen": (["export", "{tmp}", "--precision", "int8", "--out", "{tmp}/x"], "--calibration DIR"),
    "fp16 of something seen": (
        ["export", "{tmp}", "--precision", "fp16", "--calibration", "{tmp}", "--out", "{tmp}/x"],
        "calibrates nothing",
    ),
    "export of a broken bundle": (["export", "{tmp}/broken", "--out", "{tmp}/x"], "manifest.json"),
    "zero threads": (["stream", "{video}", "--threads", "0"], "--threads"),
    "no subcommand": (["models"], "vljepa models --help"),
}


@pytest.fixture(scope="module")
def ruins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of broken things."""
    folder = tmp_path_factory.mktemp("ruins")
    (folder / "text.mp4").write_text("This is a letter, not a film.\n" * 50)
    (folder / "empty.mp4").touch()
    for name in ("broken", "hollow", "ruins"):
        (folder / name).mkdir()
    (folder / "broken" / "manifest.json").write_text("{")
    (folder / "ruins" / "bad.mp4").write_text("bad")
    (folder / "other.vljepa").write_text("not a zip")
    graph = write_toy_bundle(folder / "altered") / "graphs" / "predictor.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_status_2(vljepa: Vljepa, ruins: Path, video: Path, case: str) -> None:
    args, hint = CASES[case]
    run = vljepa(*(arg.format(tmp=ruins, video=video) for arg in args))
    *warnings, line = run.err.splitlines()
    assert line.startswith("error: "), run.err
    assert all(word.startswith(("skipped ", "warning: ")) for word in warnings)
    assert hint.format(tmp=ruins) in line
    assert run.out == ""
    assert run.status == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(vljepa: Vljepa, tmp_path: Path) -> None:
    closed = tmp_path / "closed.mp4"
    closed.write_bytes(bytes(100))
    closed.chmod(0o000)
    run = vljepa("stream", closed)
    assert run.status == 2
    assert "ermission" in run.err


def test_a_folder_that_is_not_there_is_told_before_anything_is_done(vljepa: Vljepa, tmp_path: Path) -> None:
    run = vljepa("embed", "--text", "a red ball", "--out", tmp_path / "none" / "x.npy")
    assert run.status == 2
    assert run.err == f"error: --out: {tmp_path / 'none'} is no folder; make it first\n"


def test_a_bug_is_one_line_too_and_debug_shows_the_traceback(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError("one over nothing")

    monkeypatch.setattr("vljepa_edge.model.load", fail)
    run = vljepa("embed", "--text", "x")
    assert run.status == 1
    assert run.err == "error: ZeroDivisionError: one over nothing (--debug shows the traceback)\n"
    shown = vljepa("embed", "--text", "x", "--debug")
    assert shown.status == 1
    assert shown.err.startswith("Traceback (most recent call last):")
    assert shown.err.splitlines()[-1].startswith("error: ZeroDivisionError")


def test_ctrl_c_in_any_command_is_130_and_silent(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("vljepa_edge.model.load", stop)
    run = vljepa("embed", "--text", "x")
    assert (run.status, run.out, run.err) == (130, "", "")
