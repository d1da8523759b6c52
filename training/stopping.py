"""SIGTERM and Ctrl-C end a run where nothing of it is lost: after a step, or at once in work that is begun again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopping:
    """asked: the signal that came to this process. by: the one that the run ends by, None while it goes on.

    A signal comes to each rank at another time, or to one alone. What ranks do together hangs on `by`, on which they
    have agreed.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.by: int | None = None
        self._at_once = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, signals are taken down; a second Ctrl-C ends the process."""

        def told(number: int, frame: Any) -> None:
            if self.asked is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = number
            if self._at_once:
                self._at_once = False
                raise _Interrupted

        before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def agree(self, anywhere: bool) -> None:
        """The run ends where any rank was asked to end it. anywhere: whether one was, the same on all."""
        if anywhere:
            self.by = signal.SIGTERM if self.asked is None else self.asked

    def finishes(self, work: Callable[[], object]) -> bool:
        """Whether `work` comes to its end; a signal, also one that has come already, breaks it off."""
        try:
            self._at_once = True
            if self.asked is not None:
                raise _Interrupted
            work()
            self._at_once = False
        except _Interrupted:
            return False
        finally:
            self._at_once = False
        return True


class _Interrupted(BaseException):
    """As KeyboardInterrupt: nothing but `finishes` catches it."""
