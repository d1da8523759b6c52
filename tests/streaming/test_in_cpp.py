"""One corpus of clips through Python and through the C API: every event, count and embedding is the same."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from tests.cpp_programs import program
from tests.toy_bundle import write_toy_bundle
from vljepa_edge import Event, Head, Stream, StreamOptions
from vljepa_edge.bundle import Bundle, default_bundle
from vljepa_edge.cli import app
from vljepa_edge.engines import open_engine
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.features import encoder_digest

Frame = tuple[NDArray[np.uint8], float]
Frames = list[Frame]
OUTCOMES = ("encoded", "skipped", "repeated", "backwards", "bad_times", "errors", "dropped", "stale")
DECODES = ("both", "open", "closed", "none")
COUNTS = ("encoded", "skipped", "repeated", "backwards", "bad_times", "errors", "frames", "restarts", "gaps", "resized")
COUNTS += ("hops", "decodes", "events", "hops_idle", "dropped", "stale", "hops_put_off", "stalls", "unpolled")
COUNTS += ("still", "reuses")

# Live streams that drop nothing and see no stall, however slow the machine; run_stream has the same.
PATIENT: dict[str, Any] = {"queue": 100_000, "max_staleness": math.inf, "gap": 20.0}

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
    times = [moment for _, moment in frames]
    third = len(times) // 3
    rng = np.random.default_rng(1)
    times = [moment + rng.uniform(0, 0.04) for moment in times]
    times[5] = times[4]
    times[9] = times[8] - 0.3
    times[12] = math.nan
    times[14] = 1e13
    times[third:] = [moment + 30 for moment in times[third:]]
    times[2 * third :] = [moment - 500 for moment in times[2 * third :]]
    images = [image[:90, :120] if 40 < number < 50 else image for number, (image, _) in enumerate(frames)]
    return list(zip(images, times, strict=True))


@cache
def python_model(path: Path) -> Model:
    return Model(Bundle.open(path), open_engine("openvino", threads=1))


class Call(NamedTuple):
    """Something to do between two frames: what Python does with a stream, and the words that run_stream is given."""

    python: Callable[[Stream], object]
    words: tuple[str, ...]


def in_python(
    path: Path, given: Sequence[Frame | Call], query: Sequence[str], options: StreamOptions, live: bool
) -> tuple[list[Event], dict[str, int]]:
    events: list[Event] = []
    model = python_model(path)
    with model.open_stream(query=list(query) or None, options=options, live=live, callback=events.append) as stream:
        for item in given:
            if not isinstance(item, Call):
                stream.push(*item)
                continue
            settle(stream)
            item.python(stream)
        settle(stream)
        stream.flush()
        stats = stream.stats()
    assert {"frames", "hops"} <= {field.name for field in fields(stats)}
    return events, {name: getattr(stats, name) for name in COUNTS}


def settle(stream: Stream) -> None:
    """Wait until each frame that was pushed is counted in."""
    while True:
        stats = stream.stats()
        if sum(getattr(stats, name) for name in OUTCOMES) == stats.frames:
            return
        time.sleep(0.005)


def in_cpp(
    path: Path, given: Sequence[Frame | Call], query: Iterable[str], options: StreamOptions, live: bool = False
) -> tuple[list[Any], dict[str, int]]:
    least = -1 if options.min_confidence is None else options.min_confidence
    arguments = [path, options.policy, least, DECODES.index(options.decode), options.still, options.reuse]
    arguments += [*(["live"] if live else []), *query]
    done = subprocess.run(
        [program("run_stream"), *map(str, arguments)], input=b"".join(map(_as_bytes, given)), capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert lines[-1][0] == "stats", lines[-1]
    events = [(json.loads(event), np.array(row.split(), np.float32)) for event, row in lines[:-1]]
    return events, json.loads(lines[-1][1])


def _as_bytes(item: Frame | Call) -> bytes:
    if isinstance(item, Call):
        return "\t".join(item.words).encode() + b"\n"
    image, moment = item
    return f"frame\t{image.shape[1]}\t{image.shape[0]}\t{moment!r}\n".encode() + np.ascontiguousarray(image).tobytes()


def assert_same(
    path: Path,
    given: Sequence[Frame | Call],
    query: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    live: bool = False,
    **options: Any,
) -> list[Event]:
    """Returns the events that both gave. files: what C++ is given for a query."""
    chosen = StreamOptions(**options, **(PATIENT if live else {}))
    expected, expected_counts = in_python(path, given, query, chosen, live)
    found, counts = in_cpp(path, given, [(files or {}).get(text, text) for text in query], chosen, live)
    assert counts == expected_counts
    assert len(found) == len(expected)
    for (event, embedding), wanted in zip(found, expected, strict=True):
        about = wanted.to_dict()
        del about["latency_ms"]
        for name in ("confidence", "change"):  # Python's sums are float32 here and there
            assert event.pop(name) == pytest.approx(about.pop(name), abs=2e-4)
        assert event == about
        if wanted.status in ("began", "ended"):
            assert not embedding.any() and embedding.shape == wanted.embedding.shape
        else:
            assert embedding @ wanted.embedding >= 0.9999
    return expected


def test_the_default_model_says_the_same() -> None:
    policy = "running-ward:threshold=0.1,smooth=2,max_duration=2"
    assert len(assert_same(default_bundle(), clip(0, 5), policy=policy)) >= 4


def test_several_queries_and_every_text_shown(tmp_path: Path) -> None:
    """One of them is a file, since it is not ASCII."""
    queries = ["What is happening?", "Is there a cup?", "What object is in the scene?", "", "Où est la tasse ?"]
    written = tmp_path / "query.npz"
    done = CliRunner().invoke(app, ["query", queries[-1], "--out", str(written), "--threads", "1"])
    assert done.exit_code == 0, done.output
    given = {queries[-1]: f"@{written}"}
    made = assert_same(default_bundle(), clip(1, 3), queries, given, policy="local-variance", min_confidence=0.0)
    assert len(made) >= 10


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
    assert len(made) >= 6


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
            [program("run_stream"), model, "uniform", "-1", "0", "0", "0", f"@{file}"], input=b"", capture_output=True
        )
        assert done.returncode == 1
        assert reason in done.stdout.decode()


def test_a_query_of_too_many_tokens_is_refused_in_the_words_of_python(toys: dict[str, Path]) -> None:
    text = "cup " * 300
    with pytest.raises(InputError) as refused:
        Model(Bundle.open(toys["frames"]), open_engine("openvino")).text.query(text)
    words = [program("run_stream"), toys["frames"], "uniform", "-1", "0", "0", "0", text]
    done = subprocess.run(words, input=b"", capture_output=True)
    assert done.returncode == 1 and str(refused.value) in done.stdout.decode()


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
    frames = [(images[number % len(images)], float(moment)) for number, moment in enumerate(times)]
    assert_same(toys["frames"], frames, policy="running-ward:threshold=0.05", decode="none")


def test_still_scenes_cost_nothing_in_both(toys: dict[str, Path]) -> None:
    """A picture that stands for longer than it may be idle, a short change, another, and a cut."""
    first, second, third = (clip(seed, 1)[0][0] for seed in (5, 6, 7))
    frames = [(second if 50 <= n < 52 else third if n > 70 else first, n / 4) for n in range(100)]
    for kind in ("frames", "clips"):
        assert_same(toys[kind], frames, policy="uniform:period=3")
    assert in_cpp(toys["frames"], frames, (), StreamOptions())[1]["hops_idle"] > 50


def test_queries_and_policies_that_change(toys: dict[str, Path]) -> None:
    """Live and not: those that go close at the last frame, those that come open at the next hop."""
    frames = clip(3, 12, size=(48, 64))
    asked = "Is it red?"
    changes = [
        (12, lambda s: s.add_query(asked, "uniform:period=0.5"), ("add", "uniform:period=0.5", asked)),
        (20, lambda s: s.add_query("And?"), ("add", "", "And?")),
        (31, lambda s: s.remove_query("What is happening?"), ("remove", "What is happening?")),
        (40, lambda s: s.set_policy("uniform:period=0.75"), ("policy", "uniform:period=0.75")),
        (52, lambda s: s.set_query(["What now?", "And?"]), ("set", "What now?", "And?")),
        (60, lambda s: s.flush(), ("flush",)),
        (70, lambda s: s.set_query([]), ("set",)),
        (80, lambda s: s.set_query("Again?"), ("set", "Again?")),
    ]
    for live in (False, True):
        made = assert_same(toys["frames"], between(frames, changes), policy="running-ward:threshold=0.05", live=live)
        assert {event.query for event in made} == {"What is happening?", asked, "And?", "What now?", "Again?"}


def between(
    frames: Frames, changes: Iterable[tuple[int, Callable[[Stream], object], tuple[str, ...]]]
) -> list[Frame | Call]:
    """Frames, and before some of them, by number, something to do."""
    given: list[Frame | Call] = list(frames)
    for number, python, words in sorted(changes, reverse=True):
        given.insert(number, Call(python, words))
    return given


@pytest.mark.parametrize(("kind", "clock"), [("frames", "bad"), ("clips", "good"), ("zip", "bad")])
def test_live_streams_say_the_same(kind: str, clock: str, toys: dict[str, Path]) -> None:
    """With a queue that holds every frame, so that no machine is too slow."""
    frames = clip(4, 16, fps=10, size=(48, 64))
    given = bad_clock(frames) if clock == "bad" else frames
    assert len(assert_same(toys[kind], given, ["What?", "And?"], live=True, policy="running-ward:threshold=0.05")) >= 8


@pytest.mark.parametrize(("kind", "live"), [("frames", False), ("clips", True)])
def test_noise_is_a_still_scene_in_both(kind: str, live: bool, toys: dict[str, Path]) -> None:
    """A camera's noise, a slow fade that adds up, another picture, and a time after which all is encoded again."""
    rng = np.random.default_rng(0)
    first, second = (np.asarray(clip(seed, 1)[0][0], np.float64) for seed in (5, 6))
    pictures = [second if 60 < n < 75 else first + max(0, n - 80) * 0.4 for n in range(130)]
    noisy = (np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8) for image in pictures)
    frames = [(image, n / 4) for n, image in enumerate(noisy)]
    assert_same(toys[kind], frames, policy="running-ward:threshold=0.05", still=3.0, live=live)
    counts = in_cpp(toys[kind], frames, (), StreamOptions(still=3.0))[1]
    assert 60 < counts["still"] < counts["encoded"] - 5 and counts["hops_idle"] > 30


