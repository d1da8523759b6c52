"""The grammar of motions: what can be known of the future, against walks and against scipy and scikit-learn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import recall_score

from vljepa_edge.training.reproduction import grammar
from vljepa_edge.training.reproduction.next_actions import HORIZONS
from vljepa_edge.training.tiny.captions import MOTIONS

CHAIN = grammar.chain()
WALKED = np.array(grammar.walk(CHAIN, 40_000, random.Random(0)))


def test_rows_and_columns_sum_to_one_so_all_motions_are_equally_frequent() -> None:
    assert CHAIN.shape == (len(MOTIONS), len(MOTIONS)) and (CHAIN > 0).all()
    assert CHAIN.sum(0) == pytest.approx(1.0) and CHAIN.sum(1) == pytest.approx(1.0)
    assert np.bincount(WALKED) / len(WALKED) == pytest.approx(1 / len(MOTIONS), rel=0.15)


def test_a_motion_has_a_usual_successor_and_sometimes_another() -> None:
    likely = np.sort(CHAIN, 1)[:, ::-1]
    assert (likely[:, 0] >= grammar.USUAL).all() and (likely[:, 1] <= grammar.SOMETIMES + 0.01).all()
    assert grammar.entropy(CHAIN) == pytest.approx(float(np.mean(entropy(CHAIN, base=2, axis=1))))


def test_walks_follow_the_chain() -> None:
    steps = np.zeros_like(CHAIN)
    np.add.at(steps, (WALKED[:-1], WALKED[1:]), 1)
    assert steps / steps.sum(1, keepdims=True) == pytest.approx(CHAIN, abs=0.03)


@pytest.mark.parametrize("steps", sorted(set(HORIZONS.values())))
def test_the_best_recall_is_what_a_walk_gives_who_knows_the_grammar(steps: int) -> None:
    likely = np.argsort(-grammar.ahead(CHAIN, steps), axis=1)[:, :5]
    seen, right = WALKED[:-steps], WALKED[steps:]
    hit = (likely[seen] == right[:, None]).any(1)
    said = np.where(hit, right, -1)
    found = 100 * recall_score(right, said, labels=range(len(MOTIONS)), average="macro", zero_division=0)
    assert grammar.best_recall(CHAIN, steps, 5) == pytest.approx(found, abs=1.5)


def test_the_future_is_known_less_the_farther_it_is_but_never_as_badly_as_by_chance() -> None:
    found = [grammar.best_recall(CHAIN, steps, 5) for steps in (*HORIZONS.values(), 60)]
    assert found == sorted(found, reverse=True) and found[3] > found[4] + 5
    assert found[4] == pytest.approx(100 * 5 / len(MOTIONS), abs=0.1)
