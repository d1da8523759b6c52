"""Tables of clips, good and bad: what is wrong is said with the file and the line."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import number_of, write_video
from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.table import read_table
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(count=2, width=16, height=16)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A table of these rows in the format of the suffix."""
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])


@SUFFIXES
def test_captions(tmp_path: Path, suffix: str) -> None:
    table = write(
        tmp_path / f"clips{suffix}",
        [
            {"path": "a.mp4", "start": 0.5, "end": 2.0, "caption": "a dog, “running”"},
            {"path": "sub/b.mp4", "start": None, "end": None, "caption": "a cat"},
            {"path": str(tmp_path / "c.jpg"), "start": 1, "end": None, "caption": "  a house "},
        ],
    )
    source = read_table(table)
    places = ["2", "3", "4"] if suffix == ".csv" else ["1", "2", "3"]
    assert len(source) == 3
    assert [source[i] for i in range(3)] == [
        Sample(places[0], str(tmp_path / "a.mp4"), "a dog, “running”", start=0.5, end=2.0),
        Sample(places[1], str(tmp_path / "sub/b.mp4"), "a cat"),
        Sample(places[2], str(tmp_path / "c.jpg"), "a house", start=1.0),
    ]
    with pytest.raises(IndexError):
        source[3]


@SUFFIXES
def test_questions(tmp_path: Path, suffix: str) -> None:
    row = {"path": "a.mp4", "question": "what runs?", "answer": "a dog", "text_key": "dog", "negatives": ["a cat"]}
    source = read_table(write(tmp_path / f"clips{suffix}", [row, {**row, "question": "", "negatives": []}]))
    assert source[0].query == "what runs?"
    assert (source[0].target, source[0].text_key, source[0].negatives) == ("a dog", "dog", ("a cat",))
    assert (source[1].query, source[1].negatives) == ("", ())


def test_captions_of_one_stretch_are_right_for_each_other(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "start": "", "end": "", "caption": f"caption {i}"} for i in range(3)]
    rows += [{"path": "a.jpg", "start": 1, "end": "", "caption": "another stretch"}]
    rows += [{"path": "b.jpg", "start": "", "end": "", "caption": "caption 0"}]
    source = read_table(write(tmp_path / "a.csv", rows))
    assert [source[i].also for i in range(5)] == [
        ("caption 1", "caption 2"),
        ("caption 0", "caption 2"),
        ("caption 0", "caption 1"),
        (),
        (),
    ]


def test_answers_to_different_questions_are_not_right_for_each_other(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "question": q, "answer": a} for q, a in (("is it?", "yes"), ("isn't it?", "no"))]
    source = read_table(write(tmp_path / "a.jsonl", rows))
    assert [source[i].also for i in range(2)] == [(), ()]


def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffpath,caption\r\na.mp4,größer\r\n\r\nb.mp4,x\r\n".encode())
    source = read_table(tmp_path / "a.csv")
    assert [source[i].target for i in range(2)] == ["größer", "x"]
    assert source[1].key == "4"


def test_frames_are_of_the_stretch(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 40)
    rows = [{"path": "a.mp4", "start": 1, "end": 3, "caption": "x"}, {"path": "b.mp4", "caption": "y"}]
    source = read_table(write(tmp_path / "a.jsonl", rows))
    assert [number_of(image) for image in source.frames(source[0], PLAN)] == [15, 25]
    with pytest.raises(VideoError, match=r"b\.mp4: no such file"):
        source.frames(source[1], PLAN)


CSV_FAULTS = {
    "path,caption\na.mp4,x\nb.mp4,\n": r"line 3: caption must be a text, got an empty one",
    "path,caption\n ,x\n": r"line 2: path must be a text",
    "path,start,caption\na.mp4,nan,x\n": r"line 2: start must be seconds, 0 or more, got 'nan'",
    "path,start,caption\na.mp4,inf,x\n": r"line 2: start must be seconds",
    "path,start,caption\na.mp4,-1,x\n": r"line 2: start must be seconds",
    "path,start,caption\na.mp4,soon,x\n": r"line 2: start must be seconds, 0 or more, got 'soon'",
    "path,start,end,caption\na.mp4,3,2,x\n": r"line 2: end must come after start, got 3 to 2 s",
    "path,end,caption\na.mp4,0,x\n": r"line 2: end must come after start",
    "path,text\na.mp4,x\n": r"line 1: columns must be .*; this lacks question, answer",
    "caption\nx\n": r"line 1: columns must be .*; this lacks path",
    "path,caption,lenght\na.mp4,x,3\n": r"line 1: columns must be .*; this has the unknown lenght",
    "path,caption,question\na.mp4,x,3\n": r"this has the unknown question",
    "path,caption,caption\na.mp4,x,x\n": r"line 1: the column 'caption' is there twice",
    "path,caption\na.mp4,x,y\n": r"line 2: has 3 fields, the header 2",
    "path,caption\na.mp4\n": r"line 2: has 1 fields, the header 2",
    'path,caption\na.mp4,"x\n': r"line 3: is not CSV in UTF-8",
    "path,negatives,caption\na.mp4,a cat,x\n": r"line 2: negatives must be a JSON list of texts, got 'a cat'",
    'path,negatives,caption\na.mp4,"[""a"", 1]",x\n': r"line 2: negatives must be a list of texts",
    'path,negatives,caption\na.mp4,"[""""]",x\n': r"line 2: negatives must be a list of texts",
    "": r"is empty; its first line must name the columns",
    "path,caption\n": r"there are no samples in it",
}


