"""A user's own videos: what of them is measured, and what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.media import write_video
from vljepa_edge.cli import app
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.evaluation.selective.embedded import embed
from vljepa_edge.evaluation.selective.recordings import recordings
from vljepa_edge.evaluation.selective.report import lines
from vljepa_edge.evaluation.selective.streams import recorded
from vljepa_edge.model import Model

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a table of annotations beside a.mp4 of 6 seconds, short.mp4 of one frame, and broken.mp4."""
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    write_video(tmp_path / "a.mp4", 24, fps=4)
    write_video(tmp_path / "short.mp4", 1, fps=4)
    (tmp_path / "broken.mp4").write_bytes(b"junk")

    def table(rows: str) -> Path:
        (tmp_path / "annotations.csv").write_text(f"path,time,text\n{rows}")
        return tmp_path

    return table


def run(folder: Path, toy: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["eval", "selective", "--data", str(folder), "--model", str(toy), *more])


def test_annotations_after_the_end_are_left_out_and_counted(model: Model, write: Write) -> None:
    folder = write("a.mp4,1000,a ball\na.mp4,4,a cup\na.mp4,6,its end\n")
    said: list[str] = []
    ((stream,),) = recordings(model, recorded(folder, said.append), said.append).reported.values()
    assert [one.text for one in stream.annotations] == ["a cup", "its end"]
    assert said == ["warning: a: 1 of 3 annotations are left out: they come after its end, at 6.00 s"]
    with pytest.raises(InputError, match="must be readable and have annotations within it, got none of 1"):
        recordings(model, recorded(write("a.mp4,7,a ball\n"), print), print)


@pytest.mark.filterwarnings("error")
def test_what_is_over_before_its_second_hop_is_no_stream(model: Model, write: Write) -> None:
    from PIL import Image

    folder = write("short.mp4,0,a ball\nphoto.png,0,a cup\n")
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "photo.png")
    for stream in recorded(folder, print):
        with pytest.raises(VideoError, match=f"{stream.name}: must last for 2 hops at least, 2 frames, got 1"):
            embed(model, stream)


def test_a_video_that_can_t_be_read_is_named_and_the_others_are_measured(toy: Path, write: Write) -> None:
    folder = write("a.mp4,1,a ball\nbroken.mp4,2,a cup\nshort.mp4,0,a cup\na.mp4,4,a cup\n")
    done = run(folder, toy, "--json")
    assert done.exit_code == 0, done.output
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["unread"] == ["broken", "short"]
    assert figures["streams"] == {"recordings": {"count": 1, "annotations": 2}}
    assert "broken.mp4" in done.stderr and done.stderr.count("it is left out") == 2
    assert "Left out, as they can't be read: 2 videos: broken, short." in list(lines(figures))


def test_where_no_video_can_be_read_it_is_an_error(toy: Path, write: Write) -> None:
    done = run(write("broken.mp4,2,a cup\nshort.mp4,0,a cup\n"), toy)
    assert done.exit_code == 2 and "must be readable and have annotations within it, got none of 2" in done.stderr
