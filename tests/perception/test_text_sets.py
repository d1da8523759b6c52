"""A set of texts is embedded once and kept, within a bound, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.streaming.scenes import RED, picture
from vljepa_edge.model import Model
from vljepa_edge.perception.text_sets import OnTexts, TextSets


class Counted:
    """Rows of 4 numbers, 16 bytes a text, and how often each set was embedded."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.fail = False
        self.slow = threading.Event()
        self.slow.set()

    def __call__(self, texts: Sequence[str], report: OnTexts | None) -> NDArray[np.float32]:
        self.calls.append(tuple(texts))
        assert self.slow.wait(10)
        if self.fail:
            raise RuntimeError("out of order")
        return np.array([[len(text)] * 4 for text in texts], np.float32)


def test_a_set_is_embedded_once_and_its_order_counts() -> None:
    embed = Counted()
    sets = TextSets(embed)
    first = sets.get(["a", "bb"])
    assert sets.get(["a", "bb"]) is first and not first.flags.writeable
    np.testing.assert_array_equal(sets.get(["bb", "a"]), first[::-1])
    sets.get(["ab", "b"])  # the same letters in a row
    assert embed.calls == [("a", "bb"), ("bb", "a"), ("ab", "b")]


def test_the_sets_used_last_are_kept_up_to_the_limit() -> None:
    embed = Counted()
    sets = TextSets(embed, limit=3 * 16)
    for texts in (["a"], ["b"], ["c"], ["a"], ["d"]):  # "b" was used longest ago when "d" comes
        sets.get(texts)
    embed.calls.clear()
    for texts in (["a"], ["c"], ["d"], ["b"]):
        sets.get(texts)
    assert embed.calls == [("b",)]


def test_a_set_that_is_larger_than_the_limit_is_not_kept_and_costs_the_others_nothing_else() -> None:
    embed = Counted()
    sets = TextSets(embed, limit=2 * 16)
    assert sets.get(["a", "b", "c"]).shape == (3, 4)
    assert sets.get(["a", "b", "c"]).shape == (3, 4)
    assert len(embed.calls) == 2


def test_threads_that_ask_at_the_same_time_wait_for_one() -> None:
    embed = Counted()
    embed.slow.clear()
    sets = TextSets(embed)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(sets.get, ["a", "bb"]) for _ in range(8)]
        embed.slow.set()
        rows = [each.result(10) for each in asked]
    assert len(embed.calls) == 1 and all(row is rows[0] for row in rows)


def test_a_set_that_failed_is_tried_again() -> None:
    embed = Counted()
    embed.fail = True
    sets = TextSets(embed)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            sets.get(["a"])
    embed.fail = False
    assert sets.get(["a"]).shape == (1, 4)


def test_classify_and_answer_embed_their_labels_once_and_report(model: Model) -> None:
    labels = [f"label {number}" for number in range(100)]
    seen: list[tuple[int, int]] = []
    first = model.classify(picture(RED), labels, report=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100) and len(seen) > 1 and seen == sorted(seen)
    seen.clear()
    assert model.classify(picture(RED), iter(labels), report=lambda *_: seen.append((0, 0))) == first
    model.answer(
        picture(RED), "Which?", (f"A photo of {label}." for label in labels), report=lambda *_: seen.append((1, 1))
    )
    assert seen == []
