"""Folders and tables of clips are read as their documents say; what is wrong with one is named by file and line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.media import write_video
from tests.streaming.scenes import BLUE, RED, picture
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.model import Model
from vljepa_edge.tasks.clip_lists import Pictures, read_clips, read_folder, read_table
from vljepa_edge.tasks.clips import Clip


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_is_a_label_and_a_folder_of_photos_in_it_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "door opens/1.mp4", "door opens/more/2.webm", "door opens/3.gif", "door opens/photo.png")
    touch(tmp_path, "door opens/seq/b.png", "door opens/seq/a.png", "door opens/notes.txt", "door opens/.hidden/4.mp4")
    touch(tmp_path, "nothing/9.mov", "nothing/one/single.png", "nothing/mixed/a.png", "nothing/mixed/b.mp4")
    touch(tmp_path, ".git/1.mp4", "loose.mp4", "nothing/gifs/a.gif", "nothing/gifs/b.gif")
    found = read_clips(tmp_path)

    def named(clip: Clip) -> str:
        if isinstance(clip.source, Pictures):
            return f"{clip.name}: {[path.name for path in clip.source.paths]}"
        return str(clip.source)

    names = {label: [named(clip).removeprefix(f"{tmp_path}/") for clip in clips] for label, clips in found.items()}
    assert names == {
        "door opens": [
            "door opens/1.mp4",
            "door opens/3.gif",
            "door opens/photo.png",
            "door opens/more/2.webm",
            "door opens/seq: ['a.png', 'b.png']",
        ],
        "nothing": [
            "nothing/9.mov",
            "nothing/gifs/a.gif",
            "nothing/gifs/b.gif",
            "nothing/mixed/a.png",
            "nothing/mixed/b.mp4",
            "nothing/one/single.png",
        ],
    }


def test_photos_of_a_folder_are_frames_at_the_model_s_rate(model: Model, tmp_path: Path) -> None:
    images = [picture(RED if i < 4 else BLUE, i) for i in range(9)]
    for i, image in enumerate(images):
        (tmp_path / "a" / "seq").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "a" / "seq" / f"{i:03}.png")
    touch(tmp_path, "b/1.mp4")
    (clip,) = read_folder(tmp_path)["a"]
    for _ in range(2):  # it can be read again
        times, rows = model.features(clip.source)
        np.testing.assert_allclose(times, np.arange(9) / 4)
        np.testing.assert_allclose(rows, model.features(images)[1], atol=1e-6)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "must hold a folder for each of two labels"),
        (("a/1.mp4", "2.mp4"), "must hold a folder for each of two labels"),
        (("a/1.mp4", "b/notes.txt"), "b: holds no video or photo"),
    ],
)
def test_folders_that_hold_no_clips_are_refused(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_folder(tmp_path / "none")


ROWS = st.lists(
    st.tuples(
        st.text("ab ,\"'/ü", min_size=1).filter(str.strip),
        st.none() | st.floats(0, 50).map(lambda value: round(value, 3)),
        st.none() | st.floats(51, 99).map(lambda value: round(value, 3)),
        st.text("xyz ,\"\n", min_size=1).filter(str.strip),
    ),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from(["", "\ufeff"]))
@example([("my clips/1.mp4", None, None, "door opens"), ("2.mp4", 1.5, 60.0, "door opens")], "\ufeff")
def test_a_table_gives_its_rows(
    tmp_path: Path, rows: list[tuple[str, float | None, float | None, str]], mark: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([("label", "path", "start", "end"), *((label, path, a, b) for path, a, b, label in rows)])
    (tmp_path / "clips.csv").write_text(mark + text.getvalue(), encoding="utf-8", newline="")
    found = [(label, clip) for label, clips in read_table(tmp_path / "clips.csv").items() for clip in clips]
    expected = [(label.strip(), Clip(tmp_path / path.strip(), a, b)) for path, a, b, label in rows]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: must begin with a line that names its columns, path,start,end,label, got ''"),
        ("a.mp4,0,1,door\n", "line 1: must begin with"),
        ("path,label,colour\n", "line 1: must begin with"),
        ("path,path,label\n", "line 1: must begin with"),
        ("path,label\n", "holds no clip"),
        ("path,label\na.mp4,door\n\nb.mp4\n", "line 4: has 1 cells, the header 2"),
        ("path,label\na.mp4,door,opens\n", "line 2: has 3 cells"),
        ("path,label\n,door\n", "line 2: has no path"),
        ("path,label\na.mp4, \n", "line 2: has no label"),
        ("path,start,label\na.mp4,0:30,door\n", "line 2: start must be a number of seconds, or empty, got '0:30'"),
        ("path,end,label\na.mp4,nan,door\n", "line 2: end must be a number"),
        ("path,start,end,label\na.mp4,3,2,door\n", "line 2: end must be after start, 3 s, got 2 s"),
        ('path,label\n"a.mp4,door\n', "is not CSV"),
        ("path,label\na\udcff.mp4,door\n", "is not UTF-8"),
    ],
)
def test_tables_that_are_none_are_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=said) as caught:
        read_clips(path)
    assert caught.value.file == str(path)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv: can't be read: No such file"):
        read_clips(tmp_path / "none.csv")


def test_a_video_is_read_through_a_table(model: Model, tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", 40)
    rows = ("path,start,end,label", "long.mp4,0,2,a", "long.mp4,1,3,b", "long.mp4,2,4,a", "long.mp4,,,b")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    assert model.teach(read_table(tmp_path / "clips.csv")).clips == (2, 2)
