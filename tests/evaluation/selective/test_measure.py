"""The measurement from end to end: what it says of a model that sees all, of one that sees nothing, and of the toy."""

from __future__ import annotations

import contextlib
import json
import math
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from vljepa_edge.cli import app
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.evaluation.kept import folder
from vljepa_edge.evaluation.selective import embedded, measure, ways
from vljepa_edge.evaluation.selective.annotations import Annotation
from vljepa_edge.evaluation.selective.clocks import CLOCKS
from vljepa_edge.evaluation.selective.consensus import Cider
from vljepa_edge.evaluation.selective.curve import Point
from vljepa_edge.evaluation.selective.embedded import Embedded, embed
from vljepa_edge.evaluation.selective.measure import Groups
from vljepa_edge.evaluation.selective.report import lines
from vljepa_edge.evaluation.selective.streams import Stream
from vljepa_edge.evaluation.selective.sweep import Curves, pooled, sweep
from vljepa_edge.evaluation.selective.ways import POLICIES, Way, event_ways, fixed_ways, policy_way
from vljepa_edge.evaluation.selective.words import Words
from vljepa_edge.model import Model
from vljepa_edge.perception.text import Text
from vljepa_edge.streaming.policy import parse_policy

THINGS, SECONDS = 40, 120
TEXTS = [f"{who} {does} the {what}" for who, does, what in zip(
    ("dog", "cat", "man", "boy") * 10, ("takes", "sees", "holds", "drops", "likes") * 8,
    [f"thing{k}" for k in range(THINGS)], strict=True)]  # fmt: skip


def events(seed: int) -> tuple[Stream, NDArray[np.int64], NDArray[np.float64]]:
    """A stream of events, what is seen at each hop, and the hops' times. Annotations are in the middle of events."""
    rng = random.Random(seed)
    starts, shown = [0.0], [0]
    while starts[-1] < SECONDS - 4:
        starts.append(starts[-1] + 1 + rng.expovariate(1 / 3))
        shown.append(rng.choice([k for k in range(THINGS) if k != shown[-1]]))
    times = np.arange(4 * SECONDS) * 0.25
    seen = np.array(shown)[np.searchsorted(starts, times, "right") - 1]
    ends = [*starts[1:], SECONDS]
    middles = [(start + end) / 2 for start, end in zip(starts, ends, strict=True)]
    said = tuple(Annotation(middle, TEXTS[k]) for middle, k in zip(middles, shown, strict=True))
    return Stream(f"made {seed}", {"seed": seed}, said, tuple(starts), lambda open: iter(())), seen, times


def ways_of(model: Model, variant: int) -> list[Way]:
    """Every row, with one variant of each policy."""
    query = model.text.query("what?")
    return fixed_ways(ceiling=True) + [
        policy_way(name, clock, swept.variants[variant], query) for name, swept in POLICIES.items() for clock in CLOCKS
    ]


def read(given: Sequence[NDArray[np.float32]]) -> list[str]:
    return [TEXTS[int(row.argmax()) % THINGS] for row in given]


def curves_of(rows: NDArray[np.float32], stream: Stream, times: NDArray[np.float64], model: Model) -> Curves:
    ways = ways_of(model, 0) + event_ways(stream.starts)
    return sweep(stream, Embedded(times, times, rows), ways, read, Cider(said.text for said in stream.annotations))


def test_a_model_that_sees_every_event_decodes_each_once(model: Model) -> None:
    stream, seen, times = events(1)
    curves = curves_of(np.eye(THINGS, dtype=np.float32)[seen], stream, times, model)
    per_second = len(stream.annotations) / SECONDS
    saved = measure._saving(curves, "log", "ward", True)
    assert saved is not None and 0.9 / per_second < saved < 1.3 / per_second
    perfect = measure._saving(curves, "log", "events", True)
    assert perfect is not None and perfect == pytest.approx(1 / per_second, rel=0.05)
    causal = measure._saving(curves, "live", "running-ward", False)
    assert causal is not None and causal > 1.5
    for clock in ("log", "live"):
        assert measure._saving(curves, clock, "uniform", False) == pytest.approx(1, rel=0.02)  # type: ignore[arg-type]


