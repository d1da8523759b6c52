"""What a step takes depends on nothing but the seed, the stage and the step; ranks share it, weights are kept."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.plan import BLOCK, Plan, permuted, share_of

mixtures = st.lists(st.tuples(st.integers(1, 50_000), st.floats(0.01, 3)), min_size=1, max_size=4)


def plan_of(mixture: list[tuple[int, float]], seed: int = 0, stage: str = "one") -> Plan:
    return Plan(tuple(size for size, _ in mixture), tuple(weight for _, weight in mixture), seed, stage)


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_a_permutation_is_one(size: int, key: int) -> None:
    assert sorted(permuted(np.arange(size), size, key)) == list(range(size))


def test_permutations_look_random() -> None:
    """Over many keys each index is equally often in each place, and pairs of neighbours too."""
    found = np.stack([permuted(np.arange(7), 7, key) for key in range(3500)])
    for place in range(7):
        assert chisquare(np.bincount(found[:, place], minlength=7)).pvalue > 1e-4
    pairs = np.bincount(found[:, 0] * 7 + found[:, 1], minlength=49)
    assert chisquare(pairs[pairs > 0]).pvalue > 1e-4
    assert (pairs > 0).sum() == 42


@given(mixtures, st.integers(0, 9), st.integers(0, 200), st.integers(1, 300), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_all_ranks_together_take_what_one_rank_would(
    mixture: list[tuple[int, float]], seed: int, step: int, batch: int, ranks: int
) -> None:
    plan = plan_of(mixture, seed)
    parts = [plan.step(step, batch, rank, ranks) for rank in range(ranks)]
    assert [reference for part in parts for reference in part] == plan.step(step, batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(mixtures, st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_positions_do_not_depend_on_the_batch(mixture: list[tuple[int, float]], one: int, other: int) -> None:
    plan = plan_of(mixture)
    total = 2 * one * other
    with_one = [reference for step in range(2 * other) for reference in plan.step(step, one)]
    assert with_one == plan.slice(0, total)
    assert [reference.position for reference in with_one[:100]] == list(range(min(100, total)))


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=5), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_weights_are_exact_in_the_long_run(weights: list[float], blocks: int) -> None:
    plan = Plan((1000,) * len(weights), tuple(weights), 0, "one")
    counts = Counter(reference.source for reference in plan.slice(0, blocks * BLOCK))
    total = sum(map(Fraction, weights))
    for source, weight in enumerate(weights):
        assert abs(counts[source] - Fraction(weight) / total * blocks * BLOCK) < 1


def test_weights_hold_roughly_inside_a_block_too() -> None:
    plan = Plan((10, 10), (3.0, 1.0), 0, "one")
    counts = Counter(reference.source for reference in plan.slice(0, 400))
    assert 60 < counts[1] < 140


@given(mixtures, st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_an_epoch_takes_each_sample_once(mixture: list[tuple[int, float]], seed: int) -> None:
    plan = plan_of([(size % 700 + 60, weight) for size, weight in mixture], seed)
    taken: dict[tuple[int, int], list[int]] = {}
    for reference in plan.slice(0, 3 * BLOCK):
        taken.setdefault((reference.source, reference.epoch), []).append(reference.sample)
    last = Counter(source for source, _ in taken)
    for (source, epoch), indices in taken.items():
        if epoch < last[source] - 1:
            assert sorted(indices) == list(range(plan.sizes[source]))
        else:
            assert len(set(indices)) == len(indices)


def order(plan: Plan, epoch: int, source: int = 0) -> list[int]:
    size = plan.sizes[source]
    return [reference.sample for reference in plan.slice(epoch * size, (epoch + 1) * size)]


def test_epochs_seeds_and_stages_have_orders_of_their_own() -> None:
    plans = [Plan((500,), (1.0,), seed, stage) for seed, stage in ((0, "one"), (1, "one"), (0, "two"))]
    orders = [order(plan, epoch) for plan in plans for epoch in (0, 1, 2)]
    assert len({tuple(each) for each in orders}) == 9
    for each in orders[1:]:
        assert sum(a == b for a, b in zip(orders[0], each, strict=True)) < 20  # equal places by chance: about one
    assert order(Plan((500,), (1.0,), 0, "one"), 1) == orders[1]


def test_neighbours_in_a_source_do_not_stay_together() -> None:
    found = np.array(order(Plan((4000,), (1.0,), 0, "one"), 0))
    assert abs(np.corrcoef(found, np.arange(4000))[0, 1]) < 0.08
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.08


def test_where_is_even_and_of_the_position() -> None:
    plan = Plan((100,), (1.0,), 0, "one")
    found = plan.slice(0, 20_000)
    wheres = np.array([reference.where for reference in found])
    assert wheres.min() >= 0
    assert wheres.max() < 1
    assert chisquare(np.histogram(wheres, 20, (0, 1))[0]).pvalue > 1e-4
    assert len({reference.draw for reference in found}) == 20_000


def test_another_process_takes_the_same() -> None:
    code = (
        "from vljepa_edge.training.data.plan import Plan; "
        "print([tuple(r) for r in Plan((100, 7), (2.0, 0.5), 3, 'sft').step(9, 50)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([tuple(r) for r in Plan((100, 7), (2.0, 0.5), 3, "sft").step(9, 50)])


def test_a_huge_source_costs_no_memory() -> None:
    plan = Plan((10**12, 5), (1.0, 1.0), 0, "one")
    found = plan.step(10**9, 64)
    assert max(reference.sample for reference in found) > 10**10


@given(st.integers(1, 50), st.integers(0, 2**63), st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_a_substitute_is_another_sample_of_the_same_source(size: int, seed: int, step: int) -> None:
    plan = Plan((3, size), (1.0, 1.0), seed, "one")
    reference = plan.step(step, 8)[-1]
    others = [plan.substitute(reference, attempt) for attempt in range(40)]
    assert others == [plan.substitute(reference, attempt) for attempt in range(40)]
    size = plan.sizes[reference.source]
    for other in others:
        assert (other.source, other.position, other.where) == (reference.source, reference.position, reference.where)
        assert 0 <= other.sample < size
        assert other.sample != reference.sample or size == 1
    if size > 5:
        assert len({other.sample for other in others}) > 3


@given(st.integers(1, 100), st.integers(1, 20))
def test_shares_follow_each_other(batch: int, ranks: int) -> None:
    shares = [share_of(batch, rank, ranks) for rank in range(ranks)]
    assert [row for begin, end in shares for row in range(begin, end)] == list(range(batch))


@pytest.mark.parametrize(
    ("sizes", "weights", "said"),
    [
        ((), (), "a weight for each source"),
        ((1, 2), (1.0,), "a weight for each source"),
        ((5, 0), (1.0, 1.0), "source 1 is empty"),
        ((5, 5), (1.0, 0.0), "weight of source 1 must be a number above 0"),
        ((5, 5), (1.0, float("nan")), "weight of source 1"),
        ((5, 5), (1e6, 1.0), "at least 1 / 4096"),
    ],
)
def test_a_mixture_that_is_none_is_an_error(sizes: tuple[int, ...], weights: tuple[float, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Plan(sizes, weights, 0, "one")


@pytest.mark.parametrize(("step", "batch", "rank", "ranks"), [(-1, 4, 0, 1), (0, 0, 0, 1), (0, 4, 2, 2), (0, 4, -1, 2)])
def test_a_step_that_is_none_is_an_error(step: int, batch: int, rank: int, ranks: int) -> None:
    with pytest.raises(InputError, match="no step"):
        Plan((5,), (1.0,), 0, "one").step(step, batch, rank, ranks)
