"""A stream gives the same as encoding every window from scratch, and its events tile time."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.calibrated import LOGISTIC, write_calibrated
from tests.streaming.scenes import BLUE, GREEN, GREY, RED, picture, scenes
from tests.streaming.scratch import Scratch
from tests.streaming.wrapped import WrappedEngine
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.model import Model, load
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.options import Decode, StreamOptions
from vljepa_edge.streaming.policy import RunningWard, Uniform
from vljepa_edge.streaming.stream import Stream

QUERY = "What is happening?"
HALF_WINDOW = 7 / 4 / 2


def embeddings_of(stream: Stream) -> list[tuple[float, NDArray[np.float32]]]:
    rows: list[tuple[float, NDArray[np.float32]]] = []
    stream.subscribe(lambda time, embedding, query: rows.append((time, embedding)))
    return rows


def run(stream: Stream, frames: object) -> list[Event]:
    events = [event for image, time in frames for event in stream.push(image, time)]  # type: ignore[attr-defined]
    return events + stream.flush()


def middle(hop: float) -> float:
    """Of the window that ends at `hop`, where the first frame is at 0."""
    return max(hop / 2, hop - HALF_WINDOW)


def embed_shots(model: Model, shots: list[list[NDArray[np.uint8]]]) -> NDArray[np.float32]:
    """A row a frame: the window that ends there. It restarts at a cut."""
    scratch = Scratch(model.bundle)
    return np.concatenate([scratch.embed_stream(shot, QUERY) for shot in shots])


def shots_of(frames: list[tuple[NDArray[np.uint8], float]], seconds: float) -> list[list[NDArray[np.uint8]]]:
    return [[image for image, time in frames if time // seconds == n] for n in range(int(frames[-1][1] // seconds) + 1)]


def facts(events: list[Event]) -> list[tuple[object, ...]]:
    """What an event says, without how long it took."""
    return [(e.status, e.start, e.end, e.decided_at, e.text, e.query, e.segment, round(e.change, 6)) for e in events]


def test_the_embeddings_are_those_of_windows_encoded_from_scratch(model: Model) -> None:
    frames = list(scenes(RED, GREEN, BLUE, seconds=3))
    with model.open_stream(QUERY) as stream:
        rows = embeddings_of(stream)
        run(stream, frames)
    expected = embed_shots(model, shots_of(frames, 3))
    assert [time for time, _ in rows] == [time for _, time in frames]
    np.testing.assert_allclose(np.stack([row for _, row in rows]), expected, atol=1e-5)


def test_the_events_are_those_of_the_policy_on_those_embeddings(model: Model) -> None:
    frames = list(scenes(RED, GREEN, RED, BLUE))
    with model.open_stream(QUERY, "running-ward:threshold=0.2") as stream:
        events = run(stream, frames)
    scratch = Scratch(model.bundle)
    rows = embed_shots(model, shots_of(frames, 4))
    state = RunningWard(threshold=0.2).start(16)
    expected: list[tuple[str, float, float | None, str]] = []
    start = 0.0
    for row, (_, time) in zip(rows, frames, strict=True):
        decision = state.push(row, time, max(time // 4 * 4, time - 2 * HALF_WINDOW))
        boundary = (decision.since + decision.start) / 2
        if decision.closed is not None:
            expected.append(("closed", start, boundary, scratch.decode(decision.closed.mean)))
        if decision.opened:
            start = boundary
            expected.append(("open", start, None, scratch.decode(row)))
    last = state.flush(frames[-1][1]).closed
    assert last is not None
    expected.append(("closed", start, frames[-1][1], scratch.decode(last.mean)))
    assert [(e.status, e.start, e.end, e.text) for e in events] == expected
    assert len(events) >= 8  # four scenes


def test_segments_lie_where_the_scenes_were(model: Model) -> None:
    with model.open_stream(QUERY, "running-ward:threshold=0.2") as stream:
        closed = [e for e in run(stream, scenes(RED, GREEN, BLUE)) if e.status == "closed"]
    assert [event.start for event in closed] == [0, 4, 8]


def test_uniform_events_tile_time_from_the_first_frame_to_the_last(model: Model) -> None:
    with model.open_stream(QUERY, "uniform:period=1") as stream:
        events = run(stream, scenes(GREY, seconds=5))
    closed = [e for e in events if e.status == "closed"]
    assert closed[0].start == 0 and closed[-1].end == 4.75
    for earlier, later in itertools.pairwise(closed):
        assert earlier.end == later.start
    assert [e.start for e in closed] == [middle(hop) for hop in range(5)]
    assert [e.segment for e in closed] == list(range(5))
    assert all(e.start <= e.decided_at for e in events)


@pytest.mark.parametrize("policy", ["uniform:period=0.25", "running-ward:threshold=0.001,min_duration=0"])
def test_a_cut_in_the_first_window_leaves_no_segment_without_length(model: Model, policy: str) -> None:
    frames = [(picture((RED, GREEN)[index % 2]), index / 4) for index in range(16)]
    with model.open_stream(QUERY, policy) as stream:
        closed = [e for e in run(stream, frames[:8]) + run(stream, frames[8:]) if e.status == "closed"]
    assert len(closed) > 8
    assert all(e.end is not None and e.start < e.end <= e.decided_at for e in closed)
    for earlier, later in itertools.pairwise(closed):
        assert earlier.end == later.start


def test_a_segment_opens_before_it_closes_and_both_say_where_it_starts(model: Model) -> None:
    with model.open_stream(QUERY, "uniform:period=1") as stream:
        events = run(stream, scenes(RED, GREEN))
    opened = {e.segment: e for e in events if e.status == "open"}
    for event in events:
        if event.status == "closed":
            assert opened[event.segment].start == event.start
            assert events.index(opened[event.segment]) < events.index(event)
    assert all(e.end is None for e in opened.values())


def test_text_is_decoded_for_events_and_for_nothing_else(toy: Path) -> None:
    engine = WrappedEngine()
    with Model(Bundle.open(toy), engine).open_stream(QUERY) as stream:
        events = run(stream, scenes(GREY, seconds=10))
    tokens_a_text = 5  # four words and the end
    assert stream.stats().decodes == len(events) == 2
    assert engine.calls["y_decoder"] == 2 * tokens_a_text


@pytest.mark.parametrize(
    ("decode", "worded"), [("closed", ["closed"]), ("open", ["open"]), ("both", ["open", "closed"]), ("none", [])]
)
def test_text_is_decoded_where_the_option_says(toy: Path, decode: Decode, worded: list[str]) -> None:
    engine = WrappedEngine()
    frames = list(scenes(RED, GREEN, BLUE))
    with Model(Bundle.open(toy), engine).open_stream(QUERY, decode="both") as stream:
        expected = run(stream, frames)
    before = engine.calls["y_decoder"]
    with Model(Bundle.open(toy), engine).open_stream(QUERY, decode=decode) as stream:
        events = run(stream, frames)
    assert [(e.status, e.start, e.end) for e in events] == [(e.status, e.start, e.end) for e in expected]
    assert [e.text for e in events] == [e.text if e.status in worded else "" for e in expected]
    for event, other in zip(events, expected, strict=True):
        np.testing.assert_array_equal(event.embedding, other.embedding)
        assert not event.embedding.flags.writeable
        assert ("decode" in event.latency_ms) == (event.status in worded)
    decodes = len([event for event in expected if event.status in worded])
    assert stream.stats().decodes == decodes
    assert engine.calls["y_decoder"] - before == 5 * decodes  # four words and the end


def test_each_frame_is_encoded_once_and_the_query_once(toy: Path) -> None:
    engine = WrappedEngine()
    with Model(Bundle.open(toy), engine).open_stream(["a", "b"]) as stream:
        run(stream, scenes(RED, GREEN))
    assert engine.calls["x_encoder_appearance"] == 32
    assert engine.calls["x_encoder_motion"] == 32
    assert engine.calls["predictor"] == 64
    assert engine.calls["text"] == 2


def test_frames_between_due_times_change_nothing_and_are_never_looked_at(model: Model) -> None:
    fine = list(scenes(RED, GREEN, fps=20))
    due = fine[::5]
    with model.open_stream(QUERY) as stream, model.open_stream(QUERY) as sparse:
        seen, expected = embeddings_of(stream), embeddings_of(sparse)
        for index, (image, time) in enumerate(fine):
            stream.push(image if index % 5 == 0 else np.zeros((0,)), time)
        run(sparse, due)
    assert [time for time, _ in seen] == [time for _, time in due]
    for (_, row), (_, other) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(row, other)
    assert stream.stats().skipped == len(fine) - len(due)


def test_several_queries_are_as_several_streams(model: Model) -> None:
    queries = ["What is happening?", "Which colour?", ""]
    frames = list(scenes(RED, GREEN, BLUE))
    with model.open_stream(queries, "running-ward:threshold=0.2") as stream:
        together = run(stream, frames)
    assert stream.stats().hops == len(frames)
    for query in queries:
        with model.open_stream(query, "running-ward:threshold=0.2") as alone:
            assert facts([e for e in together if e.query == query]) == facts(run(alone, frames))


@pytest.mark.parametrize("every", [1, 3, 1000])
def test_when_one_polls_does_not_matter(model: Model, every: int) -> None:
    frames = list(scenes(RED, GREEN, BLUE))
    with (
        model.open_stream(QUERY, "uniform:period=0.5") as stream,
        model.open_stream(QUERY, "uniform:period=0.5") as other,
    ):
        expected = run(other, frames)
        polled = []
        for index, (image, time) in enumerate(frames):
            stream.push(image, time)
            if index % every == 0:
                polled += stream.poll()
        stream.flush()
        polled += stream.poll()
        assert stream.poll() == []
    assert facts(polled) == facts(expected)


def test_events_that_nobody_polls_are_bounded(model: Model) -> None:
    with model.open_stream(QUERY, "uniform:period=0.25") as stream:
        events = run(stream, scenes(GREY, seconds=50))
        kept = stream.poll()
    assert len(events) > 300
    assert len(kept) == 256 and kept[-1] is events[-1]
    assert stream.stats().unpolled == 0  # push() returned them all


def test_many_threads_share_one_model(model: Model) -> None:
    videos = [list(scenes(*order)) for order in itertools.permutations((RED, GREEN, BLUE))]
    found: dict[int, list[Event]] = {}

    def work(index: int) -> None:
        with model.open_stream(QUERY, "running-ward:threshold=0.2") as stream:
            found[index] = run(stream, videos[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(videos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, video in enumerate(videos):
        with model.open_stream(QUERY, "running-ward:threshold=0.2") as stream:
            assert facts(found[index]) == facts(run(stream, video))


def test_a_hop_of_several_frames_still_sees_every_frame(toy: Path, tmp_path: Path) -> None:
    manifest = json.loads((toy / "manifest.json").read_text())
    manifest["video"]["hop"] = 3
    files = {
        str(path.relative_to(toy)): path for path in toy.rglob("*") if path.is_file() and path.name != "manifest.json"
    }
    for name in ("schema", "files", "created"):
        manifest.pop(name)
    model = load(write_bundle(tmp_path / "hop3", manifest, files), threads=1, precision="f32")
    frames = list(scenes(RED, GREEN))
    with model.open_stream(QUERY) as stream:
        rows = embeddings_of(stream)
        run(stream, frames)
    expected = embed_shots(model, shots_of(frames, 4))[::3]
    np.testing.assert_allclose(np.stack([row for _, row in rows]), expected, atol=1e-5)
    assert (stream.stats().hops, stream.stats().encoded) == (len(expected), len(frames))


def test_a_model_that_takes_whole_clips_streams_too(tmp_path: Path) -> None:
    model = load(write_toy_bundle(tmp_path / "clip", vjepa=True), threads=1, precision="f32")
    frames = list(scenes(RED, GREEN))
    with model.open_stream(QUERY) as stream:
        rows = embeddings_of(stream)
        run(stream, frames)
    embeddings = [model.embed_windows(frames[shot], QUERY, hop=1)[1] for shot in (slice(16), slice(16, 32))]
    np.testing.assert_allclose(np.stack([row for _, row in rows]), np.concatenate(embeddings), atol=1e-6)


# --- how sure it is ---


GENERAL = ["Something happens.", "A thing moves.", "It is red."]


def test_what_is_not_sure_enough_is_said_in_general_words_or_not_at_all(toy: Path, tmp_path: Path) -> None:
    low = {**LOGISTIC, "offset": -3.0}
    path = write_calibrated(toy, tmp_path / "out", general=GENERAL, caption=low, answer=low, min_confidence=0.5)
    model = load(path, threads=1, precision="f32")
    frames = list(scenes(RED, GREEN, BLUE, GREY))

    def events(least: float | None, query: str = QUERY) -> list[Event]:
        with model.open_stream(query, "uniform:period=1", min_confidence=least) as stream:
            return run(stream, frames)

    plain = events(0.0)
    assert all(event.wording == "specific" and event.text for event in plain)
    seen = set()
    middle = float(np.median([event.confidence for event in plain if event.confidence is not None]))
    for least in (None, middle, 0.9):
        for event, other in zip(events(least), plain, strict=True):
            expected = model.confidence.say(model.text, event.embedding, QUERY, 0.5 if least is None else least)
            assert (event.text, event.confidence, event.wording) == expected
            assert event.text in {"specific": [other.text], "general": GENERAL, "none": [""]}[event.wording]
            seen.add(event.wording)
    assert seen == {"specific", "general", "none"}, "or the test shows less than it says"
    assert {event.wording for event in events(0.9, "What colour is it?")} <= {"specific", "none"}


def test_a_bundle_without_calibrators_knows_no_least_confidence(model: Model) -> None:
    with model.open_stream(QUERY, min_confidence=0) as stream:
        assert {event.confidence for event in run(stream, scenes(RED))} == {None}
    with pytest.raises(InputError, match="min_confidence needs a bundle whose confidence was calibrated"):
        model.open_stream(QUERY, min_confidence=0.5)
    for bad in (-0.1, 1.1, "high", True, float("nan")):
        with pytest.raises(InputError, match="min_confidence must be a number from 0 to 1"):
            StreamOptions(min_confidence=bad)  # type: ignore[arg-type]


# --- frames of all kinds ---


def test_any_size_grey_and_alpha_are_frames(model: Model) -> None:
    shapes = [(32, 32, 3), (48, 64, 3), (17, 33, 4), (240, 32), (1, 1), (32, 32, 1)]
    with model.open_stream(QUERY) as stream:
        for index, shape in enumerate(shapes):
            stream.push(np.full(shape, 99, np.uint8), index / 4)
    assert stream.stats().encoded == len(shapes)
    assert stream.stats().resized == len(shapes) - 1


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((32, 32, 3), np.float32),
        np.full((32, 32, 3), np.nan),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((0, 32, 3), np.uint8),
        np.zeros((2, 32, 32, 3), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((32, 32, 3), np.int64),
        None,
        "frame.png",
    ],
    ids=lambda bad: f"{bad.dtype}{bad.shape}" if isinstance(bad, np.ndarray) else repr(bad),
)
@pytest.mark.parametrize("live", [False, True])
def test_what_is_no_frame_is_refused_and_changes_nothing(model: Model, bad: object, live: bool) -> None:
    with model.open_stream(QUERY, live=live, queue=100) as stream, model.open_stream(QUERY) as good:
        rows, expected = embeddings_of(stream), embeddings_of(good)
        frames = list(scenes(RED, GREEN, seconds=2))
        for image, time in frames:
            with pytest.raises(FrameError):
                stream.push(bad, time - 0.01)  # type: ignore[arg-type]
            stream.push(image, time)
        stream.flush()
        run(good, frames)
    assert stream.stats().errors == len(frames)
    np.testing.assert_array_equal(np.stack([row for _, row in rows]), np.stack([row for _, row in expected]))


def test_a_time_that_is_no_number_is_refused(model: Model) -> None:
    with model.open_stream(QUERY) as stream:
        with pytest.raises(InputError, match="seconds"):
            stream.push(picture(RED), None)  # type: ignore[arg-type]
        assert stream.push(picture(RED), 0)[0].status == "open"


# --- life of a stream ---


def test_the_first_frame_opens_a_segment(model: Model) -> None:
    with model.open_stream() as stream:
        (event,) = stream.push(picture(RED), 7.5)
    assert (event.status, event.start, event.end, event.decided_at, event.segment) == ("open", 7.5, None, 7.5, 0)
    assert event.query == model.manifest.text.default_query
    assert event.text == Scratch(model.bundle).decode(event.embedding)
    assert not event.embedding.flags.writeable
    assert {"scale", "encode", "predict", "policy", "decode", "total"} == set(event.latency_ms)
    assert sum(event.latency_ms.values()) <= 2 * event.latency_ms["total"]


def test_flush_closes_once_and_the_stream_goes_on_where_it_was(model: Model) -> None:
    with model.open_stream(QUERY) as stream:
        assert stream.flush() == []
        for image, time in scenes(RED, seconds=2):
            stream.push(image, time)
        (closed,) = stream.flush()
        assert (closed.start, closed.end, closed.decided_at) == (0, 1.75, 1.75)
        assert stream.flush() == []
        (again,) = stream.push(picture(RED), 2.0)
        assert (again.status, again.start, again.segment) == ("open", 1.75, 1)
        assert stream.flush()[0].end == 2.0


def test_reset_makes_a_stream_as_new(model: Model) -> None:
    frames = list(scenes(RED, GREEN))
    with model.open_stream(QUERY) as stream:
        first = run(stream, frames)
        stream.push(picture(BLUE), 99.0)
        stream.reset()
        assert stream.poll() == [] and stream.stats().frames == 0 and stream.stats().latency_ms == {}
        assert facts(run(stream, frames)) == facts(first)


def test_a_closed_stream_says_so_and_keeps_its_events(model: Model) -> None:
    stream = model.open_stream(QUERY)
    stream.push(picture(RED), 0.0)
    stream.close()
    stream.close()
    for use in (lambda: stream.push(picture(RED), 1.0), stream.flush, stream.reset, lambda: stream.set_query("x")):
        with pytest.raises(InputError, match="closed"):
            use()
    assert len(stream.poll()) == 1 and stream.stats().frames == 1


def test_a_query_can_change_while_frames_come(model: Model) -> None:
    frames = list(scenes(RED, GREEN))
    with model.open_stream("first") as stream, model.open_stream("second") as other:
        rows, expected = embeddings_of(stream), embeddings_of(other)
        for image, time in frames[:20]:
            stream.push(image, time)
        (closed,) = stream.set_query("second")
        assert (closed.query, closed.end) == ("first", frames[19][1])
        (opened,) = stream.push(*frames[20])
        assert (opened.query, opened.status, stream.queries) == ("second", "open", ("second",))
        for image, time in frames[21:]:
            stream.push(image, time)
        run(other, frames)
    for (_, row), (_, wanted) in zip(rows[20:], expected[20:], strict=True):
        np.testing.assert_array_equal(row, wanted)


def test_a_policy_can_change_while_frames_come(model: Model) -> None:
    frames = list(scenes(RED, GREEN, BLUE, seconds=4))
    with model.open_stream(["first", "second"], "uniform:period=100") as stream:
        for image, time in frames[:16]:
            stream.push(image, time)
        closed = stream.set_policy("uniform:period=1")
        assert [(event.status, event.end, event.query) for event in closed] == [
            ("closed", frames[15][1], "first"),
            ("closed", frames[15][1], "second"),
        ]
        with pytest.raises(InputError, match="policy must be one of"):
            stream.set_policy("nosuch")
        stream.add_query("third")  # cut by the new policy, too
        events = run(stream, frames[16:])
    for query in ("first", "second", "third"):
        starts = [event.start for event in events if event.status == "open" and event.query == query]
        assert len(starts) == 8 and starts == sorted(starts)  # eight seconds are left


def test_the_change_of_each_hop_is_what_its_policy_measured(model: Model) -> None:
    frames = list(scenes(RED, GREEN, seconds=3))
    embeddings: list[NDArray[np.float32]] = []
    changes: list[float] = []
    with model.open_stream(QUERY, "running-ward") as stream:
        assert stream.changes == {QUERY: 0.0}
        stream.subscribe(lambda time, embedding, query: embeddings.append(embedding))
        stream.subscribe(lambda time, embedding, query: changes.append(stream.changes[query]))
        run(stream, frames)
        stream.reset()
        assert stream.changes == {QUERY: 0.0}
    state = RunningWard().start(model.manifest.embedding.width)
    since = [max(0.0, time - 7 / 4) if time < 3 else max(3.0, time - 7 / 4) for _, time in frames]
    expected = [
        state.push(row, time, first).score for row, (_, time), first in zip(embeddings, frames, since, strict=True)
    ]
    assert changes == expected and max(changes) > 0


def test_queries_come_and_go(model: Model) -> None:
    with model.open_stream("a") as stream:
        stream.push(picture(RED), 0.0)
        stream.add_query("b", "uniform:period=0.25")
        assert [e.query for e in stream.push(picture(RED), 0.25)] == ["b"]
        assert [(e.query, e.status) for e in stream.push(picture(RED), 0.5)] == [("b", "closed"), ("b", "open")]
        with pytest.raises(InputError, match="already"):
            stream.add_query("b")
        (closed,) = stream.remove_query("b")
        assert (closed.query, closed.end, stream.queries) == ("b", 0.5, ("a",))
        for text in ("a", "c"):
            with pytest.raises(InputError):
                stream.remove_query(text)


def test_subscribers_get_each_hop_until_they_leave(model: Model) -> None:
    with model.open_stream(["a", "b"]) as stream:
        seen: list[tuple[float, str]] = []
        leave = stream.subscribe(lambda time, embedding, query: seen.append((time, query)))
        stream.push(picture(RED), 0.0)
        leave()
        stream.push(picture(RED), 0.25)
    assert seen == [(0.0, "a"), (0.0, "b")]


def test_a_failing_callback_is_counted_and_shown_and_does_no_harm(model: Model) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("mine")

    with model.open_stream(QUERY, "uniform:period=0.25", callback=fail) as stream:
        stream.subscribe(fail)
        events = run(stream, scenes(RED, seconds=1))
        assert len(events) == 8
        assert stream.stats().callback_errors == 4 + 8
        assert str(stream.last_error) == "mine"


def test_a_callback_may_use_the_stream(model: Model) -> None:
    seen: list[Event] = []

    def callback(event: Event) -> None:
        seen.append(event)
        if event.status == "open" and event.query == "a":
            stream.set_query("b")
            stream.push(picture(GREEN), event.decided_at + 0.25)

    with model.open_stream("a", callback=callback) as stream:
        stream.push(picture(RED), 0.0)
    assert [(e.query, e.status) for e in seen] == [("a", "open"), ("a", "closed"), ("b", "open")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue": 0},
        {"max_staleness": 0},
        {"max_staleness": float("nan")},
        {"max_idle": -1},
        {"max_idle": float("nan")},
        {"max_idle": "never"},
        {"gap": 0.1},
        {"gap": float("nan")},
        {"gap": "2"},
        {"queue": 1.5},
        {"queue": True},
        {"max_staleness": "soon"},
        {"hop": 0.0},
        {"hop": 0.1},
        {"hop": float("inf")},
        {"hop": "0.5"},
        {"policy": "sometimes"},
        {"policy": 5},
        {"query": ["a", "a"]},
        {"query": [3]},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(model: Model, wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(InputError) as raised:
        model.open_stream(**wrong)  # type: ignore[arg-type]
    assert name == "query" or name in str(raised.value)
    with pytest.raises(InputError):
        model.stream(picture(RED), **wrong)  # type: ignore[arg-type]


def test_options_are_gathered_once_and_arguments_replace_them(model: Model) -> None:
    options = StreamOptions(policy="uniform:period=1", hop=0.5)
    frames = list(scenes(RED, GREEN))
    with (
        model.open_stream(QUERY, options=options) as stream,
        model.open_stream(QUERY, "uniform:period=1", hop=0.5) as other,
        model.open_stream(QUERY, options=options, hop=0.25) as replaced,
    ):
        assert facts(run(stream, frames)) == facts(run(other, frames))
        run(replaced, frames)
        assert (stream.stats().hops, replaced.stats().hops) == (len(frames) // 2, len(frames))
    events = model.stream(iter(frames), QUERY, options=options)
    assert facts(list(events)) == facts(stream.poll())
    assert options == StreamOptions(policy=Uniform(period=1), hop=0.5)


@pytest.mark.parametrize(("hop", "frames"), [(0.25, 1), (0.3, 1), (0.5, 2), (0.7, 3), (2, 8), (4.0, 16)])
def test_a_hop_is_given_in_seconds_and_rounded_to_frames(model: Model, hop: float, frames: int) -> None:
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, 64)
    with model.open_stream(QUERY, hop=hop) as stream:
        rows = embeddings_of(stream)
        for index, (image, time) in enumerate(scenes(RED, GREEN, seconds=8)):
            stream.push(image, time + jitter[index])
    assert [round(4 * time) for time, _ in rows] == list(range(0, 64, frames))
    assert stream.stats().encoded == 64


# --- cost ---


def test_what_is_not_graphs_takes_at_most_a_millisecond_a_hop(model: Model) -> None:
    with model.open_stream(QUERY) as stream:
        run(stream, scenes(RED, GREEN, BLUE, seconds=40))
    latency = stream.stats().latency_ms
    assert latency["overhead"]["p50"] <= latency["overhead"]["p99"]
    assert latency["overhead"]["p50"] < 1.0
    assert latency["hop"]["p50"] >= latency["encode"]["p50"]


@pytest.mark.slow
def test_memory_is_flat_over_a_hundred_thousand_frames(model: Model) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    image = picture(RED)
    images = [picture(colour) for colour in (RED, GREEN, BLUE)]
    with model.open_stream(QUERY, "uniform:period=1") as stream:
        for index in range(100_000):
            stream.push(images[index // 2000 % 3] if index % 40 == 0 else image, index / 160)
            if index == 40_000:
                before = resident()
        assert resident() - before < 4 << 20
    assert stream.stats().hops == 2500
