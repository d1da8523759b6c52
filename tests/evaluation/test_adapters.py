"""Each adapter on its published layout with made-up entries, and through a model to the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation import made_up, made_up_videos
from tests.evaluation.embedders import Same
from tests.evaluation.made_up import write
from tests.evaluation.shown import show
from vljepa_edge.errors import DataError, InputError, LayoutError
from vljepa_edge.evaluation.adapters import BENCHMARKS, benchmark_of
from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.items import Classification, Media, Questions, Triplets
from vljepa_edge.evaluation.published import ITEMS
from vljepa_edge.evaluation.run import select
from vljepa_edge.model import Model

WRITERS = made_up.WRITERS | made_up_videos.WRITERS
OWN = {"classification", "retrieval", "questions", "captioning"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))


def laid(name: str, folder: Path) -> Any:
    WRITERS[name](folder)
    return BENCHMARKS[name].task(folder)


def test_every_benchmark_has_a_folder_to_be_tested_on() -> None:
    assert set(WRITERS) == set(BENCHMARKS) - OWN


@pytest.mark.parametrize("name", WRITERS)
def test_a_benchmark_runs_from_its_files_to_its_figures(name: str, tmp_path: Path, model: Model) -> None:
    task = laid(name, tmp_path / "data")
    show((media for item in task.items for media in item.seen()), tmp_path)
    selection = select(BENCHMARKS[name], tmp_path / "data")
    result = selection.measure(BundleEmbedder(model, views=1))
    assert result.items == len(task.items) and result.missing == 0
    assert result.complete == (name not in ITEMS), "what is made up is a part of what was published"
    assert all(0 <= value <= 100 for value in result.figures.values())
    for paper in BENCHMARKS[name].papers:
        assert paper.figure in result.figures, "the paper's figure is among ours"
    collapsed = selection.measure(Same()).figures
    few = {"top-5", "median rank"}  # of few classes all are in 5
    assert {value for figure, value in collapsed.items() if figure not in few} == {0.0}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_of_something_else_is_refused_with_the_tree(name: str, tmp_path: Path) -> None:
    write(tmp_path / "other.json", "{}")
    with pytest.raises(LayoutError) as refused:
        select(BENCHMARKS[name], tmp_path)
    assert BENCHMARKS[name].tree in str(refused.value) and "has no" in str(refused.value)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("sugarcrepe_pp", "visla", "popev2")])
def test_a_folder_without_videos_is_refused_with_the_tree(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    with pytest.raises(LayoutError, match="holds none of the files of the"):
        select(BENCHMARKS[name], tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_annotations_are_refused(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"[1, {\xff")
    with pytest.raises(DataError):
        BENCHMARKS[name].task(tmp_path)


def test_templates_of_ssv2_lose_their_brackets(tmp_path: Path) -> None:
    task: Classification = laid("ssv2", tmp_path)
    assert [task.labels[item.label] for item in task.items] == [
        ("Lifting something",), ("Tearing something into two pieces",)
    ]  # fmt: skip
    assert task.items[0].media == Media(tmp_path / "7.webm")


def test_classes_of_epic_kitchens_are_the_pairs_that_occur(tmp_path: Path) -> None:
    task: Classification = laid("epic_kitchens_100", tmp_path)
    assert task.labels == (("open bin",), ("turn on tap",), ("open chopping board",))
    assert (task.items[1].media.start, task.items[1].media.end) == (0.5, 1.5)
    write(tmp_path / "P99/videos/P99_01.MP4", "")
    assert BENCHMARKS["epic_kitchens_100"].task(tmp_path).items[0].seen()[0].path.parent.name == "videos"


def test_keysteps_of_one_name_are_one_class(tmp_path: Path) -> None:
    task: Classification = laid("egoexo4d", tmp_path)
    assert task.labels == (("Wash the pan",), ("Cut bread",))
    assert [item.label for item in task.items] == [1, 0]


def test_classes_that_differ_in_case_and_white_space_at_most_are_one(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    write(own, "path,label\n0.mp4,Dog \n1.mp4,dog\n2.mp4,a  dog\n3.mp4,A\tdog\n")
    task: Any = BENCHMARKS["classification"].task(own)
    assert task.labels == (("Dog",), ("a  dog",))
    assert [item.label for item in task.items] == [0, 0, 1, 1]
    write(own, "path,label\n0.mp4,cafe\u0301\n1.mp4,caf\u00e9\n2.mp4,tea\n")
    encoded: Any = BENCHMARKS["classification"].task(own)
    assert [item.label for item in encoded.items] == [0, 0, 1], "a letter and its accent, in one or in two"
    made_up.WRITERS["coin_steps"](tmp_path / "coin")
    file = tmp_path / "coin/COIN.json"
    before: Any = BENCHMARKS["coin_steps"].task(tmp_path / "coin")
    file.write_text(file.read_text().replace("boil water", "Boil  water", 1))
    after: Any = BENCHMARKS["coin_steps"].task(tmp_path / "coin")
    assert len(after.labels) == len(before.labels) and after.items == before.items


def test_names_of_kinetics_clips_have_times_of_six_digits(tmp_path: Path) -> None:
    task: Classification = laid("kinetics400", tmp_path)
    assert task.labels == (("archery",), ("zorbing",))
    assert [item.media.path.name for item in task.items] == [
        "aB-_1234567_000417_000427.mp4", "cD_-1234567_000006_000016.mp4"
    ]  # fmt: skip


def test_coin_is_tested_on_its_testing_videos(tmp_path: Path) -> None:
    steps: Classification = laid("coin_steps", tmp_path)
    assert [text for (text,) in steps.labels] == ["boil water", "pour water", "add sugar"]
    assert [item.label for item in steps.items] == [0, 2, 1, 0]
    tasks: Classification = laid("coin_tasks", tmp_path)
    assert [text for (text,) in tasks.labels] == ["make tea", "replace SIM card"]
    assert [item.media.path.stem for item in tasks.items] == ["bbbbbbbbbbb", "ccccccccccc"]


def test_crosstask_counts_steps_from_one_and_splits_names_at_the_first_line(tmp_path: Path) -> None:
    steps: Classification = laid("crosstask_steps", tmp_path)
    assert [text for (text,) in steps.labels] == ["boil water", "pour water", "add milk", "stir"]
    assert [(item.media.path.stem, item.label) for item in steps.items] == [
        ("a_aaaaaaaaa", 0), ("a_aaaaaaaaa", 1), ("bbbbbbbbbbb", 3)
    ]  # fmt: skip
    tasks: Classification = laid("crosstask_tasks", tmp_path)
    assert tasks.labels == (("Make Tea",), ("Make Coffee",), ("Make Soup",))


def test_questions_and_their_groups(tmp_path: Path) -> None:
    gqa: Questions = laid("gqa", tmp_path / "gqa")
    assert gqa.items[0].candidates == ("a cup", "yes") and [item.answer for item in gqa.items] == [1, 0]
    tally: Questions = laid("tallyqa", tmp_path / "tallyqa")
    assert [(item.answer, item.group) for item in tally.items] == [(4, "simple"), (15, "complex")]
    pope: Questions = laid("pope", tmp_path / "pope")
    assert len(pope.items) == 6 and [item.answer for item in pope.items[:2]] == [0, 1]
    assert [item.answer for item in laid("popev2", tmp_path / "popev2").items] == [0, 1]
    clevr: Questions = laid("clevr", tmp_path / "clevr")
    assert len(clevr.items[0].candidates) == 28
    assert [item.group for item in clevr.items] == [
        "exist", "count", "compare integer", "query attribute", "compare attribute"
    ]  # fmt: skip


def test_texts_of_hard_negatives_are_as_in_the_file(tmp_path: Path) -> None:
    crepe: Triplets = laid("sugarcrepe_pp", tmp_path)
    assert crepe.items[0].first == "A red cup. " and len(crepe.items) == 10
    visla: Triplets = laid("visla", tmp_path)
    assert [item.group for item in visla.items] == ["generic", "spatial"], "a row without a negative is left out"
    assert visla.items[0].first == 'A "red cup'


@pytest.mark.parametrize(
    ("name", "file", "change", "why"),
    [
        ("ssv2", "labels/validation.json", {"template": "Eating [something]"}, "entry 0: template must be one of"),
        ("tallyqa", "test.json", {"answer": 16}, "entry 0: answer must be 0 to 15, got 16"),
        ("tallyqa", "test.json", {"issimple": "true"}, "entry 0: issimple must be true or false, got 'true'"),
        ("sugarcrepe_pp", "data/swap_att.json", {"caption2": " "}, "entry 0: caption2 must be a text"),
    ],
)
def test_an_entry_that_is_wrong_is_named(
    name: str, file: str, change: dict[str, Any], why: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    rows = json.loads((tmp_path / file).read_text())
    rows[0] |= change
    write(tmp_path / file, rows)
    with pytest.raises(DataError, match=why):
        BENCHMARKS[name].task(tmp_path)


@pytest.mark.parametrize("program", ["abc", {"a": 1}, [1]])
def test_a_program_of_clevr_that_is_none_is_named(program: object, tmp_path: Path) -> None:
    WRITERS["clevr"](tmp_path)
    file = tmp_path / "questions/CLEVR_val_questions.json"
    found = json.loads(file.read_text())
    found["questions"][1]["program"] = program
    write(file, found)
    with pytest.raises(DataError, match="question 1: program must be a list of objects"):
        BENCHMARKS["clevr"].task(tmp_path)


def test_a_clip_of_kinetics_must_have_a_label(tmp_path: Path) -> None:
    WRITERS["kinetics400"](tmp_path)
    file = tmp_path / "val.csv"
    file.write_text(file.read_text().replace("archery", " "))
    with pytest.raises(DataError, match="row 2: label must be a text with at least one letter"):
        BENCHMARKS["kinetics400"].task(tmp_path)


def test_blank_lines_of_crosstask_are_no_rows(tmp_path: Path) -> None:
    before: Any = laid("crosstask_steps", tmp_path)
    for file in (tmp_path / "crosstask_release").rglob("*.csv"):
        file.write_text(file.read_text() + "\n")
    assert BENCHMARKS["crosstask_steps"].task(tmp_path) == before


def test_a_path_that_is_written_in_several_ways_is_one_video(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    write(own, f"path,text\na.mp4,A cup.\n./b/../a.mp4,A red cup.\n{tmp_path}/a.mp4,One cup.\nb.mp4,A dog.\n")
    task: Any = BENCHMARKS["retrieval"].task(own)
    assert [(item.media.path, len(item.texts)) for item in task.items] == [
        (tmp_path / "a.mp4", 3), (tmp_path / "b.mp4", 1)
    ]  # fmt: skip


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(InputError, match=r"must be one of ssv2, .*got 'imagenet'"):
        benchmark_of("imagenet")
