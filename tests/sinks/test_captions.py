"""Which texts of a stream's events are captions, and when they are there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.streaming.scenes import BLUE, RED, scenes
from vljepa_edge import Event, Model
from vljepa_edge.sinks.captions import Captions, Cue, one_line

EVENT = Event(
    status="closed",
    start=0.0,
    end=1.0,
    decided_at=1.0,
    text="a dog",
    embedding=np.zeros(2, np.float32),
    change=0.0,
    query="What?",
    segment=0,
    latency_ms={},
    confidence=0.9,
    wording="specific",
)


def event(status: str, start: float, end: float | None, text: str, **fields: Any) -> Event:
    given = {"status": status, "start": start, "end": end, "text": text, "decided_at": start if end is None else end}
    return replace(EVENT, **given | fields)


def cues(*events: Event) -> list[Cue]:
    captions = Captions()
    for each in events:
        captions.add(each)
    return captions.cues()


def test_a_segment_is_a_cue_in_milliseconds() -> None:
    assert cues(EVENT, event("closed", 1.0, 2.3456, "a cat", segment=1)) == [
        Cue(0, 1000, ("a dog",)),
        Cue(1000, 2346, ("a cat",)),
    ]


def test_the_text_of_the_end_replaces_that_of_the_beginning() -> None:
    opened = event("open", 0.0, None, "a fox")
    assert cues(opened, EVENT) == [Cue(0, 1000, ("a dog",))]
    unsaid = replace(EVENT, text="", wording="none", confidence=None)  # decode="open" says nothing at the end
    assert cues(opened, unsaid) == [Cue(0, 1000, ("a fox",))]


@pytest.mark.parametrize(
    "fields", [{"wording": "general", "text": "Something moves."}, {"wording": "none", "text": ""}]
)
def test_what_is_not_sure_enough_is_left_out_also_where_the_beginning_was_sure(fields: dict[str, Any]) -> None:
    withheld = replace(EVENT, confidence=0.2, **fields)
    assert cues(withheld) == []
    assert cues(event("open", 0.0, None, "a fox"), withheld) == []


def test_a_text_without_a_probability_is_shown() -> None:
    assert cues(replace(EVENT, confidence=None)) == [Cue(0, 1000, ("a dog",))]


def test_the_last_segment_that_no_event_closed_lasts_until_the_newest_event() -> None:
    last = event("open", 1.0, None, "a cat", segment=1, decided_at=1.75)
    assert cues(EVENT, last) == [Cue(0, 1000, ("a dog",)), Cue(1000, 1750, ("a cat",))]
    silent = event("stalled", 1.75, None, "", query="", segment=-1, decided_at=9.0, wording="none", confidence=None)
    assert cues(EVENT, last, silent) == cues(EVENT, last)


def test_labels_and_taught_events_are_shown_while_they_are_there() -> None:
    seen = [
        event("appeared", 0.5, None, "cup"),
        event("began", 0.75, None, "door opens"),
        event("gone", 0.5, 2.0, "cup"),
        event("appeared", 2.5, None, "cup", segment=1),
        event("ended", 0.75, 3.0, "door opens"),
    ]
    assert cues(*seen) == [
        Cue(500, 750, ("cup",)),
        Cue(750, 2000, ("cup", "door opens")),
        Cue(2000, 2500, ("door opens",)),
        Cue(2500, 3000, ("cup", "door opens")),
    ]


def test_queries_share_a_cue_in_the_order_in_which_they_came() -> None:
    other = {"query": "Where?"}
    events = [
        event("open", 0.0, None, ""),
        event("open", 0.0, None, "", **other),
        event("closed", 0.0, 3.0, "left", **other),
        event("closed", 0.0, 1.0, "a dog"),
        event("closed", 1.0, 3.0, "left", segment=1),
    ]
    assert cues(*events) == [Cue(0, 1000, ("a dog", "left")), Cue(1000, 3000, ("left",))]


def test_neighbours_that_say_the_same_are_one_cue() -> None:
    assert cues(EVENT, event("closed", 1.0, 2.0, "a  dog\n", segment=1)) == [Cue(0, 2000, ("a dog",))]
    apart = cues(EVENT, event("closed", 1.5, 2.0, "a dog", segment=1))
    assert apart == [Cue(0, 1000, ("a dog",)), Cue(1500, 2000, ("a dog",))]


def test_what_is_there_at_the_end_may_last() -> None:
    captions = Captions()
    captions.add(EVENT)
    assert captions.cues(lasting=True)[-1].end > 1e12 and captions.cues() == [Cue(0, 1000, ("a dog",))]
    captions.add(event("closed", 1.0, 2.0, "", wording="none", confidence=0.1, segment=1))
    assert captions.cues(lasting=True) == [Cue(0, 1000, ("a dog",))], "another segment came after it"


def test_what_lasts_no_time_is_no_cue() -> None:
    assert cues(event("closed", 1.0, 1.0, "a photo")) == []
    assert cues(event("closed", 1.0, 1.0004, "a flash")) == []
    assert cues(event("closed", -2.0, -1.0, "before the beginning")) == []


def test_a_text_may_be_replaced() -> None:
    captions = Captions()
    captions.add(event("open", 0.0, None, ""))
    captions.add(EVENT, "cup, car")
    captions.add(event("closed", 1.0, 2.0, "a cat", segment=1), "")
    assert captions.cues() == [Cue(0, 1000, ("cup, car",))]


def test_captions_of_a_stream_cover_its_segments(model: Model) -> None:
    captions, closed = Captions(), []
    for each in model.stream(scenes(RED, BLUE), policy="running-ward:threshold=0.2"):
        captions.add(each)
        closed += [each] if each.status == "closed" else []
    assert len(closed) == 2 and closed[0].text != closed[1].text
    expected = [Cue(round(1000 * e.start), round(1000 * (e.end or 0)), (e.text,)) for e in closed]
    assert captions.cues() == expected


spans = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from(["a", "b", "c", " ", ""]),
        st.sampled_from(["x", "y", "z"]),
        st.booleans(),
    ),
    max_size=12,
)


@given(spans)
def test_cues_never_overlap_and_hold_exactly_what_is_there(spans: list[tuple[int, int, str, str, bool]]) -> None:
    events = [
        event("closed", min(a, b) / 10, max(a, b) / 10, text, query=query, segment=number)
        if ends
        else event("open", min(a, b) / 10, None, text, query=query, segment=number)
        for number, (a, b, text, query, ends) in enumerate(spans)
    ]
    found = cues(*events)
    assert all(cue.start < cue.end and cue.lines for cue in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    newest = max((each.decided_at for each in events), default=0.0)

    def there(time: float) -> set[str]:
        shown = (each for each in events if each.start <= time < (newest if each.end is None else each.end))
        return {each.text for each in shown} - {"", " "}

    for tenth in range(42):
        lines = [cue.lines for cue in found if cue.start <= 100 * tenth + 50 < cue.end]
        assert {line for group in lines for line in group} == there(tenth / 10 + 0.05)
        assert all(len(set(group)) == len(group) for group in lines)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events of two queries and two labels as a stream tells them, each at most a minute after it began."""
    told: list[Event] = []
    at = {"What?": 0.0, "Where?": 0.0, "cup": 0.0, "car": 0.0}
    there: dict[str, tuple[int, float]] = {}
    counts = dict.fromkeys(at, 0)
    now = 0.0
    for _ in range(draw(st.integers(0, 30))):
        now += draw(st.integers(1, 400)) / 10
        name = draw(st.sampled_from(sorted(at)))
        is_query, text = name.endswith("?"), draw(st.sampled_from("abc"))
        fields = {"query": name if is_query else "label", "decided_at": now}
        if name in there:
            number, start = there.pop(name)
            at[name] = end = draw(st.floats(start, now))
            status = "closed" if is_query else "gone"
            told.append(event(status, start, end, text if is_query else name, segment=number, **fields))
        if name not in there and (is_query or counts[name] == 0 or draw(st.booleans())):
            start = draw(st.floats(max(at[name], now - 60), now))
            there[name] = counts[name], start
            counts[name] += 1
            status = "open" if is_query else "appeared"
            told.append(event(status, start, None, "" if is_query else name, segment=there[name][0], **fields))
    return told


