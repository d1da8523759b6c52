"""Being told to end: Ctrl-C, SIGTERM (docker stop, systemctl stop) and SIGHUP (the terminal is gone)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn


class ToldToEnd(KeyboardInterrupt):
    """A signal told the command to end. It passes wherever Ctrl-C does, so that files are cleaned up as then."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


def raise_when_told() -> None:
    """From now on SIGTERM and SIGHUP raise ToldToEnd, as Ctrl-C raises KeyboardInterrupt. What is ignored stays so."""
    for number in _numbers():
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _raise)


@contextmanager
def finishing(finish: Callable[[], object]) -> Iterator[list[int]]:
    """In it the first signal calls `finish` and goes to the list that it gives; the next one raises ToldToEnd."""
    told: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if told:
            raise ToldToEnd(number)
        told.append(number)
        finish()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only there handlers can be set
        for number in (signal.SIGINT, *_numbers()):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    try:
        yield told
    finally:
        for changed, handler in before.items():
            signal.signal(changed, handler)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise ToldToEnd(number)


def _numbers() -> list[signal.Signals]:
    return [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
