"""One corpus of clips through Python and through the C API: every event, count and embedding is the same."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from tests.cpp_programs import program
from tests.toy_bundle import write_toy_bundle
from vljepa_edge import StreamOptions
from vljepa_edge.bundle import Bundle, default_bundle
from vljepa_edge.cli import app
from vljepa_edge.engines import open_engine
from vljepa_edge.model import Model

Frames = list[tuple[NDArray[np.uint8], float]]
DECODES = ("both", "open", "closed", "none")
COUNTS = ("encoded", "skipped", "repeated", "backwards", "bad_times", "errors", "frames", "restarts", "gaps", "resized")
COUNTS += ("hops", "decodes", "events", "hops_idle")

STEPS = np.array([40, 40, 40, 10, 4, 2, 4, 2, 2, 2, 2, 2, 1, 1, 0.2])  # how often each kind of step comes
STEPS /= STEPS.sum()


def scene(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """A picture of soft colours and hard-edged boxes."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([np.sin(x / rng.uniform(10, 60) + y / rng.uniform(10, 60)) * 100 + 128 for _ in range(3)], -1)
    for _ in range(6):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        image[top : top + rng.integers(8, height), left : left + rng.integers(8, width)] = rng.integers(0, 256, 3)
    return image


def clip(seed: int, seconds: float, fps: float = 8.0, size: tuple[int, int] = (120, 160), shots: int = 4) -> Frames:
    """Shots with hard cuts in which the camera moves, slow changes of light, and noise."""
    rng = np.random.default_rng(seed)
    count = int(seconds * fps)
    frames: Frames = []
    for number in range(count):
        if number % max(1, count // shots) == 0:
            picture, moves = scene(rng, *size), rng.integers(-4, 5, 2)
        image = np.roll(picture, tuple(moves * number), (0, 1)) * (1 + 0.3 * math.sin(number / 9))
        frames.append((np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), number / fps))
    return frames


def bad_clock(frames: Frames) -> Frames:
    """What cameras do: stamps that repeat, go back, leap, restart, jitter and are no numbers; sizes that change."""
    times = [time for _, time in frames]
    third = len(times) // 3
    rng = np.random.default_rng(1)
    times = [time + rng.uniform(0, 0.04) for time in times]
    times[5] = times[4]
    times[9] = times[8] - 0.3
    times[12] = math.nan
    times[14] = 1e13
    times[third:] = [time + 30 for time in times[third:]]
    times[2 * third :] = [time - 500 for time in times[2 * third :]]
    images = [image[:90, :120] if 40 < number < 50 else image for number, (image, _) in enumerate(frames)]
    return list(zip(images, times, strict=True))


@cache
def python_model(path: Path) -> Model:
    return Model(Bundle.open(path), open_engine("openvino", threads=1))


def in_python(
    path: Path, frames: Frames, query: Sequence[str], options: StreamOptions
) -> tuple[list[Any], dict[str, int]]:
    with python_model(path).open_stream(query=list(query) or None, options=options) as stream:
        events = [event for image, time in frames for event in stream.push(image, time)] + stream.flush()
        stats = stream.stats()
    assert {"frames", "hops"} <= {field.name for field in fields(stats)}
    return events, {name: getattr(stats, name) for name in COUNTS}