@pytest.mark.parametrize(("decode", "live"), [("both", True), ("open", False), ("closed", False)])
def test_scenes_that_return_use_their_texts_again_in_both(decode: str, live: bool, toys: dict[str, Path]) -> None:
    """Each query has its own; one that is taken away and given again starts empty, and so does a stream after reset."""
    scenes = [clip(seed, 2, size=(48, 64), shots=1) for seed in (5, 6, 7)]
    images = [image for _ in range(5) for scene in scenes for image, _ in scene]
    frames = [(image, n / 8) for n, image in enumerate(images)]
    changes = [
        (100, lambda s: s.remove_query("And?"), ("remove", "And?")),
        (120, lambda s: s.add_query("And?"), ("add", "", "And?")),
        (200, lambda s: s.flush(), ("flush",)),
    ]
    chosen: dict[str, Any] = {"policy": "running-ward:threshold=0.05", "decode": decode, "reuse": 0.05}
    made = assert_same(toys["frames"], between(frames, changes), ["What?", "And?"], live=live, **chosen)
    assert sum(event.reused for event in made) >= 10 and not all(event.reused for event in made)


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
    assert told("/nowhere", "uniform", "-1", "0", "0", "0").startswith("error\t3 /nowhere: does not exist")
    assert told(toy, "waves", "-1", "0", "0", "0").startswith(
        "error\t1 policy must be one of uniform, local-variance, running-ward, budget"
    )
    assert told(toy, "uniform:period=0", "-1", "0", "0", "0").startswith(
        "error\t1 uniform: period must be a number, above 0 and at most"
    )
    assert told(toy, "uniform", "0.5", "0", "0", "0").startswith("error\t1 min_confidence needs a bundle whose")
    assert told(toy, "uniform", "-1", "7", "0", "0").startswith("error\t1 decode must be 0 to 3, got 7")
    assert told(toy, "uniform", "-1", "0", "256", "0").startswith("error\t1 still must be a number of levels, 0 to 255")
    assert told(toy, "uniform", "-1", "0", "0", "nan").startswith("error\t1 reuse must be a number from 0 to 1")
    assert told(toy, "uniform", "-1", "0", "0", "0", "a", "a").startswith("error\t1 the queries of a stream must all")
    assert told(toy, "uniform", "-1", "0", "0", "0", "Où?").startswith("error\t1 a text must be ASCII")


