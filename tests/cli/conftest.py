"""What the tests of the command line share: a few media files, and two ways to run the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from vljepa_edge.cli import app
from vljepa_edge.errors import VideoError
from vljepa_edge.video.frame import Frame
from vljepa_edge.video.source import Source

COLOURS = ((220, 20, 20), (20, 220, 20), (20, 20, 220))


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object of stdout."""
        (line,) = self.out.splitlines()
        value: dict[str, Any] = json.loads(line)
        return value

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


Vljepa = Callable[..., Run]


def write_video(path: Path, seconds: float, rate: int = 8, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a video that is red, green and blue for three seconds each, over and over."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(int(seconds * rate)):
            image = np.full((size[1], size[0], 3), COLOURS[int(i / rate / 3) % 3], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def cut_off(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """From now on each source is lost after so many frames."""
    read = Source.__next__

    def lost(self: Source) -> Frame:
        if self.stats.frames_yielded == after:
            raise VideoError(self.name, "lost")
        return read(self)

    monkeypatch.setattr(Source, "__next__", lost)


def write_photo(path: Path, colour: tuple[int, int, int]) -> Path:
    """Write a PNG of one colour."""
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 40, 30, "rgb24"
        image = np.full((30, 40, 3), colour, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds: red, green, blue."""
    return write_video(tmp_path_factory.mktemp("media") / "colours.mp4", 9)


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours at one frame a second: nothing streams it in no time."""
    return write_video(tmp_path_factory.mktemp("media") / "long.mp4", 2 * 3600, rate=1, size=(16, 16))


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red picture."""
    return write_photo(tmp_path_factory.mktemp("media") / "red.png", COLOURS[0])


@pytest.fixture
def vljepa(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Vljepa:
    """Run a command in this process, on the toy bundle."""
    monkeypatch.setenv("VLJEPA_MODEL", str(toy))

    def run(*args: object) -> Run:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        return Run(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def spawn(toy: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a command as a user would, in a process of its own, on the toy bundle."""

    def start(*args: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vljepa_edge", *map(str, args)]
        environment = {**os.environ, "VLJEPA_MODEL": str(toy)}
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    return start
