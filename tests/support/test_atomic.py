"""A file that is replaced is the old one or the new one, whatever happens between."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from vljepa_edge.support.atomic import replacing


@pytest.mark.parametrize("before", [None, "old"])
def test_the_new_file_takes_its_place_at_the_end_and_not_before(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "note.json"
    if before is not None:
        target.write_text(before)
    with replacing(target) as part:
        part.write_text("new")
        assert part.parent == tmp_path and target.exists() == (before is not None)
        assert before is None or target.read_text() == before
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, "old"])
def test_what_goes_wrong_leaves_everything_as_it_was(tmp_path: Path, before: str | None, error: BaseException) -> None:
    target = tmp_path / "note.json"
    if before is not None:
        target.write_text(before)
    with pytest.raises(type(error)), replacing(target) as part:
        part.write_text("half of the n")
        raise error
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_writers_that_look_at_the_suffix_can_write_there(tmp_path: Path) -> None:
    with replacing(tmp_path / "rows.npy") as part:
        np.save(part, np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), [0, 1, 2])


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "note.json"
    with replacing(target) as first, replacing(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() in ("first", "second") and list(tmp_path.iterdir()) == [target]