def test_a_collapsed_model_saves_nothing(model: Model) -> None:
    stream, _, times = events(2)
    same = np.tile(np.eye(THINGS, dtype=np.float32)[:1], (len(times), 1))
    curves = curves_of(same, stream, times, model)
    assert not any(curves.earned.values())
    for clock, key in curves.points:
        name, _, pooling = key.partition(", ")
        assert measure._saving(curves, clock, name, pooling == "mean") is None
    assert all(target is None for target in (pooled([curves]).target("log", mean=m) for m in (True, False)))


def test_the_mean_of_curves_keeps_their_settings() -> None:
    for setting in (0.02902, 0.1281, 0.3449, 1.524):  # whose sum over five streams, divided by five, is another float
        curve = Curves({("log", "uniform, mean"): [Point(setting, 1.0, 30.0, math.nan, 0.0)]}, {})
        (found,) = pooled([curve] * 5).points["log", "uniform, mean"]
        assert found[:3] == (setting, 1.0, 30.0) and math.isnan(found.delay)


def test_no_row_of_the_live_clock_looks_at_the_future(model: Model) -> None:
    ways = ways_of(model, -1)
    assert {way.name for way in ways if way.clock == "live"} == {"uniform", *POLICIES}
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 8)).cumsum(0)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    times = np.arange(120) * 0.25
    past = 70
    changed = np.concatenate([rows[:past], np.roll(rows[past:], 7, 0)])
    for way in (way for way in ways if way.clock == "live" and way.name in POLICIES):
        both = zip(*(way.decode(Embedded(times, times, given)) for given in (rows, changed)), strict=True)
        for one, other in both:
            told = [[d for d in own if d.decided is not None and d.decided < times[past]] for own in (one, other)]
            assert [d.decided for d in told[0]] == [d.decided for d in told[1]]
            assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(*told, strict=True))


def test_what_is_set_before_comes_from_the_streams_for_tuning(model: Model) -> None:
    stream, seen, times = events(1)
    rows, query = np.eye(THINGS, dtype=np.float32)[seen], model.text.query("q")

    def curves_of(stream: Stream, ways: Sequence[Way], cider: Cider) -> Curves:
        return sweep(stream, Embedded(times, times, rows), ways, read, cider)

    tuned = measure._tune([stream], query, curves_of, lambda line: None)
    for name, clock in tuned.policies:
        policy = tuned.described(clock, f"{name}, {'mean' if clock == 'log' else 'exact'}")
        assert parse_policy(policy).name == POLICIES[name].policy
    assert tuned.described("live", "uniform 2 Hz + reuse, exact") == "reuse=0"  # what returns is the same to the bit
    assert tuned.described("log", "budget + reuse, mean").startswith("budget:per_minute=")
    assert measure._tune([], query, curves_of, lambda line: None).before == {}


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Groups:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))

    def seen(seed: int) -> Stream:
        rng = np.random.default_rng(seed)
        frames = np.repeat(rng.integers(0, 255, (6, 1, 1, 3)), 12, 0) + rng.integers(0, 9, (72, 32, 32, 3))
        shown = [(frame.clip(0, 255).astype(np.uint8), k / 4) for k, frame in enumerate(frames)]
        said = tuple(Annotation(3.0 * k + 1, f"a ball moves {k}") for k in range(6))
        return Stream(f"toy {seed}", {"toy": seed}, said, tuple(3.0 * k for k in range(6)), lambda open: iter(shown))

    return Groups((seen(0),), {("toy", "low"): (seen(1), seen(2))})


