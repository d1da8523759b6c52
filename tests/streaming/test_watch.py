"""Labels appear and go as rules written out over whole recordings say, on the frames' clock, and cost one pass."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.streaming.scenes import GREEN, RED, picture, scenes
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.labels import Labels
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.hysteresis import Hysteresis
from vljepa_edge.streaming.stream import Stream
from vljepa_edge.streaming.watch import Sighting, Watch, WatchLike, read_watch

NEVER = "uniform:period=86400"
HALF_WINDOW = 7 / 4 / 2


# --- the policy ---


class Known:
    """Labels whose probabilities are the prediction itself."""

    query = "What?"

    def __init__(self, count: int) -> None:
        self.names = tuple(f"label {number}" for number in range(count))

    def probabilities(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        return embedding


class Hop(NamedTuple):
    time: float
    since: float
    chances: tuple[float, ...]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[Hop], list[Hysteresis]]:
    """Hops in rising time, a window that restarts now and then, and a policy for each of a few labels."""
    count = draw(st.integers(1, 3))
    levels, holds = st.sampled_from([(0.625, 0.375), (0.5, 0.5), (0.875, 0.125)]), st.sampled_from([0.0, 0.4, 1.0])
    policies = [Hysteresis(*draw(levels), draw(holds)) for _ in range(count)]
    eighths = st.integers(0, 8).map(lambda value: value / 8) | st.just(float("nan"))
    now, first = draw(st.floats(-100, 100)), 0
    hops: list[Hop] = []
    for index in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0.2, 0.25, 0.3, 1.5]))
        first = draw(st.sampled_from([first, first, first, index]))
        since = max(now - 1.75, hops[first].time if first < index else now)
        hops.append(Hop(now, since, tuple(draw(eighths) for _ in range(count))))
    return hops, policies


def sightings(hops: list[Hop], label: int, policy: Hysteresis) -> list[tuple[float, float, float]]:
    """Start, end and probability of one label's sightings, over the whole recording: the independent oracle."""
    middles = {hop.time: (hop.since + hop.time) / 2 for hop in hops}
    state = policy.start()
    told = [state.push(hop.chances[label], hop.time) for hop in hops] + [state.finish()]
    found = []
    for occurrence in told:
        if occurrence is not None and occurrence.end is not None:
            lasts = told[-1] is occurrence and occurrence.end == hops[-1].time
            end = hops[-1].time if lasts else middles[occurrence.end]
            found.append((middles[occurrence.start], end, occurrence.peak))
    return found