def in_cpp(
    path: Path, frames: Frames, query: Iterable[str], options: StreamOptions
) -> tuple[list[Any], dict[str, int]]:
    least = -1 if options.min_confidence is None else options.min_confidence
    arguments = [path, options.policy, least, DECODES.index(options.decode), *query]
    given = b"".join(
        f"{image.shape[1]} {image.shape[0]} {time!r}\n".encode() + np.ascontiguousarray(image).tobytes()
        for image, time in frames
    )
    done = subprocess.run([program("run_stream"), *map(str, arguments)], input=given, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert lines[-1][0] == "stats", lines[-1]
    events = [(json.loads(event), np.array(row.split(), np.float32)) for event, row in lines[:-1]]
    return events, json.loads(lines[-1][1])


def assert_same(
    path: Path, frames: Frames, query: Sequence[str] = (), files: Mapping[str, str] | None = None, **options: Any
) -> int:
    """Returns how many events both gave. files: what C++ is given for a query."""
    given = StreamOptions(**options)
    expected, expected_counts = in_python(path, frames, query, given)
    found, counts = in_cpp(path, frames, [(files or {}).get(text, text) for text in query], given)
    assert counts == expected_counts
    assert len(found) == len(expected)
    for (event, embedding), wanted in zip(found, expected, strict=True):
        about = wanted.to_dict()
        del about["latency_ms"]
        for name in ("confidence", "change"):  # Python's sums are float32 here and there
            assert event.pop(name) == pytest.approx(about.pop(name), abs=2e-4)
        assert event == about
        assert embedding @ wanted.embedding >= 0.9999
    return len(found)


def test_the_default_model_says_the_same() -> None:
    assert assert_same(default_bundle(), clip(0, 5), policy="running-ward:threshold=0.1,smooth=2,max_duration=2") >= 4


def test_several_queries_and_every_text_shown(tmp_path: Path) -> None:
    """One of them is a file, since it is not ASCII."""
    queries = ["What is happening?", "Is there a cup?", "What object is in the scene?", "", "Où est la tasse ?"]
    written = tmp_path / "query.npz"
    done = CliRunner().invoke(app, ["query", queries[-1], "--out", str(written), "--threads", "1"])
    assert done.exit_code == 0, done.output
    given = {queries[-1]: f"@{written}"}
    assert assert_same(default_bundle(), clip(1, 3), queries, given, policy="local-variance", min_confidence=0.0) >= 10


@pytest.mark.parametrize(
    ("kind", "clock", "decode"),
    [
        ("frames", "good", "both"),
        ("frames", "bad", "open"),
        ("clips", "bad", "closed"),
        ("zip", "bad", "none"),
        ("zip", "good", "both"),
    ],
)
def test_toys_say_the_same(kind: str, clock: str, decode: str, toys: dict[str, Path]) -> None:
    frames = clip(2, 20, fps=10)
    made = assert_same(
        toys[kind], bad_clock(frames) if clock == "bad" else frames, decode=decode, policy="running-ward:threshold=0.05"
    )
    assert made >= 6


def test_a_query_file_of_another_model_is_refused(toys: dict[str, Path], tmp_path: Path) -> None:
    written = tmp_path / "query.npz"
    assert (
        CliRunner().invoke(app, ["query", "a cup", "--out", str(written), "--model", str(toys["frames"])]).exit_code
        == 0
    )
    for model, file, reason in [
        (toys["zip"], written, "it was made by another graph for queries"),
        (toys["frames"], toys["zip"], "must be written by `vljepa query"),
        (toys["frames"], tmp_path / "none.npz", "must be written by `vljepa query"),
    ]:
        done = subprocess.run(
            [program("run_stream"), model, "uniform", "-1", "0", f"@{file}"], input=b"", capture_output=True
        )
        assert done.returncode == 1
        assert reason in done.stdout.decode()


@pytest.mark.parametrize("seed", range(4))
def test_clocks_at_random_are_judged_the_same(seed: int, toys: dict[str, Path]) -> None:
    """Steps of every kind, on a clock that may begin anywhere: before zero, or after many days."""
    rng = np.random.default_rng(seed)
    images = [image for image, _ in clip(seed, 3, size=(24, 32))]
    steps = rng.choice(
        [1 / 30, 1 / 8, 0.25, 0.3, 0.0, 1e-4, -0.01, -1.0, 1.9, 2.1, 5.0, -2.5, -1e4, 1e6, 1e13], 300, p=STEPS
    )
    jitter = rng.normal(0, 0.01, 300) * rng.integers(0, 2, 300)
    times = rng.choice([0.0, -7.3, 1e6, 1.7e9]) + np.cumsum(steps) + jitter
    frames = [(images[number % len(images)], float(time)) for number, time in enumerate(times)]
    assert_same(toys["frames"], frames, policy="running-ward:threshold=0.05", decode="none")


def test_still_scenes_cost_nothing_in_both(toys: dict[str, Path]) -> None:
    """A picture that stands for longer than it may be idle, a short change, another, and a cut."""
    first, second, third = (clip(seed, 1)[0][0] for seed in (5, 6, 7))
    frames = [(second if 50 <= n < 52 else third if n > 70 else first, n / 4) for n in range(100)]
    for kind in ("frames", "clips"):
        assert_same(toys[kind], frames, policy="uniform:period=3")
    assert in_cpp(toys["frames"], frames, (), StreamOptions())[1]["hops_idle"] > 50


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("toys")
    return {
        "frames": write_toy_bundle(folder / "frames"),
        "clips": write_toy_bundle(folder / "clips", vjepa=True),
        "zip": write_toy_bundle(folder / "toy.vljepa", width=48, window=5, fps=5.0, seed=3),
    }


def test_what_the_c_api_refuses_is_an_error_with_a_reason(toys: dict[str, Path]) -> None:
    def told(*arguments: str) -> str:
        done = subprocess.run([program("run_stream"), *arguments], input=b"", capture_output=True)
        assert done.returncode == 1
        return done.stdout.decode()

    toy = str(toys["frames"])
    assert told("/nowhere", "uniform", "-1", "0").startswith("error\t3 /nowhere: does not exist")
    assert told(toy, "waves", "-1", "0").startswith(
        "error\t1 policy must be one of uniform, local-variance, running-ward, budget"
    )
    assert told(toy, "uniform:period=0", "-1", "0").startswith(
        "error\t1 uniform: period must be a number, above 0 and at most"
    )
    assert told(toy, "uniform", "0.5", "0").startswith("error\t1 min_confidence needs a bundle whose confidence")
    assert told(toy, "uniform", "-1", "7").startswith("error\t1 decode must be 0 to 3, got 7")
    assert told(toy, "uniform", "-1", "0", "a", "a").startswith("error\t1 the queries of a stream must all differ")
    assert told(toy, "uniform", "-1", "0", "Où?").startswith("error\t1 a text must be ASCII")
