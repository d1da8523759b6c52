"""The programs of docs/cpp.md, and of bindings/examples, are compiled and run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cpp_programs import BUILD, ROOT, compiled, program
from tests.docs.test_docs import blocks
from tests.toy_bundle import write_toy_bundle
from vljepa_edge import load


def events(*command: str | Path, given: bytes = b"") -> list[dict[str, Any]]:
    done = subprocess.run([*map(str, command)], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("model") / "toy")


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_the_documents_programs_run(language: str, toy: Path, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "cpp.md", language)
    source = tmp_path / f"program.{language}"
    source.write_text(block.code)
    found = events(compiled(source), toy)
    assert [event["status"] for event in found[:1] + found[-1:]] == ["open", "closed"]
    assert all(event["text"] for event in found)


def test_the_example_says_of_a_video_what_python_says(toy: Path, tmp_path: Path) -> None:
    """A .y4m file of odd size, whose frames have times that need rounding."""
    width, height, rate = 65, 47, 12
    header = f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode()
    rng = np.random.default_rng(0)
    frames = []
    for number in range(60):
        luma = np.clip(rng.normal(60 + 90 * (number // 30), 12, (height, width)), 16, 235)
        chroma = np.full((2, (height + 1) // 2, (width + 1) // 2), 110 + number)
        frames.append(b"FRAME\n" + luma.astype(np.uint8).tobytes() + chroma.astype(np.uint8).tobytes())
    clip = tmp_path / "clip.y4m"
    clip.write_bytes(header + b"".join(frames))

    with load(toy).stream(clip, policy="running-ward:threshold=0.05") as stream:
        expected = [event.to_dict() for event in stream]
    for event in expected:
        del event["latency_ms"]
    assert len(expected) >= 4
    example = BUILD / program("stream_y4m", folder="")
    assert events(example, toy, clip, "running-ward:threshold=0.05") == expected
    assert events(example, toy, "-", "running-ward:threshold=0.05", given=clip.read_bytes()) == expected

    live = events(example, "--live", toy, clip, "running-ward:threshold=0.05")
    assert [event["start"] for event in live[:1]] == [0.0]  # a busy machine may leave out hops
    assert [event["status"] for event in live[-1:]] == ["closed"]