def test_labels_appear_and_go(toys: dict[str, Path], tmp_path: Path) -> None:
    """Of the query that is asked anyway and of another, with thresholds and without, live and not."""
    names = ["cup", "red ball", "Ärger", "a person"]
    written = tmp_path / "labels.npz"
    done = CliRunner().invoke(
        app, ["labels", ",".join(names), "--out", str(written), "--model", str(toys["frames"]), "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    thresholds = [0.2, 0.3, 0.25, 0.4]
    changes = [
        (3, lambda s: s.watch(names, 0.25), ("watch", f"@{written}", "0.25")),
        (
            40,
            lambda s: s.watch(dict(zip(names, thresholds, strict=True)), 0.0),
            ("watch", f"@{written}", "0", *map(str, thresholds)),
        ),
        (70, lambda s: s.set_query("And?"), ("set", "And?")),
        (90, lambda s: s.flush(), ("flush",)),
        (110, lambda s: s.watch([]), ("unwatch",)),
    ]
    frames = between(bad_clock(clip(5, 16, size=(48, 64), shots=12)), changes)
    for live in (False, True):
        made = assert_same(toys["frames"], frames, decode="none", live=live)
        assert {event.status for event in made} == {"open", "closed", "appeared", "gone"}
        assert len({event.text for event in made if event.status == "appeared"}) >= 3


@pytest.mark.parametrize("kind", ["frames", "clips"])
def test_taught_events_begin_and_end(kind: str, toys: dict[str, Path], tmp_path: Path) -> None:
    """The features of a head go on over hard cuts, and a label "nothing" is never told of."""
    (first, path), (second, other) = (random_head(toys[kind], tmp_path / f"{seed}.npz", seed) for seed in (0, 1))
    changes = [
        (5, lambda s: s.add_head(first, hold=0.25), ("head", str(path), "0.25")),
        (60, lambda s: s.remove_head(first), ("unhead",)),
        (64, lambda s: s.add_head(second, hold=0.0), ("head", str(other), "0")),
        (90, lambda s: s.flush(), ("flush",)),
    ]
    frames = between(bad_clock(clip(7, 15, size=(48, 64), shots=10)), changes)
    for live in (False, True):
        made = assert_same(toys[kind], frames, decode="none", live=live)
        assert {event.status for event in made} == {"open", "closed", "began", "ended"}
        assert {event.text[:4] for event in made if event.status == "ended"} == {"Türe", "bbbb"}


def test_the_default_model_sees_the_same(tmp_path: Path) -> None:
    """Its appearance is pooled over time and places for heads, its query for labels is one of its own, and labels are
    made of words."""
    names = ["cups", "a ball", "person", "text"]
    head, path = random_head(default_bundle(), tmp_path / "head.npz", 4)
    begin = dict.fromkeys(names, 0.05)
    calls = [
        Call(lambda s: s.watch(begin, 0.25), ("watch", ",".join(names), "0.25", *map(str, begin.values()))),
        Call(lambda s: s.add_head(head, hold=0.0), ("head", str(path), "0")),
    ]
    made = assert_same(default_bundle(), [*calls, *clip(8, 5)], decode="none")
    assert {"gone", "ended"} <= {event.status for event in made}


def random_head(path: Path, out: Path, seed: int) -> tuple[Head, Path]:
    """Two events and a background of random weights, about as likely as not."""
    model = python_model(path)
    rng = np.random.default_rng(seed)
    rows = np.concatenate([model.features(image)[1] for image, _ in clip(9, 1)])
    weights = rng.normal(0, 1, (3, rows.shape[1]))
    scores = rows @ weights.T
    head = Head(
        labels=(f"Türe {seed}", "b" * 30 + str(seed), "Nothing"),
        weights=(weights / scores.std(0)[:, None]).astype(np.float32),
        bias=-(scores.mean(0) / scores.std(0)).astype(np.float32),
        slope=2.0,
        offset=0.1,
        threshold=0.6,
        encoder=encoder_digest(model.manifest),
        model="random 0",
        accuracy=1.0,
        spread=0.0,
        recall=np.ones(3),
        clips=(5, 5, 5),
    )
    return head, head.save(out)


def test_files_of_another_model_are_refused(toys: dict[str, Path], tmp_path: Path) -> None:
    labels = tmp_path / "labels.npz"
    arguments = ["labels", "cup", "--out", str(labels), "--model", str(toys["frames"])]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(labels.read_bytes()[:-200])
    calls = [Call(lambda s: None, ("watch", f"@{file}", "0.5")) for file in (labels, damaged, tmp_path / "none.npz")]
    calls.append(Call(lambda s: None, ("head", str(labels), "0.5")))
    calls += [Call(lambda s: None, ("watch", names, "0.5")) for names in ("", "cup,The  cups", "Tür", "cup, ")]
    given = b"".join(map(_as_bytes, calls))
    command = [program("run_stream"), toys["zip"], "uniform", "-1", "0", "0", "0"]
    done = subprocess.run(command, input=given, capture_output=True)
    lines = done.stdout.decode().splitlines()[:8]
    assert all("must be written by `vljepa labels" in line for line in lines[:3])
    assert "it was made by other graphs for texts" in lines[0]
    assert "must be written by `vljepa teach`" in lines[3]
    assert "labels must be 1 to 1000 texts, got 0" in lines[4]
    assert 'the labels must all mean something else, got "cup" and "The  cups"' in lines[5]
    assert "a text must be ASCII" in lines[6]
    assert 'each of the labels must be a text of 1 to 1000 letters, got " "' in lines[7]
