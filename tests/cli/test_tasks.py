"""classify, ask, embed, models and eval: each prints one JSON object that says the same as the library does."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import vljepa_edge
from tests.calibrated import LOGISTIC, write_calibrated
from tests.cli.conftest import Vljepa, write_video
from tests.media import cut
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.support.install import install_extra


def test_classify_gives_every_label_best_first(vljepa: Vljepa, video: Path, toy: Path) -> None:
    run = vljepa("classify", video, "--labels", "red ball, green cup,blue box", "--json")
    assert run.status == 0, run.err
    expected = vljepa_edge.load(toy).classify(str(video), ["red ball", "green cup", "blue box"])
    assert [row["label"] for row in run.json["labels"]] == [item.label for item in expected]
    assert [row["score"] for row in run.json["labels"]] == pytest.approx([item.score for item in expected], abs=1e-3)
    scores = [row["score"] for row in run.json["labels"]]
    assert scores == sorted(scores, reverse=True)


def test_classify_reads_labels_from_a_file_and_keeps_the_best_k(vljepa: Vljepa, photo: Path, tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("red, or so\n\ngreen\nblue\n", encoding="utf-8")
    run = vljepa("classify", photo, "--labels", f"@{names}", "-k", 2, "--json")
    assert len(run.json["labels"]) == 2
    assert {row["label"] for row in run.json["labels"]} < {"red, or so", "green", "blue"}
    assert len(vljepa("classify", photo, "-l", f"@{names}").out.splitlines()) == 3


@pytest.mark.parametrize(
    "command",
    [
        ("stream", "{}"),
        ("classify", "{}", "-l", "red,blue"),
        ("ask", "{}", "-q", "What is it?"),
        ("embed", "{}"),
        ("search", "{folder}", "-t", "red"),
    ],
)
def test_a_recording_that_was_cut_off_is_told_once_and_in_json(
    vljepa: Vljepa, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = cut(write_video(tmp_path / "colours.mkv", 9), 0.7)
    run = vljepa(*(part.format(path, folder=tmp_path) for part in command), "--json")
    assert run.status == 0
    (warning,) = run.json_lines[-1]["warnings"]
    assert re.search(r"colours.mkv: the last [\d.]+ s are missing: the file was cut off", warning)
    assert run.err == f"warning: {warning}\n"


def test_ask_open_and_from_candidates(vljepa: Vljepa, video: Path) -> None:
    chosen = vljepa("ask", video, "--question", "Is it red?", "--candidates", "yes,no", "--json").json
    assert chosen["question"] == "Is it red?"
    assert chosen["answer"] == chosen["candidates"][0]["text"]
    assert {row["text"] for row in chosen["candidates"]} == {"yes", "no"}
    opened = vljepa("ask", video, "--question", "What is it?", "--json").json
    assert opened["answer"]
    assert opened["candidates"] == []
    assert vljepa("ask", video, "-q", "What is it?").out.strip() == opened["answer"]


def test_none_of_these_and_not_sure_are_said(vljepa: Vljepa, photo: Path, toy: Path, tmp_path: Path) -> None:
    low = {**LOGISTIC, "offset": -9.0}
    bundle = write_calibrated(toy, tmp_path / "sure", caption=low, answer=low, label=low, min_confidence=0.5)
    words = ("classify", photo, "-l", "dog,cup", "--model", bundle)
    run = vljepa(*words)
    assert run.out.splitlines()[0] == "none of these" and len(run.out.splitlines()) == 3
    found = vljepa(*words, "--json").json
    assert found["best"] is None and all(0 < row["probability"] < 0.5 for row in found["labels"])
    assert vljepa(*words, "--json", "--min-probability", "0").json["best"] == found["labels"][0]["label"]
    assert vljepa(*words, "--min-probability", "2").status == 2

    asked = ("ask", photo, "-q", "What is it?", "--model", bundle)
    doubted, opened = vljepa(*asked, "--json").json, vljepa(*asked).out
    assert doubted["sure"] is False and 0 < doubted["confidence"] < 0.5
    assert opened == f"not sure: {doubted['answer']}\n"
    assert vljepa(*asked, "--min-confidence", "0").out == f"{doubted['answer']}\n"
    first, *scores = vljepa(*asked, "-c", "red,blue").out.splitlines()
    assert first.startswith("not sure: ") and len(scores) == 2 and scores[0].endswith(" %)")
    plain = vljepa("ask", photo, "-q", "What is it?", "--json").json
    assert plain["confidence"] is None and plain["sure"] is True


def test_embed_prints_and_saves_the_librarys_embedding(vljepa: Vljepa, video: Path, toy: Path, tmp_path: Path) -> None:
    out = tmp_path / "video.npy"
    run = vljepa("embed", video, "--out", out, "--json")
    assert run.status == 0, run.err
    expected = vljepa_edge.load(toy).embed_video(str(video))
    np.testing.assert_allclose(np.load(out), expected, atol=1e-3)
    np.testing.assert_allclose(run.json["embedding"], np.load(out), atol=1e-6)
    assert run.json["width"] == 16
    assert run.json["out"] == str(out)
    assert [path.name for path in tmp_path.iterdir()] == ["video.npy"]
    text = vljepa("embed", "--text", "a red ball")
    assert np.linalg.norm([float(word) for word in text.out.split()]) == pytest.approx(1, abs=1e-3)
    assert vljepa("embed", "--text", "a red ball", "--json").json["text"] == "a red ball"


def test_a_failed_save_leaves_the_old_file(vljepa: Vljepa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "text.npy"
    out.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(np, "save", fail)
    run = vljepa("embed", "--text", "a red ball", "--out", out)
    assert (run.status, run.err) == (1, f"error: {out}: No space left on device\n")
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_models_list_marks_the_one_in_use_and_the_broken(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    write_toy_bundle(tmp_path / "whole.vljepa")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    run = vljepa("models", "list", tmp_path, "--json")
    assert run.status == 0, run.err
    rows = {Path(row["path"]).name: row for row in run.json["models"]}
    assert rows["toy"]["default"] is True
    assert rows["toy"]["bytes"] > 1000
    assert rows["whole.vljepa"]["ok"] is True
    assert rows["broken"]["ok"] is False
    assert "manifest.json" in rows["broken"]["error"]
    assert "whole.vljepa" in vljepa("models", "list", tmp_path).out


def test_models_verify_names_the_altered_file(vljepa: Vljepa, toy: Path, tmp_path: Path) -> None:
    whole = vljepa("models", "verify", "--json").json
    assert whole["ok"] is True
    assert (whole["name"], whole["graphs"]) == ("toy", 6)
    bundle = write_toy_bundle(tmp_path / "altered")
    graph = bundle / "graphs" / "predictor.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    run = vljepa("models", "verify", bundle, "--json")
    assert run.status == 1
    assert run.json["ok"] is False
    assert run.json["file"] == "graphs/predictor.onnx"
    assert run.err.startswith("error: graphs/predictor.onnx: ")
    assert "Traceback" not in run.err
    assert "Traceback" in vljepa("models", "verify", bundle, "--debug").err
    assert "is complete" in vljepa("models", "verify", toy).out


def test_eval_card_without_the_extra_names_the_command(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = vljepa("eval", "card", "--json")
    assert run.status == 1
    assert "torch" in run.err
    assert install_extra("train") in run.err


def test_eval_card_prints_what_the_training_package_measures(
    vljepa: Vljepa, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = types.ModuleType("vljepa_edge.training.tiny.card")
    card.evaluate = lambda bundle, only, data: {"bundle": str(bundle), "motion": {"seen": 0.5}}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vljepa_edge.training.tiny.card", card)
    assert vljepa("eval", "card", "--json").json == {"bundle": str(toy), "motion": {"seen": 0.5}}
    assert "motion.seen  0.5" in vljepa("eval", "card").out


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbfcat\r\ndog\r\n",  # as Notepad and Excel write it
        b"\xef\xbb\xbfcat\n\xef\xbb\xbfdog",  # two such files joined
        b"cat\rdog\r",
        b"\n\n  cat \n\t\ndog\n\n",
    ],
)
def test_a_label_file_of_any_system_gives_its_labels(
    vljepa: Vljepa, photo: Path, tmp_path: Path, written: bytes
) -> None:
    (tmp_path / "labels.txt").write_bytes(written)
    run = vljepa("classify", photo, "--labels", f"@{tmp_path / 'labels.txt'}", "--json")
    assert sorted(row["label"] for row in run.json["labels"]) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("cat\ndog\n".encode("utf-16"), "it is not UTF-8 text"),
        ("cat\ndog\n".encode("utf-16-le"), "control characters"),
        (b"cat\xe9\n", "it is not UTF-8 text"),
        (b"cat\n cat\n", "'cat' 2 times"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"", "is empty"),
    ],
)
def test_a_label_file_that_would_be_misread_is_refused(
    vljepa: Vljepa, photo: Path, tmp_path: Path, written: bytes, said: str
) -> None:
    (tmp_path / "labels.txt").write_bytes(written)
    run = vljepa("classify", photo, "--labels", f"@{tmp_path / 'labels.txt'}")
    assert run.status == 2 and said in run.err and run.out == ""
