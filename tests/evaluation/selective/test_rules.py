"""The rules of the measurement: pairing, clocks, CIDEr, what is saved, each against an oracle or by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.cider import cider
from vljepa_edge.evaluation.selective.clocks import Decode, delays, nearest, times_on
from vljepa_edge.evaluation.selective.consensus import Cider
from vljepa_edge.evaluation.selective.curve import Point, cider_at, is_earned, rate_for, rising, shifted
from vljepa_edge.evaluation.selective.decodes import kernel_cpd, reused, uniform, ward
from vljepa_edge.evaluation.selective.embedded import Embedded

SECONDS = some.floats(0, 400, allow_nan=False)
ROW = np.array([1, 0], np.float32)


def points(*pairs: tuple[float, float]) -> list[Point]:
    return [Point(rate, rate, score, math.nan, 0.0) for rate, score in pairs]


def stream(rows: NDArray[np.float32], hop: float = 0.25, window: float = 1.75) -> Embedded:
    times = np.arange(len(rows)) * hop
    return Embedded(times, np.maximum(times - window, 0), rows)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(some.lists(SECONDS, min_size=1, max_size=20), some.lists(SECONDS, min_size=1, max_size=20))
def test_each_annotation_meets_the_decode_nearest_in_time(annotated: list[float], decoded: list[float]) -> None:
    found = nearest(annotated, np.array(decoded))
    for time, place in zip(annotated, found, strict=True):
        assert abs(decoded[place] - time) == min(abs(other - time) for other in decoded)


def test_of_two_decodes_that_are_as_near_the_earlier_one_counts() -> None:
    assert nearest([2.0], np.array([3.0, 1.0])).tolist() == [1]
    with pytest.raises(InputError, match="at least one decode"):
        nearest([2.0], np.array([]))


def test_what_saw_the_future_has_no_place_on_the_live_clock() -> None:
    seen = stream(unit(np.random.default_rng(0).normal(size=(40, 4))))
    for mean in (False, True):
        offline = ward(seen, 0.5, mean=mean)
        assert len(times_on("log", offline)) == len(offline)
        with pytest.raises(InputError, match="without the future"):
            times_on("live", offline)
    assert times_on("live", [Decode(1.0, 2.5, ROW)]).tolist() == [2.5]
    assert times_on("log", [Decode(1.0, 2.5, ROW)]).tolist() == [1.0]


@given(some.integers(0, 5), some.floats(0.05, 2), some.booleans())
def test_uniform_decoding_waits_for_what_it_needs(seed: int, rate: float, mean: bool) -> None:
    seen = stream(unit(np.random.default_rng(seed).normal(size=(80, 3))))
    found = uniform(seen, rate, mean=mean)
    changed = seen._replace(rows=np.roll(seen.rows, 1, 0))
    for decode in found:
        assert decode.decided is not None
        past = int(np.searchsorted(seen.times, decode.decided, "right"))
        before = seen._replace(rows=np.concatenate([seen.rows[:past], changed.rows[past:]]))
        same = [other for other in uniform(before, rate, mean=mean) if other.decided == decode.decided]
        assert any(np.array_equal(other.embedding, decode.embedding) for other in same)


def test_uniform_decoding_is_as_frequent_as_asked() -> None:
    seen = stream(unit(np.random.default_rng(0).normal(size=(1440, 3))))
    for rate in (0.01, 0.35, 1.0, 2.0):
        for mean in (False, True):
            assert len(uniform(seen, rate, mean=mean)) / seen.seconds == pytest.approx(rate, abs=0.01)


def test_exact_segmentation_finds_the_segments_and_ward_does_where_they_are_plain() -> None:
    pytest.importorskip("ruptures")
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(6), [8, 20, 5, 30, 9, 8])
    seen = stream(unit(np.eye(6)[truth] + 0.01 * rng.normal(size=(80, 6))), window=0.0)
    offline = ward(seen, 6 / seen.seconds, mean=True)
    exact, few = kernel_cpd(seen, [6 / seen.seconds, 2 / seen.seconds])
    assert [decode.embedding.argmax() for decode in exact] == list(range(6)) and len(few) == 2
    assert [decode.middle for decode in exact] == pytest.approx([decode.middle for decode in offline])
    assert exact[1].middle == pytest.approx((7.5 + 27.5) / 2 * 0.25)


def test_delays_are_from_an_event_s_start_to_the_first_decision_about_it() -> None:
    live = [np.array(times) for times in ([12.5, 11.0, 35.0], [10.0, 29.0])]
    assert delays([0.0, 10.0, 20.0, 30.0], live[0], live[0]) == [1.0]
    assert delays([0.0, 10.0, 20.0, 30.0], live[1], live[1]) == [0.0, 9.0]
    closed = np.array([21.0, 10.5, 26.0])  # a segment that closes after its event is told of when it closes
    assert delays([0.0, 10.0, 20.0, 30.0], np.array([15.0, 5.0, 23.0]), closed) == [11.0, 6.0]
    future = delays([0.0, 10.0, 20.0, 30.0], np.array([15.0]), np.array([math.nan]))
    assert len(future) == 1 and math.isnan(future[0])


TEXTS = ("A dog runs.", "a dog runs on the grass", "two dogs", "the cat's bowl is on the grass", "a man walks", "?!")


def test_cider_is_that_of_pycocoevalcap() -> None:
    rng = np.random.default_rng(0)
    annotations = [TEXTS[i] for i in rng.integers(0, 5, 40)]
    said = [TEXTS[i] for i in rng.integers(0, 6, 40)]
    ours = Cider(annotations)
    mean = np.mean([ours.score(one, other) for one, other in zip(said, annotations, strict=True)])
    assert mean == pytest.approx(cider(said, [[annotation] for annotation in annotations]))
    assert ours.score("a dog runs", "a dog runs") == ours.score("A dog runs!", "a dog runs") > 0


def test_a_rising_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    curve = points(*zip(rng.permutation(np.geomspace(0.01, 2, 12)), rng.normal(size=12).cumsum(), strict=True))
    ordered = sorted(curve, key=lambda point: point.rate)
    expected = IsotonicRegression().fit_transform(np.arange(12), [point.cider for point in ordered])
    assert [cider for _, cider in rising(curve)] == pytest.approx(expected.tolist())


def test_between_points_a_curve_is_straight_over_the_logarithm_of_the_rate() -> None:
    curve = points((0.1, 10.0), (1.0, 20.0), (2.0, 30.0))
    assert rate_for(curve, 15.0) == pytest.approx(math.sqrt(0.1))
    assert cider_at(curve, math.sqrt(0.1)) == pytest.approx(15.0)
    assert rate_for(curve, 20.0) == pytest.approx(1.0) and rate_for(curve, 5.0) == 0.1
    assert rate_for(curve, 30.1) is None
    assert rate_for(points((0.5, 7.0)), 7.0) == 0.5


def test_uniform_decoding_saves_nothing_against_itself_however_the_points_scatter() -> None:
    rng = np.random.default_rng(3)
    rates = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
    for _ in range(200):
        curve = points(*((rate, 10 * rate**0.3 + rng.normal()) for rate in rates))
        found = rate_for(curve, cider_at(curve, 1.0))
        assert found is not None and found <= 1.0 + 1e-9
        level = cider_at(curve, 1.0)
        assert all(cider < level - 1e-9 for rate, cider in rising(curve) if rate < found * (1 - 1e-9))


@given(some.lists(some.floats(0, 50), min_size=7, max_size=7), some.floats(0, 50))
def test_a_score_is_earned_only_above_all_of_chance(chance: list[float], score: float) -> None:
    assert is_earned(score, chance) <= (score > max(chance))
    assert not is_earned(max(chance), chance)


def test_chance_moves_annotations_round_the_stream() -> None:
    decoded = np.arange(8.0) + 0.5
    found = shifted(np.array([0.5, 7.5]), decoded, 8.0)
    assert [places.tolist() for places in found] == [[k, (7 + k) % 8] for k in range(1, 8)]


def test_what_lies_near_something_decoded_before_has_its_text_and_costs_nothing() -> None:
    angles = [0.0, 0.1, 1.5, 0.2, 0.45, 1.45]  # radians: within 0.02 of cosine lie 0.2 radians
    decodes = [Decode(k, k, np.array([math.cos(a), math.sin(a)], np.float32)) for k, a in enumerate(angles)]
    found = reused(decodes, 1 - math.cos(0.201), mean=True)
    assert [decode.is_reused for decode in found] == [False, True, False, True, False, True]
    assert [decodes[k].embedding.tolist() for k in (0, 0, 2, 0, 4, 2)] == [d.embedding.tolist() for d in found]
    assert [(d.middle, d.decided) for d in found] == [(d.middle, d.decided) for d in decodes]