@given(streams())
@settings(max_examples=40)
def test_what_is_settled_is_what_later_events_do_not_change(told: list[Event]) -> None:
    together, settling, settled = Captions(), Captions(), list[Cue]()
    for each in told:
        together.add(each)
        settling.add(each)
        settled += settling.settle()
        assert settled + settling.cues() == together.cues()


def test_what_is_settled_is_forgotten() -> None:
    captions, settled = Captions(), list[Cue]()
    for number in range(1000):
        captions.add(event("open", 10.0 * number, None, "", segment=number))
        captions.add(event("closed", 10.0 * number, 10.0 * number + 10, str(number), segment=number))
        settled += captions.settle()
        assert len(captions.cues()) <= 8
    assert settled == [Cue(10_000 * n, 10_000 * n + 10_000, (str(n),)) for n in range(993)]


def test_what_comes_later_than_a_minute_is_shown_from_where_nothing_is_settled() -> None:
    captions = Captions()
    captions.add(EVENT)
    captions.add(event("appeared", 99.0, None, "cup", decided_at=100.0))
    assert captions.settle() == [Cue(0, 1000, ("a dog",))]
    captions.add(event("began", 0.5, None, "door opens", decided_at=101.0))
    assert captions.cues() == [Cue(40_000, 99_000, ("door opens",)), Cue(99_000, 101_000, ("cup", "door opens"))]


@given(st.text(st.characters(), max_size=40))
def test_a_line_is_one_line_that_can_be_written(text: str) -> None:
    line = one_line(text)
    assert line.encode() is not None and len(line.splitlines()) <= 1
    assert line == line.strip() and "\0" not in line
    letters = [character for character in text if character.isalnum()]
    assert [character for character in line if character.isalnum()] == letters


def test_half_a_character_is_replaced() -> None:
    assert one_line("caf\udce9\u2028 au\x00lait") == "caf\ufffd au lait"
