"""Tables as figures read them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.training.figures.tables import write_table
from vljepa_edge.errors import DataError
from vljepa_edge.training.figures.captioned import read_captioned

TEXTS = {"red": ["A red thing.", " Red. "], "green": ["Green."], "blue": ["A blue thing.", "Blue.", "Sky."]}


def test_each_item_is_there_once_with_all_its_captions(tmp_path: Path) -> None:
    table = read_captioned(write_table(tmp_path, TEXTS))
    assert table.name == "coco-val"
    assert [item.name for item in table.items] == ["red.png", "green.png", "blue.png"]
    assert table.captions == ("A red thing.", "Red.", "Green.", "A blue thing.", "Blue.", "Sky.")
    assert table.owner.tolist() == [0, 0, 1, 2, 2, 2]
    assert table.of_item(2) == ["A blue thing.", "Blue.", "Sky."]


def test_captions_of_an_item_need_not_stand_together(tmp_path: Path) -> None:
    file = write_table(tmp_path, TEXTS)
    rows = file.read_text().splitlines()
    file.write_text("\n".join([rows[0], rows[2], rows[1]]))
    table = read_captioned(file)
    assert table.owner.tolist() == [0, 1, 0]
    assert table.of_item(0) == ["A red thing.", "Red."]


def test_the_digest_changes_with_texts_and_files_and_with_nothing_else(tmp_path: Path) -> None:
    file = write_table(tmp_path, TEXTS)
    begun = read_captioned(file).digest
    assert read_captioned(file).digest == begun
    status = (tmp_path / "red.png").stat()
    os.utime(tmp_path / "red.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    touched = read_captioned(file).digest
    file.write_text(file.read_text().replace("Sky.", "The sky."))
    assert len({begun, touched, read_captioned(file).digest}) == 3


def test_items_within_a_folder_keep_their_own_captions(tmp_path: Path) -> None:
    write_table(tmp_path / "one", TEXTS)
    write_table(tmp_path / "two", {"red": ["Other red."], "grey": ["Grey."]})
    rows = [
        {**json.loads(line), "path": f"{folder}/{json.loads(line)['path']}"}
        for folder in ("one", "two")
        for line in (tmp_path / folder / "coco-val.jsonl").read_text().splitlines()
    ]
    file = tmp_path / "both.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_captioned(file).within("two")
    assert [found.of_item(place) for place in range(len(found.items))] == [["Other red."], ["Grey."]]
    with pytest.raises(DataError, match="must have items in a folder three"):
        read_captioned(file).within("three")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"path": "gone.png", "caption": "A thing."}, "gone.png is not there"),
        ({"path": "red.png", "question": "What is it?", "answer": "A thing."}, "must have captions"),
        ({"path": "red.png", "caption": "A thing.", "start": 1.0, "end": 2.0}, "start and end must be empty"),
    ],
)
def test_rows_that_cannot_be_searched_with_are_refused_by_line(tmp_path: Path, row: dict[str, str], why: str) -> None:
    file = write_table(tmp_path, {"red": ["Red."]})
    if "caption" in row:
        file.write_text(file.read_text() + json.dumps(row) + "\n")
    else:
        file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=why) as caught:
        read_captioned(file)
    assert f"row {2 if 'caption' in row else 1}" in str(caught.value)