@pytest.mark.parametrize("content", CSV_FAULTS)
def test_what_is_wrong_in_a_csv_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "clips.csv").write_text(content)
    with pytest.raises(DataError, match=r"clips\.csv(, )?.*" + CSV_FAULTS[content]) as caught:
        read_table(tmp_path / "clips.csv")
    assert caught.value.file == str(tmp_path / "clips.csv")


JSONL_FAULTS: dict[bytes, str] = {
    b'{"path": "a.mp4", "caption": "x"}\n{"path": \n': r"line 2: is not JSON",
    b"[1]\n": r"line 1: must be a JSON object, got list",
    b'{"path": "a.mp4", "caption": 7}\n': r"line 1: caption must be a text, got 7",
    b'{"path": "a.mp4", "start": NaN, "caption": "x"}\n': r"line 1: start must be seconds",
    b'{"path": "a.mp4", "start": true, "caption": "x"}\n': r"line 1: start must be seconds",
    b'{"path": "a.mp4", "start": 1' + b"0" * 400 + b', "caption": "x"}\n': r"line 1: start must be seconds",
    b'{"path": "a.mp4", "caption": "\\ud800"}\n': r"line 1: caption must be valid Unicode",
    b'{"path": "a.mp4", "caption": "\xff"}\n': r"line 1: is not JSON in UTF-8",
    b'{"path": "a.mp4"}\n': r"line 1: columns must be",
    b"[" * 100_000: r"line 1: is not JSON",
}


@pytest.mark.parametrize("content", JSONL_FAULTS)
def test_what_is_wrong_in_a_jsonl_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clips.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"clips\.jsonl, " + JSONL_FAULTS[content]):
        read_table(tmp_path / "clips.jsonl")


def test_what_is_wrong_in_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "clips.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"clips\.parquet: is not Parquet that can be read"):
        read_table(path)
    with pytest.raises(DataError, match=r"clips\.parquet, row 2: end must come after start"):
        read_table(write(path, [{"path": "a", "end": 1.0, "caption": "x"}, {"path": "a", "end": 0.0, "caption": "y"}]))
    with pytest.raises(DataError, match=r"clips\.parquet: columns must be .* unknown id"):
        read_table(write(path, [{"path": "a", "id": 1.0, "caption": "x"}]))


def test_a_table_that_is_not_there_or_of_another_kind_is_an_error(tmp_path: Path) -> None:
    for name, said in (
        ("a.csv", "No such file"),
        ("a.parquet", "is not Parquet that can be read .*No such file"),
        ("a.xlsx", r"must end in \.csv"),
    ):
        with pytest.raises(DataError, match=said):
            read_table(tmp_path / name)


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(texts, texts, st.none() | st.floats(0, 1e6)), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    for suffix in (".csv", ".jsonl", ".parquet"):
        table = folder / f"a{suffix}"
        write(table, [{"path": path, "caption": caption, "start": start} for path, caption, start in rows])
        source = read_table(table)
        found = [(source[i].media, source[i].target, source[i].start) for i in range(len(source))]
        assert found == [(os.path.join(folder, path.strip()), caption.strip(), start) for path, caption, start in rows]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_table_goes_to_other_processes(tmp_path: Path, method: str) -> None:
    rows = [{"path": f"{i}.mp4", "caption": f"x {i}", "negatives": ["a"]} for i in range(10_000)]
    source = read_table(write(tmp_path / "a.jsonl", rows))
    context = multiprocessing.get_context(method)
    with context.Pool(1, initializer=_keep, initargs=(source,)) as pool:
        assert pool.apply(_kept, (9_999,)) == source[9_999]
    assert pickle.loads(pickle.dumps(source))[8_192] == source[8_192]


_sources: list[Any] = []


def _keep(source: Any) -> None:
    _sources.append(source)


def _kept(index: int) -> Sample:
    sample: Sample = _sources[0][index]
    return sample


def test_a_large_table_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "caption": "y" * 1000, "start": float(i)} for i in range(20_000)]
    source = read_table(write(tmp_path / "a.jsonl", rows))
    assert pa.total_allocated_bytes() < 10e6
    assert np.mean([len(source[i].target) for i in range(0, 20_000, 1000)]) == 1000
