"""`vljepa stream --watch` and `--labels`: what appears, what is gone, and what of a list is there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import vljepa_edge
from tests.calibrated import write_calibrated
from tests.cli.conftest import COLOURS, Vljepa
from vljepa_edge.cli.classify import read_names


class Words(NamedTuple):
    """A bundle whose calibrator says for sure that `red` is there in red, and `never` in no colour of the videos."""

    bundle: Path
    red: str
    never: str


@pytest.fixture(scope="module")
def words(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Words:
    model = vljepa_edge.load(toy, threads=1, precision="f32")
    rng = np.random.default_rng(0)
    names = sorted({"".join(rng.choice(list("bdgkmnptvxz"), 3)) for _ in range(300)})
    labels = model.labels(names)
    colours = ([np.full((48, 64, 3), colour, np.uint8)] * 8 for colour in COLOURS)
    red, *others = (labels.scores(model.embed_video(images, labels.query)) for images in colours)
    best = int((red - np.maximum(*others)).argmax())
    middle = float(red[best] + max(other[best] for other in others)) / 2
    lowest = int(np.max([red, *others], axis=0).argmin())
    assert red[best] > middle + 0.05 and max(score[lowest] for score in (red, *others)) < middle - 0.05
    path = tmp_path_factory.mktemp("bundles") / "watching"
    entry = {"kind": "logistic", "slope": 100.0, "offset": -100.0 * middle}
    return Words(write_calibrated(toy, path, watch=entry), names[best], names[lowest])


@pytest.fixture
def watching(vljepa: Vljepa, words: Words, monkeypatch: pytest.MonkeyPatch) -> Vljepa:
    monkeypatch.setenv("VLJEPA_MODEL", str(words.bundle))
    return vljepa


def test_what_appears_and_is_gone_is_printed_and_nothing_else(watching: Vljepa, video: Path, words: Words) -> None:
    run = watching("stream", video, "--watch", f"{words.red},{words.never}", "--json")
    assert run.status == 0, run.err
    appeared, gone, summary = run.json_lines
    assert [(line["type"], line["status"], line["text"]) for line in (appeared, gone)] == [
        ("event", "appeared", words.red),
        ("event", "gone", words.red),
    ]
    assert appeared["start"] == gone["start"] == 0 and appeared["end"] is None
    assert 1.5 <= gone["end"] <= 3.5  # it is red for three seconds
    assert 0.6 <= appeared["confidence"] <= gone["confidence"] <= 1
    assert (summary["type"], summary["decodes"]) == ("summary", 0)
    first, second, _ = watching("stream", video, "--watch", words.red).out.splitlines()
    chance, most = (round(100 * line["confidence"]) for line in (appeared, gone))
    assert first == f"   0.00 -     ... s  {words.red} appeared  ({chance} % sure)"
    assert second == f"   0.00 - {gone['end']:7.2f} s  {words.red} gone  ({most} % sure)"


def test_hold_is_how_long_it_must_be_there(watching: Vljepa, video: Path, words: Words) -> None:
    (summary,) = watching("stream", video, "--watch", words.red, "--hold", "5", "--json").json_lines
    assert summary["type"] == "summary"
    appeared, *_ = watching("stream", video, "--watch", words.red, "--hold", "0", "--json").json_lines
    assert appeared["decided_at"] == 0


def test_a_query_is_answered_beside(watching: Vljepa, video: Path, words: Words) -> None:
    *events, summary = watching("stream", video, "-q", "What?", "--watch", words.red, "--json").json_lines
    assert {event["status"] for event in events} == {"closed", "appeared", "gone"}
    assert {event["query"] for event in events if event["status"] == "closed"} == {"What?"}
    assert summary["decodes"] == len([event for event in events if event["status"] == "closed"])


def test_things_are_named_from_a_list_a_line_a_segment(
    watching: Vljepa, video: Path, words: Words, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{words.red}\n{words.never}\n")
    *events, summary = watching("stream", video, "--labels", f"@{names}", "--json").json_lines
    assert [event["status"] for event in events] == ["closed"] * len(events)
    assert len(events) >= 2 and summary["decodes"] == 0
    said = [[one["label"] for one in event["labels"]] for event in events]
    assert said[0] == [words.red] and said[-1] == []
    assert events[0]["labels"][0]["probability"] >= 0.6
    *lines, _ = watching("stream", video, "--labels", f"@{names}").out.splitlines()
    chance = round(100 * events[0]["labels"][0]["probability"])
    assert f"s  {words.red} {chance} %  (change " in lines[0]
    assert "s  (none of the labels)  (change" in lines[-1]


def test_names_and_words_for_a_query_are_told_apart(watching: Vljepa, video: Path, words: Words) -> None:
    *events, _ = watching("stream", video, "-q", "What?", "--labels", words.red, "--json").json_lines
    assert {(event["query"], "labels" in event) for event in events} == {("What?", False), ("What is happening?", True)}


def test_coco80_are_the_names_of_coco(watching: Vljepa, photo: Path) -> None:
    assert tuple(read_names("@coco80", "--labels")) == vljepa_edge.COCO_80
    (event, _) = watching("stream", photo, "--labels", "@coco80", "--json").json_lines
    assert {one["label"] for one in event["labels"]} <= set(vljepa_edge.COCO_80)
    scores = watching("classify", photo, "--labels", "@coco80", "--json").json["labels"]
    assert len(scores) == 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--watch", ""], "--watch is empty; write --watch cat,dog"),
        (["--watch", "cup,a cup"], "the labels must all mean something else, got 'cup' and 'a cup'"),
        (["--watch", "x" * 1001], "each of the labels must have at most 1000 characters, got 1001"),
        (["--watch", "@missing.txt"], "--watch: missing.txt can't be read"),
        (["--watch", "cup", "--hold", "-1"], "hold must be a number, 0 to 86400 seconds, got -1"),
        (["--watch", "cup", "--hold", "nan"], "hold must be a number"),
        (["--hold", "1"], "--hold is for --watch and --head; say what to watch for"),
        (["--labels", ","], "--labels is empty"),
        (["--labels", "cups,the cup"], "the labels must all mean something else, got 'cups' and 'the cup'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    vljepa: Vljepa, video: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = vljepa("stream", video, *options)
    assert (run.status, run.out) == (2, "")
    assert said in " ".join(run.err.split())


def test_a_list_of_too_many_labels_is_refused(tmp_path: Path, vljepa: Vljepa, video: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"thing {number}" for number in range(1001)))
    run = vljepa("stream", video, "--watch", f"@{names}")
    assert run.status == 2 and "labels must be 1 to 1000 texts, got more than 1000" in run.err


def test_a_file_of_names_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert read_names("@~/names.txt", "--labels") == ["cat", "dog"]
