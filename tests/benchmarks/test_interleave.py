"""Interleaved timing: rounds, medians, ratios."""

import gc

import pytest

from benchmarks.interleave import Case, Samples, cpu_clock, interleave


class FakeClock:
    """Stands still until a case moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def case(self, name: str, seconds: float, calls: int = 1) -> Case:
        def run() -> None:
            self.order.append(name)
            self.now += seconds

        return Case(name, run, calls)


def test_each_round_calls_every_case_once_after_one_call_that_is_not_counted():
    clock = FakeClock()
    cases = [clock.case(name, 0.001) for name in "abc"]
    interleave(cases, 0.0, clock, least=4)
    rounds = [clock.order[i : i + 3] for i in range(0, len(clock.order), 3)]
    assert rounds[0] == ["a", "b", "c"]
    assert [sorted(r) for r in rounds] == [["a", "b", "c"]] * 5
    assert len({tuple(r) for r in rounds[1:]}) > 1, "the order must be shuffled"


def test_samples_are_milliseconds_of_one_call_in_the_order_of_the_cases():
    clock = FakeClock()
    slow, quick = interleave([clock.case("slow", 0.02), clock.case("quick", 0.001, calls=5)], 0.0, clock, least=3)
    assert (slow.name, quick.name) == ("slow", "quick")
    assert slow.ms == pytest.approx((20.0,) * 3)
    assert quick.ms == pytest.approx((1.0,) * 3)


def test_rounds_end_at_most():
    (only,) = interleave([Case("nothing", lambda: None)], 1000.0, most=7)
    assert len(only.ms) == 7


def test_garbage_is_collected_between_rounds_only_and_what_was_there_before_is_left_alone():
    seen: list[tuple[bool, bool]] = []
    interleave([Case("look", lambda: seen.append((gc.isenabled(), gc.get_freeze_count() > 0)))], 0.0, least=3)
    assert seen[1:] == [(False, True)] * 3
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_median_and_spread():
    samples = Samples("x", tuple(float(i) for i in range(101)))
    assert samples.median == 50
    assert samples.spread == (10, 90)


def test_a_ratio_is_taken_within_a_round():
    """A machine that becomes ten times slower half way does not change it."""
    ours = Samples("ours", (1.0, 1.0, 1.0, 10.0, 10.0))
    peer = Samples("peer", (3.0, 3.0, 3.0, 30.0, 30.0))
    assert peer.times(ours) == pytest.approx(3.0)


def test_the_cpu_clock_counts_work_and_only_rises():
    first = cpu_clock()
    sum(range(200_000))
    assert cpu_clock() > first
