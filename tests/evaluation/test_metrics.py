"""Figures against scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score, top_k_accuracy_score

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation import metrics

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(200, 9))
RIGHT = RNG.integers(0, 9, 200)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_is_that_of_scikit_learn(k: int) -> None:
    assert metrics.top_k(SCORES, RIGHT, k) == pytest.approx(100 * top_k_accuracy_score(RIGHT, SCORES, k=k))


def test_equal_classes_tie_where_clips_are_nearly_at_right_angles_to_them() -> None:
    """What is rounded are the terms of a cosine, which are as large where it is small."""
    rng = np.random.default_rng(1)
    for shared in (rng.normal(size=512), np.repeat([1.0, 0.0], 256)):
        classes = (shared * (1 + 1e-7 * rng.normal(size=(20, 512)))).astype(np.float32)
        clips = rng.normal(size=(200, 512)) * (shared != 1.0) if 0.0 in shared else rng.normal(size=(200, 512))
        scores = metrics.cosines(clips, classes)
        assert metrics.top_k(scores, rng.integers(0, 20, 200), 1) == 0.0


def test_class_mean_recall_at_one_is_scikit_learn_s_macro_recall() -> None:
    few = np.where(RIGHT == 3, 4, RIGHT)  # a class that does not occur takes no part
    expected = recall_score(few, SCORES.argmax(1), average="macro", labels=np.unique(few))
    assert metrics.class_mean_recall(SCORES, few, 1) == pytest.approx(100 * expected)


def test_class_mean_recall_weighs_rare_classes_as_much_as_frequent_ones() -> None:
    scores = np.array([[2.0, 1.0, 0.0]] * 9 + [[2.0, 0.0, 1.0]])
    right = [0] * 9 + [1]
    assert metrics.class_mean_recall(scores, right, 1) == 50.0 and metrics.top_k(scores, right, 1) == 90.0


def test_retrieval_ranks_are_those_of_a_plain_sort_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_ROWS", 7)
    texts, videos = RNG.normal(size=(40, 8)), RNG.normal(size=(25, 8))
    owners = [sorted(RNG.choice(25, size=1 + n % 3, replace=False).tolist()) for n in range(40)]
    found = metrics.retrieval_ranks(texts, videos, owners)
    unit = videos / np.linalg.norm(videos, axis=1, keepdims=True)
    for text, own, rank in zip(texts, owners, found, strict=True):
        order = np.argsort(-(unit @ text)).tolist()
        best = min(order.index(video) for video in own)
        assert rank == best
    figures = metrics.retrieval(found, 25, 22)
    assert figures["R@5"] == pytest.approx(100 * np.mean(found < 5))
    assert figures["median rank"] == np.median(found) + 1


def test_a_video_that_cannot_be_read_costs_its_own_texts_and_no_others() -> None:
    texts = np.eye(12)
    videos = texts.copy()
    videos[2], videos[5] = np.nan, 0.0
    found = metrics.retrieval_ranks(texts, videos, [[n] for n in range(12)])
    assert [n for n, rank in enumerate(found) if rank != 0] == [2, 5]
    shares = {f"R@{k}": pytest.approx(100 * 10 / 12) for k in (1, 5, 10)}
    assert metrics.retrieval(found, 12, 11) == shares | {"median rank": 1.0}
    unread = metrics.retrieval_ranks(texts, np.full((12, 12), np.nan), [[n] for n in range(12)])
    assert metrics.retrieval(unread, 12, 11) == {"R@1": 0.0, "R@5": 0.0, "R@10": 0.0, "median rank": 13.0}


def test_a_top_k_that_cannot_miss_is_no_figure() -> None:
    found = metrics.retrieval_ranks(np.ones((5, 3)), np.ones((5, 3)), [[n] for n in range(5)])
    assert metrics.retrieval(found, 5, 4) == {"R@1": 0.0, "median rank": 5.0}


def test_hard_negatives_by_hand() -> None:
    first = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    second = np.array([[1.0, 0.1], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [3.0, 0.1]])
    negative = np.array([[0.0, 1.0], [1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.0, 5.0]])
    assert metrics.hard_negatives(first, second, negative).tolist() == [True, False, False, False, True]


def test_f1_is_that_of_scikit_learn() -> None:
    yes, said = RNG.random(100) < 0.5, RNG.random(100) < 0.4
    assert metrics.binary_f1(yes == said, yes) == pytest.approx(100 * f1_score(yes, said))
    assert metrics.binary_f1(np.zeros(3, bool), np.ones(3, bool)) == 0.0


def test_answers_have_any_number_of_candidates() -> None:
    scores = [np.array([0.1, 0.3]), np.array([0.5, 0.2, 0.1]), np.array([0.5, 0.5]), np.array([np.nan, 0.1])]
    assert metrics.answers(scores, [1, 0, 0, 1]).tolist() == [True, True, False, False]


def test_a_figure_of_nothing_is_an_error() -> None:
    for measured in (lambda: metrics.share([]), lambda: metrics.top_k(np.zeros((0, 3)), np.zeros(0, int), 1)):
        with pytest.raises(InputError, match="at least one item"):
            measured()
