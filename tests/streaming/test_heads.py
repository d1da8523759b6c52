"""A head in a stream tells of the events that its probabilities on public features say; it costs no second encoding."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.perception.test_head import make_head
from tests.streaming.scenes import BLUE, GREEN, GREY, RED, picture, scenes
from tests.streaming.wrapped import WrappedEngine
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, HeadError, InputError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.head import Head
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.hysteresis import Hysteresis
from vljepa_edge.streaming.stream import Stream

NEVER = "uniform:period=86400"
Frames = list[tuple[NDArray[np.uint8], float]]


def film(*parts: tuple[tuple[int, int, int], float], seed: int = 0) -> Frames:
    """(frame, time): so many seconds of each colour."""
    colours = [colour for colour, seconds in parts for _ in range(round(4 * seconds))]
    return [(picture(colour, 1000 * seed + i), i / 4) for i, colour in enumerate(colours)]


@pytest.fixture(scope="module")
def head(model: Model) -> Head:
    rng = np.random.default_rng(0)
    taught: dict[str, list[Frames]] = {"gets red": [], "gets blue": [], "nothing": []}
    for seed in range(6):
        grey = (int(rng.integers(100, 160)),) * 3
        for label, colour in (("gets red", RED), ("gets blue", BLUE), ("nothing", grey)):
            taught[label].append(film((grey, 1.0), (colour, 1.25), seed=seed))
        taught["nothing"] += [film((colour, 2.25), seed=seed) for colour in (RED, BLUE, GREEN)]
    return model.teach(taught)


def opened(model: Model, *heads: Head, hold: float = 0.5, **options: Any) -> Stream:
    stream = model.open_stream([], NEVER, **options)
    for each in heads:
        stream.add_head(each, hold=hold)
    return stream


def run(stream: Stream, frames: Frames) -> list[Event]:
    return [event for image, stamp in frames for event in stream.push(image, stamp)]


def facts(events: list[Event]) -> list[tuple[object, ...]]:
    return [(e.status, e.text, e.segment, e.start, e.end, e.decided_at) for e in events]


def test_what_happens_now_is_what_has_begun_and_not_ended(model: Model, head: Head) -> None:
    stream = opened(model, head)
    run(stream, film((GREY, 4), (RED, 1.5)))
    assert stream.happening.keys() == {"gets red"} and stream.seen == {}
    (ended,) = stream.flush()
    assert ended.status == "ended" and stream.happening == {}


def test_events_happen_once_each_where_they_happen(model: Model, head: Head) -> None:
    frames = film((GREY, 4), (RED, 5), (GREY, 4), (BLUE, 5), (GREY, 3))
    events = run(opened(model, head), frames)
    assert [(e.status, e.text, e.segment) for e in events] == [
        ("began", "gets red", 0), ("ended", "gets red", 0), ("began", "gets blue", 0), ("ended", "gets blue", 0),
    ]  # fmt: skip
    for (began, ended), at in zip((events[:2], events[2:]), (4.0, 13.0), strict=True):
        assert abs((began.start + (ended.end or 0)) / 2 - at) < 0.75  # the window slides over the change, and away
        assert began.start == ended.start and ended.end is not None and ended.end - ended.start < 2
        assert began.confidence is not None and ended.confidence is not None
        assert head.threshold <= began.confidence <= ended.confidence <= 1
    for event in events:
        assert (event.query, event.wording, event.change) == ("", "specific", 0.0)
        assert not event.embedding.any() and event.embedding.shape == (16,) and not event.embedding.flags.writeable
        assert event.latency_ms["total"] > 0
    told = json.loads(json.dumps(events[1].to_dict(), allow_nan=False))
    assert (told["status"], told["text"]) == ("ended", "gets red") and told["confidence"] > 0.5
    assert str(events[0]).endswith(" s] gets red began")


def test_a_stream_sees_what_public_features_and_hysteresis_say(model: Model, head: Head) -> None:
    rng = np.random.default_rng(5)
    colours = [RED, GREY, BLUE, GREEN]
    frames = film(*((colours[rng.integers(4)], float(rng.integers(2, 12)) / 4) for _ in range(24)))
    times, rows = model.features(frames)
    chances = head.probabilities(rows)
    middles = [(max(end - 7 / 4, 0.0) + end) / 2 for end in times]
    expected = []
    for column, label in enumerate(head.events):
        state = Hysteresis(head.threshold, head.threshold * 2 / 3, 0.25).start()
        told = [state.push(float(row[column]), end, middle)
                for row, end, middle in zip(chances, times, middles, strict=True)]  # fmt: skip
        last = state.finish()
        if last is not None:
            told.append(last._replace(end=times[-1]) if last.end == middles[-1] else last)
        expected += [(label, item.start, item.end, item.peak) for item in told if item is not None]
    stream = opened(model, head, hold=0.25)
    events = run(stream, frames) + stream.flush()
    assert len(events) >= 10
    found = sorted(((e.text, e.start, e.end or 0.0, e.confidence) for e in events), key=lambda item: item[:3])
    wanted = sorted(((a, b, c or 0.0, d) for a, b, c, d in expected), key=lambda item: item[:3])
    assert [item[:3] for item in found] == [item[:3] for item in wanted]
    assert [item[3] for item in found] == pytest.approx([item[3] for item in wanted], abs=1e-4)


def test_no_graph_runs_for_a_head_that_does_not_run_anyway(toy: Path, head: Head) -> None:
    def calls(frames: Frames, heads: bool, queries: list[str]) -> dict[str, int]:
        engine = WrappedEngine()
        with Model(Bundle.open(toy), engine).open_stream(queries, NEVER, decode="none") as stream:
            if heads:
                stream.add_head(head)
            run(stream, frames)
            assert stream.stats().hops == len(frames)
            return dict(engine.calls)

    calm = film((GREY, 5))
    assert calls(calm, True, ["What?"]) == calls(calm, False, ["What?"])
    assert "predictor" not in calls(calm, True, [])
    cut, plain = (calls(film((GREEN, 3), (RED, 4)), heads, ["What?"]) for heads in (True, False))
    more = {graph: cut[graph] - plain[graph] for graph in cut if cut[graph] != plain[graph]}
    assert more == {"x_encoder_motion": 7}  # the hops whose window holds the cut


def test_segments_and_events_do_not_disturb_each_other(model: Model, head: Head) -> None:
    frames = film((GREY, 3), (RED, 4), (GREEN, 3))
    alone, both = model.open_stream("What moves?"), model.open_stream("What moves?")
    both.add_head(head)
    events = run(both, frames) + both.flush()
    assert {event.status for event in events} >= {"open", "closed", "began", "ended"}
    assert facts([e for e in events if e.query]) == facts(run(alone, frames) + alone.flush())


def test_flush_reset_and_jumps_end_what_has_begun(model: Model, head: Head) -> None:
    frames = film((GREY, 4), (RED, 5))
    stream = opened(model, head)
    (began,) = run(stream, frames[:21])
    (ended,) = stream.flush()
    assert (ended.status, ended.start, ended.end) == ("ended", began.start, frames[20][1])
    assert stream.flush() == []
    stream.reset()
    assert stream.heads == (head,)
    assert [e.segment for e in run(stream, frames[:21])] == [0]
    (ended,) = run(stream, [(picture(GREY), 500.0)])
    assert facts([ended]) == [("ended", "gets red", 0, began.start, frames[20][1], 500.0)]
    assert run(stream, film((GREY, 3), seed=3)) == []  # the clock is set back, and all is still


def test_silence_of_a_camera_ends_what_has_begun(model: Model, head: Head) -> None:
    told: list[Event] = []
    frames = film((GREY, 2), (RED, 1))
    waits = {"gap": 0.5, "queue": 100, "max_staleness": 100.0}
    with opened(model, head, hold=0.0, live=True, callback=told.append, **waits) as stream:
        for image, stamp in frames:
            stream.push(image, stamp)
        deadline = time.monotonic() + 20
        while stream.stats().stalls == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [(e.status, e.text) for e in told] == [("began", "gets red"), ("ended", "gets red"), ("stalled", "")]


def test_heads_come_and_go_while_a_stream_runs(model: Model, head: Head) -> None:
    others = [film((colour, 2), seed=i) for i in range(3) for colour in (RED, BLUE, GREY)]
    other = model.teach({"green": [film((GREEN, 2), seed=i) for i in range(3)], "nothing": others})
    stream = opened(model, head)
    frames = film((GREY, 4), (RED, 5), (GREEN, 4))
    (began,) = run(stream, frames[:21])
    stream.add_head(other)
    assert stream.heads == (head, other)
    (ended,) = stream.remove_head(head)
    assert (ended.status, ended.start, ended.end) == ("ended", began.start, frames[20][1])
    assert {e.text for e in run(stream, frames[21:])} == {"green"}
    with pytest.raises(InputError, match="this stream has no such head"):
        stream.remove_head(head)
    stream.add_head(head)
    with pytest.raises(InputError, match="a head of this stream has the event 'gets red' already"):
        stream.add_head(head)
    assert stream.heads == (other, head)


def test_a_prediction_that_fails_moves_no_head(toy: Path, head: Head) -> None:
    broken = False

    def before(graph: str) -> None:
        if broken and graph in ("predictor", "x_encoder_motion"):
            raise EngineError("out of order")

    frames = film((GREY, 4), (RED, 4))
    stream = Model(Bundle.open(toy), WrappedEngine(before)).open_stream("What?", NEVER, decode="none")
    stream.add_head(head)
    (began,) = (event for event in run(stream, frames[:21]) if event.text == "gets red")
    broken = True
    for frame in frames[21:29]:  # long enough to end it
        with pytest.raises(EngineError):
            stream.push(*frame)
    assert [event.status for event in stream.poll() if event.text == "gets red"] == ["began"]
    broken = False
    (ended,) = (event for event in stream.flush() if event.text == "gets red")
    assert (began.status, ended.status, ended.start) == ("began", "ended", began.start)


def test_a_reader_gives_them_among_the_other_events(model: Model, head: Head) -> None:
    with model.stream(film((GREY, 4), (RED, 5)), "What moves?", decode="none") as events:
        events.stream.add_head(head)
        statuses = [event.status for event in events if not event.query]
    assert statuses == ["began", "ended"]


def test_what_is_no_head_of_this_model_is_refused(model: Model, head: Head, tmp_path: Path) -> None:
    other = load(write_toy_bundle(tmp_path / "other", seed=1), threads=1, precision="f32")
    with pytest.raises(HeadError, match="another"):
        other.open_stream().add_head(head)
    stream = model.open_stream()
    with pytest.raises(HeadError, match="teach it again"):
        stream.add_head(make_head())
    for wrong in (None, "my.head.npz", 3):
        with pytest.raises(InputError, match="head must be a Head"):
            stream.add_head(wrong)  # type: ignore[arg-type]
    for hold in (-1, float("nan"), "1"):
        with pytest.raises(InputError, match="hold must be"):
            stream.add_head(head, hold=hold)  # type: ignore[arg-type]
    assert stream.heads == ()
    stream.close()
    with pytest.raises(InputError, match="closed"):
        stream.add_head(head)


def test_a_head_of_a_model_that_takes_whole_clips(tmp_path: Path) -> None:
    model = load(write_toy_bundle(tmp_path / "vjepa", vjepa=True), threads=1, precision="f32")
    colours = {"red": RED, "blue": BLUE}
    head = model.teach({label: [film((colour, 2.5), seed=i) for i in range(3)] for label, colour in colours.items()})
    events = run(opened(model, head), list(scenes(RED, GREEN, BLUE, seconds=4.0)))
    told = [(e.status, e.text) for e in events]
    assert told[:2] == [("began", "red"), ("ended", "red")] and ("began", "blue") in told
