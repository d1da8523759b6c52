"""Looks that run together end as they would alone, oldest first, and what ends one of them is its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_edge.perception.together import Together, alone

Adding = Generator[int, int, int]


class Doubling:
    """Answers with twice of what is asked, and notes how much was asked at once and how many ran at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.sizes: list[int] = []
        self.running, self.most_running = 0, 0
        self.order: list[int] = []
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, asked: Sequence[int]) -> list[int]:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.sizes.append(len(asked))
            self.order += asked
        time.sleep(self._seconds)
        with self._lock:
            self.running -= 1
        if any(one < 0 for one in asked):
            raise ValueError(f"{min(asked)} is negative")
        return [2 * one for one in asked]


def adding(asked: Sequence[int], fails_after: int | None = None) -> Adding:
    total = 0
    for place, one in enumerate(asked):
        if place == fails_after:
            raise KeyError(place)
        total += yield one
    return total


def ends(run: object, look: Adding) -> tuple[str, object]:
    """What a look comes to."""
    try:
        return "gives", run(look)  # type: ignore[operator]
    except (ValueError, KeyError) as error:
        return type(error).__name__, str(error)


LOOKS = st.lists(
    st.tuples(st.lists(st.integers(-1, 9), max_size=5), st.one_of(st.none(), st.integers(0, 4))), min_size=1, max_size=9
)


@settings(max_examples=60)
@given(LOOKS, st.integers(1, 3), st.integers(1, 4))
def test_every_look_ends_as_it_does_alone(looks: list[tuple[list[int], int | None]], groups: int, most: int) -> None:
    answer = Doubling(seconds=0.0005)
    together: Together[int] = Together(answer, groups, most)
    with ThreadPoolExecutor(len(looks)) as pool:
        found = list(pool.map(lambda look: ends(together.run, adding(*look)), looks))
    assert found == [ends(lambda look: alone(Doubling(), look), adding(*look)) for look in looks]
    assert max(answer.sizes, default=0) <= most and answer.most_running <= groups


def behind(together: Together[int], count: int, run: Callable[[int, Adding], object]) -> None:
    """Run so many looks, which ask their number twice, behind one which stands at a gate until all wait in order."""
    gate = threading.Event()

    def stand() -> Adding:
        gate.wait(10)
        return (yield 0)

    looks = [stand(), *(adding([place, place]) for place in range(1, count + 1))]
    threads = [threading.Thread(target=run, args=(place, look)) for place, look in enumerate(looks)]
    for place, thread in enumerate(threads):
        thread.start()
        while len(together._waiting) < place:
            time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join(10)


def test_those_that_wait_run_together_the_oldest_first() -> None:
    answer = Doubling()
    together: Together[int] = Together(answer, groups=1, most=3)
    behind(together, 7, lambda _, look: together.run(look))
    assert answer.sizes == [1, 3, 3, 3, 3, 1, 1]
    assert answer.order == [0, *[1, 2, 3] * 2, *[4, 5, 6] * 2, 7, 7]


def test_one_look_alone_waits_for_nobody() -> None:
    answer = Doubling()
    assert Together(answer).run(adding([1, 2, 3])) == 12
    assert answer.sizes == [1, 1, 1]


def test_a_caller_that_is_interrupted_leaves_the_others_to_go_on() -> None:
    class Interrupted(Doubling):
        def __call__(self, asked: Sequence[int]) -> list[int]:
            if len(asked) == 3 and not self.sizes.count(2):
                self.sizes.append(2)
                raise KeyboardInterrupt  # in the thread that leads the group
            return super().__call__(asked)

    together: Together[int] = Together(Interrupted(), groups=1, most=3)
    ended: dict[int, object] = {}

    def run(place: int, look: Adding) -> None:
        try:
            ended[place] = together.run(look)
        except KeyboardInterrupt:
            ended[place] = "interrupted"

    behind(together, 4, run)
    assert ended == {0: 0, 1: "interrupted", 2: 8, 3: 12, 4: 16}
    assert together.run(adding([5])) == 10
