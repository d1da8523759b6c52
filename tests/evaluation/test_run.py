"""Which items are evaluated: those whose files are there, and no more than asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.embedders import Same
from tests.evaluation.made_up import WRITERS, write_csv
from tests.evaluation.shown import show
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.items import Labelled, Media
from vljepa_edge.evaluation.layout import Layout, stem_of
from vljepa_edge.evaluation.run import select
from vljepa_edge.evaluation.selection import first, shuffled, there
from vljepa_edge.evaluation.tables import json_lines, json_of, number_of, text_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))


def table(folder: Path, rows: int) -> Path:
    names = [f"{n % 5}.mp4" for n in range(rows)]
    write_csv(folder / "own.csv", [["path", "label"], *([name, f"label {n % 3}"] for n, name in enumerate(names))])
    return folder / "own.csv"


def test_items_without_a_file_are_left_out_and_counted(tmp_path: Path) -> None:
    own = table(tmp_path, 10)
    show([Media(tmp_path / f"{n}.mp4") for n in range(3)], tmp_path / "made")
    selection = select(BENCHMARKS["classification"], own)
    assert (len(selection.task.items), selection.missing, selection.total) == (6, 4, 10)
    result = selection.measure(Same())
    assert not result.complete and result.missing == 4 and result.as_dict()["items"] == 6
    assert result.as_dict()["missing_files"] == [str(tmp_path / f"{n}.mp4") for n in (3, 4)]
    assert result.as_dict()["unread_files"] == []


def test_a_lower_limit_takes_a_part_of_a_higher_one(tmp_path: Path) -> None:
    show([Media(tmp_path / f"{n}.mp4") for n in range(5)], tmp_path / "made")
    task, missing = there(shuffled(BENCHMARKS["classification"].task(table(tmp_path, 50))))
    assert missing == []
    few, more = (first(task, limit).items for limit in (7, 20))
    assert len(few) == 7 and set(few) < set(more) and few == first(task, 7).items
    assert len(first(task, None).items) == 50
    files = [item.seen()[0].path for item in more]
    assert len({*files}) == sum(here != before for here, before in zip(files, [None, *files], strict=False)), "by file"


def test_a_file_or_a_row_more_changes_one_of_those_that_a_limit_takes_at_most(tmp_path: Path) -> None:
    rows = [[f"{n}.mp4", f"label {n % 3}"] for n in range(61)]
    for name, _ in rows[:60]:
        (tmp_path / name).write_bytes(b"")

    def taken(count: int) -> set[Path]:
        write_csv(tmp_path / "own.csv", [["path", "label"], *rows[:count]])
        items = select(BENCHMARKS["classification"], tmp_path / "own.csv", limit=20).task.items
        return {item.seen()[0].path for item in items}

    before = taken(60)
    assert len(before) == 20 and len(before & taken(61)) >= 19
    (tmp_path / "60.mp4").write_bytes(b"")
    assert len(before & taken(61)) >= 19
    gone = min(before)
    gone.unlink()
    assert len(before & taken(60)) == 19


def test_what_tells_nothing_of_a_model_is_refused_before_one_is_asked(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.mp4").write_bytes(b"")
    own = tmp_path / "own.csv"
    write_csv(own, [["path", "label"], ["0.mp4", "a dog"], ["1.mp4", "A dog"]])
    with pytest.raises(InputError, match="a classification must have at least 2 classes, got 1"):
        select(BENCHMARKS["classification"], own)
    write_csv(own, [["path", "text"], *([f"{n}.mp4", f"text {n}"] for n in range(3))])
    with pytest.raises(InputError, match="retrieval must have at least 2 videos, got 1"):
        select(BENCHMARKS["retrieval"], own, limit=1)
    assert len(select(BENCHMARKS["retrieval"], own, limit=2).task.items) == 2


def test_data_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes(b"path,label\na.mp4,\xff\n")
    for name, data, why in (
        ("ssv2", "none", "none: no such folder"),
        ("ssv2", "own.csv", "own.csv: a file, not a folder"),
        ("classification", "none.csv", "none.csv: no such file"),
        ("classification", "x" * 5000, "x: no such file"),
        ("classification", ".", "a folder, not a file"),
        ("classification", "own.csv", "own.csv: must be text in UTF-8: .*byte 0xff"),
    ):
        with pytest.raises(DataError, match=why):
            select(BENCHMARKS[name], tmp_path / data)
    for read in (json_of, text_of):
        with pytest.raises(DataError, match=f"{tmp_path.name}: can't be read: Is a directory"):
            read(tmp_path)


def test_a_table_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    write_csv(tmp_path / "own.csv", [["path", "label"]])
    with pytest.raises(DataError, match=r"own\.csv: must have at least one row, got none$"):
        select(BENCHMARKS["classification"], tmp_path / "own.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.json").write_text("[]")
    with pytest.raises(DataError, match="data: must have at least one item, got none"):
        select(BENCHMARKS["tallyqa"], tmp_path / "data")


def test_a_query_is_passed_on_but_never_to_questions(tmp_path: Path) -> None:
    WRITERS["gqa"](tmp_path / "gqa")
    show([Media(tmp_path / "gqa/images/n1.jpg"), Media(tmp_path / "gqa/images/n2.jpg")], tmp_path / "made")
    asked = select(BENCHMARKS["gqa"], tmp_path / "gqa", query="What?").task
    assert {item.text for item in asked.items} == {"Is it red?", "What is it?"}  # type: ignore[union-attr]
    show([Media(tmp_path / f"{n}.mp4") for n in range(5)], tmp_path / "made")
    assert select(BENCHMARKS["classification"], table(tmp_path, 5), query="What?").task.query == "What?"  # type: ignore[union-attr]


def test_tables_of_one_s_own(tmp_path: Path) -> None:
    write_csv(tmp_path / "r.csv", [["path", "text", "start", "end"], ["a.mp4", "one", "", ""], ["a.mp4", "two", "", ""],
                                   ["a.mp4", "three", "1", "2.5"]])  # fmt: skip
    items = BENCHMARKS["retrieval"].task(tmp_path / "r.csv").items
    assert [(item.media, item.texts) for item in items] == [  # type: ignore[union-attr]
        (Media(tmp_path / "a.mp4"), ("one", "two")), (Media(tmp_path / "a.mp4", 1.0, 2.5), ("three",))
    ]  # fmt: skip
    head = ["path", "question", "answer", "candidates"]
    write_csv(tmp_path / "q.csv", [head, ["a.jpg", "Which?", "red", "blue | red"]])
    (question,) = BENCHMARKS["questions"].task(tmp_path / "q.csv").items
    assert question.candidates == ("blue", "red") and question.answer == 1  # type: ignore[union-attr]


def test_an_answer_is_told_from_its_candidates_without_case(tmp_path: Path) -> None:
    head = ["path", "question", "answer", "candidates"]
    write_csv(tmp_path / "q.csv", [head, ["a.jpg", "Is it?", "yes", "No|Yes"]])
    (question,) = BENCHMARKS["questions"].task(tmp_path / "q.csv").items
    assert question.answer == 1  # type: ignore[union-attr]
    write_csv(tmp_path / "q.csv", [head, ["a.jpg", "Is it?", "yes", "no|yes|Yes"]])
    with pytest.raises(DataError, match="row 1: candidates must differ"):
        BENCHMARKS["questions"].task(tmp_path / "q.csv")


@pytest.mark.parametrize(
    ("name", "rows", "why"),
    [
        ("questions", [["path", "question", "answer", "candidates"], ["a.jpg", "Which?", "red", "blue|green"]],
         "row 1: candidates must differ"),
        ("questions", [["path", "question", "answer", "candidates"], ["a.jpg", "Which?", "red", "red"]],
         "row 1: candidates must differ, be two or more"),
        ("classification", [["path", "name"], ["a.mp4", "x"]], "must have the columns path, label, lacks label"),
        ("classification", [["path", "label"], ["a.mp4", " "]], "row 1: label must be a text"),
        ("retrieval", [["path", "text", "start", "end"], ["a.mp4", "x", "3", "2"]], "row 1: must have an end after"),
        ("retrieval", [["path", "text", "start", "end"], ["a.mp4", "x", "nan", "2"]], "row 1: must have a number"),
        ("retrieval", [["path", "text", "start", "end"], ["a.mp4", "x", "3", ""]], "row 1: must have.*; end is empty"),
        ("classification", [["path", "label", "end"], ["a.mp4", "x", "3"]], "row 1: must have.*; start is empty"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named(name: str, rows: list[list[str]], why: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "own.csv", rows)
    with pytest.raises(DataError, match=why):
        BENCHMARKS[name].task(tmp_path / "own.csv")


def test_json_that_python_cannot_take_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"deep\.json.*must be JSON"):
        json_of(deep)
    with pytest.raises(DataError, match=r"deep\.json.*line 1.*must be JSON"):
        list(json_lines(deep))
    with pytest.raises(DataError, match=r"deep\.json.*entry 3.*must have a number, got 1000"):
        number_of(deep, "entry 3", 10**400)


def test_a_segment_that_ends_before_it_begins_is_named(tmp_path: Path) -> None:
    WRITERS["epic_kitchens_100"](tmp_path)
    file = next(tmp_path.rglob("EPIC_100_validation.csv"))
    head, *rows = [line.split(",") for line in file.read_text().splitlines()]
    begin, end = head.index("start_timestamp"), head.index("stop_timestamp")
    rows[-1][begin], rows[-1][end] = rows[-1][end], rows[-1][begin]
    write_csv(file, [head, *rows])
    with pytest.raises(DataError, match=f"row {len(rows)}: must have an end after its start"):
        BENCHMARKS["epic_kitchens_100"].task(tmp_path)


def test_media_are_found_by_stem_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("1.2@N03_9.MOV", "dotted.", "x.y.z", "x.json"):
        (tmp_path / "a/b" / name).write_bytes(b"")
    layout = Layout(tmp_path, "tree")
    assert layout.media("1.2@N03_9").path == tmp_path / "a/b/1.2@N03_9.MOV"
    assert layout.media("dotted").path == tmp_path / "a/b/dotted."
    assert layout.media("x.y.z").path == tmp_path / "a/b/x.y.z"
    assert layout.media("x", ".webm", 1.0, 2.0) == Media(tmp_path / "x.webm", 1.0, 2.0)
    assert [stem_of(name) for name in ("a.mp4", "a.b", "a.")] == ["a", "a.b", "a"]


def test_links_to_a_folder_above_do_not_lead_round_and_round(tmp_path: Path) -> None:
    (tmp_path / "data/videos").mkdir(parents=True)
    (tmp_path / "others").mkdir()
    for name in ("data/videos/1.mp4", "others/2.mp4"):
        (tmp_path / name).write_bytes(b"")
    links = {"data/a": ".", "data/b": ".", "data/videos/up": "..", "data/others": "../others", "others/back": "../data"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    layout = Layout(tmp_path / "data", "tree")
    assert layout.media("1").path == tmp_path / "data/videos/1.mp4"
    assert layout.media("2").path == tmp_path / "data/others/2.mp4"


def test_a_file_whose_name_is_too_long_is_not_there(tmp_path: Path) -> None:
    long = f"{'x' * 5000}.mp4"
    (tmp_path / "a.mp4").write_bytes(b"")
    write_csv(tmp_path / "own.csv", [["path", "label"], ["a.mp4", "red"], [long, "blue"], ["a.mp4", "blue"]])
    selection = select(BENCHMARKS["classification"], tmp_path / "own.csv")
    assert (len(selection.task.items), selection.missing_files) == (2, [tmp_path / long])
    assert Layout(tmp_path, "tree").at(long, ".", "images").path == tmp_path / long


def test_an_item_is_there_only_with_all_its_files(tmp_path: Path) -> None:
    from vljepa_edge.evaluation.items import Change, Transition, Transitions

    for name in ("a.png", "b.png", "c.mp4"):
        (tmp_path / name).write_bytes(b"")
    change = Change(Media(tmp_path / "a.png"), Media(tmp_path / "b.png"))
    items = tuple(Transition(change, (Media(tmp_path / name),), 0) for name in ("c.mp4", "d.mp4"))
    assert there(Transitions(items)) == (Transitions(items[:1]), [tmp_path / "d.mp4"])
    assert Labelled(Media(tmp_path), 0).seen() == (Media(tmp_path),)
