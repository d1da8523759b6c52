"""The examples run as they are, and stay short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, toy: Path, *args: object) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, args)],
        env={**os.environ, "VLJEPA_MODEL": str(toy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stream_file(toy: Path, video: Path) -> None:
    lines = run("stream_file.py", toy, video).splitlines()
    assert " s  " in lines[0]
    assert lines[-1].startswith("36 frames")


def test_live_camera_loop(toy: Path, video: Path) -> None:
    out = run("live_camera.py", toy, video, 2)
    assert "frames dropped" in out
    assert " s] " in out


def test_classify_photos_goes_on_after_a_broken_one(toy: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no")
    out = run("classify_photos.py", toy, "red ball,blue box", tmp_path / "broken.jpg", photo)
    assert out.startswith(f"{photo}: ")


def test_search_videos_twice(toy: Path, video: Path, tmp_path: Path) -> None:
    first = run("search_videos.py", toy, tmp_path / "index", "a red ball", video)
    assert "colours.mp4 at" in first
    assert run("search_videos.py", toy, tmp_path / "index", "a red ball") == first


def test_raw_embeddings(toy: Path, video: Path) -> None:
    assert "16 numbers" in run("raw_embeddings.py", toy, video)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 40
