"""One queue for the streams of a model: what several of them ask of its graphs at the same time is run together.

A stream's work is a generator, a `Look`: it yields what it asks of the graphs and is sent the answer. Who comes while
graphs are free runs its look at once. Those who come meanwhile wait, and the next to run takes the oldest of them with
it: their looks go on in step, and what they ask in one step is answered at once. A stream has one look at a time, so
the queue is never longer than there are streams, and nobody is overtaken.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

A = TypeVar("A")
T = TypeVar("T")
Look = Generator[A, Any, T]
Answer = Callable[[Sequence[A]], Sequence[Any]]


class End(NamedTuple, Generic[T]):
    """How a look ended: its value, or the error that it raised."""

    value: T
    error: BaseException | None


class Together(Generic[A]):
    """Runs looks, those that wait together. Safe from many threads; a thread runs its own look or one that it leads.

    An exception of one look or of what it asks is raised to its own caller only.
    """

    def __init__(self, answer: Answer[A], groups: int | None = 2, most: int = 4) -> None:
        """answer: what comes of things that are asked, in their order. groups: how many run at a time (None: any
        number), so that the processor is busy while one of them does other work than its graphs'. most: looks in a
        group."""
        self._answer, self._groups, self._most = answer, groups, most
        self._lock = threading.Lock()
        self._waiting: deque[_Turn[A]] = deque()
        self._leading: set[_Turn[A]] = set()

    def run(self, look: Look[A, T]) -> T:
        """What the look returns. Raises what it raises, and what answering it raises."""
        (end,) = self.run_each([look])
        if end.error is not None:
            raise end.error
        return end.value

    def run_each(self, looks: Sequence[Look[A, T]]) -> list[End[T]]:
        """How each of several looks of one caller ends. They wait one behind the other."""
        turns: list[_Turn[A]] = [_Turn(look) for look in looks]
        try:
            with self._lock:
                self._waiting += turns
                self._start()
            for turn in turns:
                turn.wait()
                while not turn.over:
                    self._step(turn.group)
                self._leave(turn)
        except BaseException:  # Ctrl-C
            for turn in turns:
                self._withdraw(turn)
                self._leave(turn)
            raise
        return [End(turn.value, turn.error) for turn in turns]

    def _start(self) -> None:
        """Make the oldest that wait a group, if one may run. To be called with the lock."""
        while self._waiting and (self._groups is None or len(self._leading) < self._groups):
            group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._leading.add(group[0])
            group[0].lead(group)

    def _step(self, group: list[_Turn[A]]) -> None:
        """Answer what a group asks and let its looks go on. Those that are over leave it."""
        for turn in group:
            if turn.asked is None:
                turn.go_on()
        asking = [turn for turn in group if not turn.over]
        answers = _each(self._answer, [turn.asked for turn in asking if turn.asked is not None])
        for turn, answer in zip(asking, answers, strict=True):
            turn.go_on(answer)
        for turn in group:
            if turn.over:
                turn.awake.set()
        group[:] = [turn for turn in group if not turn.over]

    def _withdraw(self, turn: _Turn[A]) -> None:
        """Take back a look whose caller was interrupted. One that another thread runs is waited for."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        turn.wait()
        turn.over = True

    def _leave(self, turn: _Turn[A]) -> None:
        """Who led a group hands the rest of it over, or lets the next one start."""
        with self._lock:
            if turn in self._leading:
                self._leading.discard(turn)
                for other in turn.group:
                    if other.over:  # an interrupt may have come before they were told
                        other.awake.set()
                rest = [other for other in turn.group if not other.over]
                if rest:
                    self._leading.add(rest[0])
                    rest[0].lead(rest)
                else:
                    self._start()


class _Turn(Generic[A]):
    """One look on its way. `asked` is what it waits for an answer to; None: it has not begun."""

    def __init__(self, look: Look[A, Any]) -> None:
        self._look = look
        self.asked: A | None = None
        self.over = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.awake = threading.Event()  # its thread goes on: the look is over, or the thread leads a group
        self.group: list[_Turn[A]] = []

    def wait(self) -> None:
        self.awake.wait()

    def lead(self, group: list[_Turn[A]]) -> None:
        self.group = group
        self.awake.set()

    def go_on(self, answer: Any = None) -> None:
        try:
            self.asked = self._look.throw(answer) if isinstance(answer, Exception) else self._look.send(answer)
        except StopIteration as stop:
            self.over, self.value = True, stop.value
        except BaseException as error:
            self.over, self.error = True, error


def alone(answer: Answer[A], look: Look[A, T]) -> T:
    """Run a look by itself, as Together.run does where nobody else comes."""
    given: Any = None
    while True:
        try:
            asked = look.throw(given) if isinstance(given, Exception) else look.send(given)
        except StopIteration as stop:
            value: T = stop.value
            return value
        (given,) = _each(answer, [asked])


def _each(answer: Answer[A], asked: Sequence[A]) -> list[Any]:
    """The answer to each, or its own Exception: where all at once fails, each is tried by itself."""
    try:
        return list(answer(asked)) if asked else []
    except Exception as error:
        if len(asked) == 1:
            return [error]
    return [found for one in asked for found in _each(answer, [one])]