def test_the_figures_of_the_toy_are_complete_and_come_from_the_cache_again(
    model: Model, streams: Groups, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = measure.measure(model, streams)
    rows = figures["tables"][0]["rows"]
    named = {(row["clock"], row["way"], row["decodes"]) for row in rows}
    assert {("log", "ward", "mean"), ("live", "uniform", "exact"), ("live", "running-ward", "exact")} <= named
    assert ("live", "ward", "mean") not in named and ("live", "kernel-cpd", "mean") not in named
    assert all(len(row["by_seed"]) == row["seeds"] == 2 for row in rows)
    assert any("ward" in line for line in lines(figures))
    json.dumps(figures)

    def gone(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was embedded or decoded again")

    monkeypatch.setattr(embedded, "WindowEncoder", gone)
    monkeypatch.setattr(Text, "decode_each", gone)
    again = measure.measure(model, streams)
    assert str(again) == str(figures)


def test_where_the_exact_segmentation_is_left_out_it_is_said_why(
    model: Model, streams: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure.measure(model, Groups((), streams.reported))["missing"] == {}
    monkeypatch.setattr(ways, "CEILING_UP_TO", 71)
    assert ways.no_ceiling(71) == "" and "takes hours of more than 71 hops" in ways.no_ceiling(72)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    figures = measure.measure(model, Groups((), streams.reported))
    assert "kernel-cpd" not in {row["way"] for row in figures["tables"][0]["rows"]}
    (line,) = (line for line in lines(figures) if line.startswith("No row kernel-cpd: "))
    assert "needs ruptures" in line and "pip install" in line


def test_a_stream_is_embedded_as_the_runtime_does_it(model: Model, streams: Groups) -> None:
    (stream,) = streams.tuning
    found = embed(model, stream)
    frames = list(stream.frames(model.open))
    times, rows = model.embed_windows(frames)
    assert found.times == pytest.approx(times) and found.rows == pytest.approx(rows, abs=1e-6)
    assert (found.since <= found.times).all() and found.since[11] == 1.0 and found.seconds == pytest.approx(18.0)


def test_the_motion_gate_saves_hops_of_a_still_scene_alone(model: Model, streams: Groups) -> None:
    (stream,) = streams.tuning  # noise of up to 9 levels: blocks of 64 pixels hardly move
    assert embed(model, stream).idle == 0
    gated = embed(model, stream, still=4.0)
    assert gated.idle > 0.2  # six scenes of 12 frames, of which 8 fill the window
    cut = [k for k in range(1, 72) if (gated.rows[k] != gated.rows[k - 1]).any()]
    assert {12, 24, 36, 48, 60} <= set(cut)


def test_each_policy_has_rows_with_the_gate_beside_those_without_it(model: Model, streams: Groups) -> None:
    figures = measure.measure(model, Groups((), streams.reported), still=4.0)
    rows = {(row["clock"], row["way"]): row for row in figures["tables"][0]["rows"]}
    for clock, name, reuse in ((c, n, r) for c in CLOCKS for n in POLICIES for r in ("", " + reuse")):
        assert {(clock, name + reuse), (clock, f"{name}{reuse} + gate")} <= set(rows)
    assert ("log", "ward + gate") not in rows
    assert any(
        rows[clock, name]["curve"] != rows[clock, f"{name} + gate"]["curve"] for clock in CLOCKS for name in POLICIES
    )
    assert figures["hops_idle"] > 0.2 and 0.2 < figures["gate_saves"]["graph_runs"] < 1
    assert any("motion gate, 4 levels" in line for line in lines(figures))


def test_texts_are_those_of_the_model_itself(model: Model, streams: Groups) -> None:
    rng = np.random.default_rng(5)
    rows = [row / np.linalg.norm(row) for row in rng.normal(size=(9, 16)).astype(np.float32)]
    with Words(model) as words:
        assert words.read(rows + rows[:2]) == [model.decode_text(row) for row in rows + rows[:2]]


def test_a_database_of_texts_that_is_damaged_is_made_again_and_that_is_said(
    model: Model, streams: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row / np.linalg.norm(row) for row in np.random.default_rng(6).normal(size=(300, 16)).astype(np.float32)]
    with Words(model) as words:
        said = words.read(rows)
    assert not caplog.records
    file = folder() / "selective-texts.sqlite"
    whole = file.read_bytes()
    half = len(whole) // 2
    with contextlib.closing(sqlite3.connect(folder() / "other.sqlite")) as other:
        other.execute("CREATE TABLE texts (key BLOB, said TEXT)")
    another = (folder() / "other.sqlite").read_bytes()
    for damaged in (b"no database at all" * 100, whole[:half], whole[:half] + bytes(half), another):
        file.write_bytes(damaged)
        with Words(model) as words:
            assert words.read(rows) == said
        (record,) = caplog.records
        assert "selective-texts.sqlite can't be used and is made again" in record.getMessage()
        caplog.clear()
        with Words(model) as words:
            assert words.read(rows) == said
        assert not caplog.records


def test_a_database_of_texts_that_is_in_use_for_long_is_not_thrown_away(
    model: Model, streams: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Words(model):
        pass
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, timeout: connect(file, timeout=0.1))
    with contextlib.closing(connect(folder() / "selective-texts.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match="can't be used: database is locked"):
            Words(model)


@pytest.mark.parametrize(
    "wrong", [np.zeros(5), np.zeros((), np.float64), np.zeros((72, 5)), np.zeros((1, 18)), np.full((72, 18), np.nan)]
)
def test_kept_embeddings_of_another_shape_are_made_again_and_that_is_said(
    model: Model, streams: Groups, caplog: pytest.LogCaptureFixture, wrong: NDArray[np.float64]
) -> None:
    (stream,) = streams.tuning
    made = embed(model, stream)
    (file,) = folder().glob("*.npy")
    np.save(file, wrong)
    assert np.array_equal(embed(model, stream).rows, made.rows)
    assert "can't be used and is made again" in caplog.text
    caplog.clear()
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(embed(model, stream).rows, made.rows)
    assert "can't be used and is made again" in caplog.text


def test_the_command_says_what_a_folder_must_hold(tmp_path: Path, toy: Path) -> None:
    call = ["eval", "selective", "--data", str(tmp_path), "--model", str(toy), "--kinds"]
    run = CliRunner().invoke(app, [*call, "everyday"])
    assert run.exit_code == 2 and "vljepa data fetch everyday" in run.output
    run = CliRunner().invoke(app, [*call, "seaside"])
    assert run.exit_code == 2 and "kinds must be of everyday, drawn, got 'seaside'" in run.output


def test_the_command_measures_a_folder_of_one_s_own(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    import av

    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    with av.open(str(tmp_path / "a.mp4"), "w") as video:
        track = video.add_stream("mpeg4", rate=4)
        track.width = track.height = 64
        for k in range(48):
            image = np.full((64, 64, 3), 255 * (k // 12 % 2), np.uint8)
            video.mux(track.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        video.mux(track.encode())
    (tmp_path / "annotations.csv").write_text("path,time,text\na.mp4,1,a ball\na.mp4,4,a cup\na.mp4,8,a ball\n")
    out = tmp_path / "out"
    call = ["eval", "selective", "--data", str(tmp_path), "--model", str(toy), "--json", "--out", str(out)]
    run = CliRunner().invoke(app, call)
    assert run.exit_code == 0, run.output
    figures = json.loads(run.stdout)
    assert figures["streams"] == {"recordings": {"count": 1, "annotations": 3}}
    assert json.loads((out / "selective.json").read_text()) == figures
    assert "<svg" in (out / "selective.svg").read_text() and "uniform" in (out / "selective.md").read_text()


def test_the_live_clock_refuses_what_saw_the_future(model: Model) -> None:
    stream, seen, times = events(3)
    ways = [way for way in fixed_ways(ceiling=False) if way.clock == "log"]
    wrong = [replace(way, clock="live") if way.name == "ward" else way for way in ways]
    rows = np.eye(THINGS, dtype=np.float32)[seen]
    with pytest.raises(InputError, match="without the future"):
        sweep(stream, Embedded(times, times, rows), wrong, lambda given: ["a"] * len(given), Cider(["a b"]))
