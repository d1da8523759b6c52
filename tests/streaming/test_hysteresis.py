"""Hysteresis begins and ends what it should, no earlier and no later, against rules written out over whole lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.hysteresis import Hysteresis, Occurrence

HOP = 0.25
probabilities = st.lists(st.integers(0, 10).map(lambda tenths: tenths / 10), max_size=40)


def spans(policy: Hysteresis, values: list[float]) -> list[tuple[int, int]]:
    """First and last hop of each occurrence, by the rules over the whole list: the independent oracle.

    One is a run of hops that begins at `begin` or above, in which stretches below `end` are shorter than `hold`. It
    counts once a stretch at `end` or above from its first hop on lasted for `hold`.
    """
    held = max(0, math.ceil(policy.hold / HOP - 0.25))  # hops behind the first one; a quarter of a hop is forgiven
    found = []
    i = 0
    while i < len(values):
        if values[i] < policy.begin:
            i += 1
            continue
        run = next((j for j in range(i, len(values)) if values[j] < policy.end), len(values))
        if run - 1 - i < held:  # too short to count
            i = run
            continue
        last, j = run - 1, run
        while j < len(values):
            if values[j] >= policy.end:
                last = j
            elif j - last - 1 >= held:
                break
            j += 1
        found.append((i, last))
        i = j + 1
    return found


def occurrences(policy: Hysteresis, values: list[float]) -> list[Occurrence]:
    state = policy.start()
    told = [state.push(value, index * HOP) for index, value in enumerate(values)] + [state.finish()]
    return [occurrence for occurrence in told if occurrence is not None]


@given(
    probabilities,
    st.sampled_from([(0.6, 0.4), (0.5, 0.5), (0.9, 0.1), (0.0, 0.0), (1.0, 1.0)]),
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 1.0]),
)
def test_what_begins_and_ends_is_what_the_rules_say(
    values: list[float], levels: tuple[float, float], hold: float
) -> None:
    policy = Hysteresis(*levels, hold)
    told = occurrences(policy, values)
    ends = [(round(item.start / HOP), round(item.end / HOP)) for item in told if item.end is not None]
    assert ends == spans(policy, values)
    assert [item.end is None for item in told] == [True, False] * len(ends)  # each begins, then ends
    for item, (first, last) in zip(told[1::2], ends, strict=True):
        assert item.peak == max(values[first : last + 1])


def test_it_begins_at_the_hop_that_completes_the_hold_and_is_dated_back() -> None:
    state = Hysteresis(0.6, 0.4, hold=0.5).start()
    assert [state.push(value, time) for value, time in ((0.7, 10.0), (0.5, 10.25))] == [None, None]
    assert not state.is_seen
    assert state.push(0.9, 10.5) == Occurrence(10.0, None, 0.9)
    assert state.is_seen
    assert [state.push(value, time) for value, time in ((0.1, 10.75), (0.1, 11.0))] == [None, None]
    assert state.push(0.1, 11.25) == Occurrence(10.0, 10.5, 0.9)
    assert not state.is_seen


def test_a_hop_may_be_told_as_another_time() -> None:
    state = Hysteresis(0.6, 0.4, hold=0.5).start()
    values = [0.0, 0.7, 0.8, 0.7, 0.1, 0.1, 0.1]
    told = [state.push(value, index * HOP, index * HOP - 1) for index, value in enumerate(values)]
    assert [item for item in told if item] == [Occurrence(-0.75, None, 0.8), Occurrence(-0.75, -0.25, 0.8)]
    plain = Hysteresis(0.6, 0.4, hold=0.5).start()
    same = [plain.push(value, index * HOP) for index, value in enumerate(values)]
    assert [item is None for item in same] == [item is None for item in told], "the hold goes by the hops"


def test_one_noisy_hop_neither_begins_nor_ends_anything() -> None:
    assert occurrences(Hysteresis(0.6, 0.4, 0.5), [0, 0, 1, 0, 0, 0]) == []
    told = occurrences(Hysteresis(0.6, 0.4, 0.5), [1, 1, 1, 0, 1, 1, 0, 0, 1])
    assert told == [Occurrence(0.0, None, 1), Occurrence(0.0, 8 * HOP, 1)]


@given(st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3))
def test_jitter_of_a_fifth_of_a_hop_does_not_delay_it(jitter: list[float]) -> None:
    state = Hysteresis(0.6, 0.4, hold=0.5).start()
    told = [state.push(1.0, index * HOP + shift / 2) for index, shift in enumerate(jitter)]
    assert [item is not None for item in told] == [False, False, True]


def test_a_state_can_be_used_again_after_the_clock_was_set_back() -> None:
    state = Hysteresis(hold=0.5).start()
    for index in range(4):
        state.push(1.0, 100 + index * HOP)
    assert state.finish() == Occurrence(100.0, 100.75, 1.0)
    state.restart_clock()
    assert state.push(1.0, 0.0) is None
    assert [state.push(1.0, time) for time in (0.25, 0.5)] == [None, Occurrence(0.0, None, 1.0)]
    state.reset()
    assert state.finish() is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"begin": 1.5}, "begin must be a number, 0 to 1, a probability, got 1.5"),
        ({"begin": math.nan}, "begin must be"),
        ({"end": -0.1}, "end must be"),
        ({"end": 0.7}, "end must be at most begin, 0.6, got 0.7"),
        ({"hold": -1}, "hold must be a number, 0 to 86400 seconds, got -1"),
        ({"hold": math.inf}, "hold must be"),
        ({"begin": "high"}, "begin must be a number, got 'high'"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Hysteresis(**values)  # type: ignore[arg-type]