@given(recordings())
def test_sightings_are_what_the_rules_say_of_each_label_alone(recording: tuple[list[Hop], list[Hysteresis]]) -> None:
    hops, policies = recording
    watch = Watch(cast(Labels, Known(len(policies))), policies)
    told: list[Sighting] = []
    for hop in hops:
        now = watch.push(np.array(hop.chances, np.float32), hop.time, hop.since)
        assert all(hop.time >= sighting.start for sighting in now)
        told += now
    told += watch.end(hops[-1].time if hops else 0.0)
    assert watch.end(1e9) == []
    for label, policy in enumerate(policies):
        mine = [sighting for sighting in told if sighting.label == f"label {label}"]
        assert [sighting.end is None for sighting in mine] == [True, False] * (len(mine) // 2)  # appears, then is gone
        assert [sighting.number for sighting in mine] == [number // 2 for number in range(len(mine))]
        assert [sighting.start for sighting in mine[::2]] == [sighting.start for sighting in mine[1::2]]
        ended = [(sighting.start, sighting.end, sighting.probability) for sighting in mine[1::2]]
        assert [(start, end) for start, end, _ in ended] == [
            (start, end) for start, end, _ in sightings(hops, label, policy)
        ]
        assert [chance for *_, chance in ended] == pytest.approx([peak for *_, peak in sightings(hops, label, policy)])


# --- in a stream ---


class Word(NamedTuple):
    """A label of the toy model that is there in red and not in green, by a wide margin."""

    name: str
    threshold: float


@pytest.fixture(scope="module")
def word(model: Model) -> Word:
    rng = np.random.default_rng(0)
    names = sorted({"".join(rng.choice(list("bdgkmnptvxz"), 3)) for _ in range(300)})
    labels = model.labels(names)
    red, green = (
        labels.probabilities(model.embed_video([picture(colour, seed) for seed in range(8)], labels.query))
        for colour in (RED, GREEN)
    )
    best = int((red / green).argmax())
    assert red[best] > 2 * green[best]  # it leaves at two thirds of the threshold
    return Word(names[best], float(red[best] * green[best]) ** 0.5 * 1.2)


def watching(model: Model, labels: WatchLike, hold: float = 0.5, **options: Any) -> Stream:
    stream = model.open_stream([], NEVER, **options)
    assert stream.watch(labels, hold) == []
    return stream


def run(stream: Stream, frames: Any) -> list[Event]:
    return [event for image, stamp in frames for event in stream.push(image, stamp)]


def facts(events: list[Event]) -> list[tuple[object, ...]]:
    return [(e.status, e.text, e.segment, e.start, e.end, e.decided_at) for e in events]


def test_a_label_appears_and_goes_with_its_scene(model: Model, word: Word) -> None:
    stream = watching(model, {word.name: word.threshold})
    events = run(stream, scenes(GREEN, RED, GREEN, RED, seconds=4.0)) + stream.flush()
    assert facts(events) == [  # a hard cut restarts the window, so what is seen is seen at once; hold is 0.5 s
        ("appeared", word.name, 0, 4.0, None, 4.5),
        ("gone", word.name, 0, 4.0, pytest.approx(7.75 - HALF_WINDOW), 8.5),
        ("appeared", word.name, 1, 12.0, None, 12.5),
        ("gone", word.name, 1, 12.0, 15.75, 15.75),
    ]
    assert stream.poll() == events
    assert stream.stats().decodes == 0
    assert (stream.queries, stream.watched) == ((), (word.name,))


def test_what_is_seen_now_is_what_has_appeared_and_is_not_gone_with_its_largest_probability(
    model: Model, word: Word
) -> None:
    stream, there, peaks = watching(model, {word.name: word.threshold}), False, []
    for image, stamp in scenes(GREEN, RED, GREEN, seconds=4.0):
        for event in stream.push(image, stamp):
            there = event.status == "appeared"
            if not there:
                assert peaks[-1] == event.confidence == max(peaks)
        assert stream.seen.keys() == ({word.name} if there else set())
        peaks += stream.seen.values()
    assert len(peaks) > 8 and peaks == sorted(peaks) and stream.happening == {}


def test_events_are_those_of_the_windows_of_a_recording(model: Model) -> None:
    rng = np.random.default_rng(3)
    frames = [(picture(tuple(rng.integers(0, 256, 3)), number), number / 4) for number in range(60)]  # type: ignore[arg-type]
    labels = {"cup": 0.3, "dog": 0.2, "kite": 0.6, "sun": 0.1}
    watch = read_watch(model, labels, 0.25)
    assert watch is not None
    expected: list[Sighting] = []
    for window in model.windows(iter(frames), watch.labels.query):
        expected += watch.push(window.embedding, window.end, window.start)
    expected += watch.end(frames[-1][1])
    stream = watching(model, labels, 0.25)
    events = run(stream, frames) + stream.flush()
    assert len(expected) >= 6  # so that it says something
    assert [(e.text, e.segment, e.start, e.end) for e in events] == [
        (item.label, item.number, item.start, item.end) for item in expected
    ]
    assert [e.confidence for e in events] == pytest.approx([item.probability for item in expected], abs=1e-5)
    for event in events:
        assert event.query == watch.labels.query and event.wording == "specific" and event.change == 0
        assert event.status == ("appeared" if event.end is None else "gone")
        assert event.decided_at >= event.start and not event.embedding.flags.writeable
        assert event.latency_ms["total"] > 0


def test_all_labels_cost_one_pass_and_none_where_the_query_is_asked_already(toy: Path) -> None:
    def passes(queries: list[str], labels: list[str]) -> int:
        engine = WrappedEngine()
        with Model(Bundle.open(toy), engine).open_stream(queries, NEVER, decode="none") as stream:
            stream.watch(labels)
            run(stream, scenes(RED, seconds=2.0))
            return engine.calls["predictor"] // stream.stats().hops

    own = "What is happening?"  # the toy's query for labels
    assert passes(["What moves?"], []) == 1
    assert passes(["What moves?"], ["cup", "dog", "kite"]) == 2
    assert passes(["What moves?", own], ["cup", "dog", "kite"]) == 2
    assert passes([], ["cup", "dog", "kite"]) == 1
    assert passes([], []) == 0


def test_watching_does_not_change_the_segments(model: Model, word: Word) -> None:
    frames = list(scenes(GREEN, RED, seconds=3.0))
    alone = model.open_stream("What moves?")
    both = model.open_stream("What moves?")
    both.watch({word.name: word.threshold})
    events = run(both, frames) + both.flush()
    assert {event.status for event in events} == {"open", "closed", "appeared", "gone"}
    segments = [event for event in events if event.status in ("open", "closed")]
    assert facts(segments) == facts(run(alone, frames) + alone.flush())


def test_a_stream_that_is_flushed_goes_on_and_sees_it_again(model: Model, word: Word) -> None:
    stream = watching(model, {word.name: word.threshold})
    frames = list(scenes(RED, seconds=6.0))
    run(stream, frames[:12])
    assert facts(stream.flush()) == [("gone", word.name, 0, 0.0, 2.75, 2.75)]
    assert stream.flush() == []
    (event,) = run(stream, frames[12:])
    assert (event.status, event.segment, event.decided_at) == ("appeared", 1, 3.5)
    stream.reset()
    (event,) = run(stream, frames[:12])
    assert (event.status, event.segment, event.start) == ("appeared", 0, 0.0)


@pytest.mark.parametrize(("later", "decided_at"), [(100.0, 100.0), (-100.0, 2.75)])
def test_a_jump_of_the_clock_ends_what_is_seen(model: Model, word: Word, later: float, decided_at: float) -> None:
    stream = watching(model, {word.name: word.threshold})
    frames = list(scenes(RED, seconds=3.0))
    run(stream, frames)
    events = run(stream, [(image, stamp + later) for image, stamp in frames]) + stream.flush()
    assert facts(events) == [
        ("gone", word.name, 0, 0.0, 2.75, decided_at),
        ("appeared", word.name, 1, later, None, later + 0.5),
        ("gone", word.name, 1, later, later + 2.75, later + 2.75),
    ]


def test_a_frame_that_comes_late_or_twice_moves_nothing(model: Model, word: Word) -> None:
    frames = list(scenes(RED, GREEN, seconds=3.0))
    plain, odd = (watching(model, {word.name: word.threshold}) for _ in range(2))
    expected = facts(run(plain, frames))
    found = []
    for image, stamp in frames:
        found += odd.push(image, stamp)
        found += odd.push(picture(GREEN), stamp) + odd.push(picture(GREEN), stamp - 0.1)
    assert facts(found) == expected != []


def test_silence_of_a_camera_ends_what_is_seen(model: Model, word: Word) -> None:
    told: list[Event] = []
    with watching(model, {word.name: word.threshold}, hold=0.0, live=True, gap=0.5, callback=told.append) as stream:
        stream.push(picture(RED), 7.0)
        deadline = time.monotonic() + 20
        while stream.stats().stalls == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [(e.status, e.start, e.end) for e in told] == [
        ("appeared", 7.0, None), ("gone", 7.0, 7.0), ("stalled", 7.0, None),
    ]  # fmt: skip


def test_other_labels_replace_those_before(model: Model, word: Word) -> None:
    stream = watching(model, {word.name: word.threshold})
    frames = list(scenes(RED, seconds=6.0))
    run(stream, frames[:8])
    assert facts(stream.watch({"sun": 1.0, word.name: word.threshold})) == [("gone", word.name, 0, 0.0, 1.75, 1.75)]
    assert stream.watched == ("sun", word.name)
    assert [event.segment for event in run(stream, frames[8:16])] == [0]
    with pytest.raises(InputError, match="labels must"):
        stream.watch(7)  # type: ignore[arg-type]
    assert stream.watched == ("sun", word.name), "what is refused changes nothing"
    assert [event.status for event in stream.watch([])] == ["gone"]
    assert stream.watched == ()
    assert run(stream, frames[16:]) == stream.flush() == []


def test_a_reader_gives_them_among_the_other_events(model: Model, word: Word) -> None:
    with model.stream(list(scenes(RED, GREEN, seconds=2.0)), "What moves?", decode="none") as events:
        events.stream.watch({word.name: word.threshold})
        told = list(events)
    assert [e.status for e in told if e.query != "What moves?"] == ["appeared", "gone"]
    assert {e.status for e in told if e.query == "What moves?"} == {"open", "closed"}


def test_a_prediction_that_fails_moves_no_label(toy: Path, model: Model, word: Word) -> None:
    broken = False

    def before(graph: str) -> None:
        if broken and graph == "predictor":
            raise EngineError("out of order")

    stream = watching(Model(Bundle.open(toy), WrappedEngine(before)), {word.name: word.threshold})
    frames = list(scenes(RED, seconds=2.0))
    (event,) = run(stream, frames[:4])
    broken = True
    with pytest.raises(EngineError):
        stream.push(*frames[4])
    broken = False
    assert run(stream, frames[5:]) == []
    assert facts([event, *stream.flush()]) == [
        ("appeared", word.name, 0, 0.0, None, 0.5), ("gone", word.name, 0, 0.0, 1.75, 1.75),
    ]  # fmt: skip


def test_events_are_ready_for_people_and_for_json(model: Model, word: Word) -> None:
    stream = watching(model, {word.name: word.threshold})
    appeared, gone = run(stream, scenes(RED, seconds=2.0)) + stream.flush()
    assert (str(appeared), str(gone)) == (f"[0.00 - ... s] {word.name} appeared", f"[0.00 - 1.75 s] {word.name} gone")
    told = json.loads(json.dumps(gone.to_dict(), allow_nan=False))
    assert (told["status"], told["text"], told["start"], told["end"]) == ("gone", word.name, 0.0, 1.75)
    assert 0 < told["confidence"] <= 1


# --- what is refused ---


def test_thresholds_texts_and_none_may_be_mixed(model: Model) -> None:
    labels = {"cup": None, "dog": ..., "a kite": 0.9, "spill": ["a puddle", "milk"], "sun": "a sun"}
    watch = read_watch(model, labels, 2)
    assert watch is not None and watch.labels.names == ("cup", "dog", "a kite", "spill", "sun")
    policies = watch.policies
    assert [(policy.begin, policy.hold) for policy in policies] == [(b, 2.0) for b in (0.6, 0.6, 0.9, 0.6, 0.6)]
    assert [policy.end for policy in policies] == pytest.approx([0.4, 0.4, 0.6, 0.4, 0.4])
    told = model.labels({"spill": ["a puddle", "milk"], "a kite": None})
    seen = model.embed_text(["milk"])[0]
    assert watch.labels.scores(seen)[[3, 2]] == pytest.approx(told.scores(seen), abs=1e-5)


@pytest.mark.parametrize("threshold", [0, -0.5, 1.5, float("nan"), float("inf"), True, 10**400])
def test_a_threshold_is_a_probability_above_0(model: Model, threshold: float) -> None:
    with pytest.raises(InputError, match="the threshold of 'cup' must be a"):
        model.open_stream().watch({"cup": threshold})


@pytest.mark.parametrize("hold", [-1, float("nan"), float("inf"), 86401, True, "0.5", None])
def test_hold_is_a_number_of_seconds(model: Model, hold: Any) -> None:
    with pytest.raises(InputError, match="hold must be a number"):
        model.open_stream().watch(["cup"], hold)


@pytest.mark.parametrize("labels", ["cup", None, 7, [""], ["cup", "cups"], ["cup", 7], {"cup": []}, {7: 0.5}, b"cup"])
def test_labels_are_refused_as_model_labels_refuses_them(model: Model, labels: Any) -> None:
    with pytest.raises(InputError) as refused:
        model.open_stream().watch(labels)
    plain = {name: None if isinstance(value, float) else value for name, value in labels.items()} if isinstance(
        labels, dict
    ) else labels
    with pytest.raises(InputError) as expected:
        model.labels(plain)
    assert str(refused.value) == str(expected.value)


def test_a_closed_stream_watches_for_nothing(model: Model) -> None:
    stream = model.open_stream()
    stream.close()
    with pytest.raises(InputError, match="this stream is closed"):
        stream.watch(["cup"])
