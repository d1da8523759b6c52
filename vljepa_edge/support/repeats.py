"""Errors in the log that come again and again: the first in full, then a count a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

PERIOD = 60.0  # seconds
_KINDS = 8  # at once; a bound where each error has a text of its own


@dataclass
class _Kind:
    told: float
    seen: float
    more: int = 0


class Repeats:
    """Logs errors. One that comes for the first time, or again after a minute without it, is logged with its traceback;
    while it goes on, a line a minute says how often it came. Errors are the same where their texts are. From the ninth
    text on, all are one. Any thread may call it; handlers are called with no lock held, and what they raise ends
    nothing."""

    def __init__(self, logger: logging.Logger, level: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._level, self._clock = logger, level, clock
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}

    def log(self, what: str, error: BaseException) -> None:
        """An error, and what failed with it."""
        said = f"{what}: {error}"
        more = self._more(said, self._clock())
        with suppress(Exception):  # a handler that raises is no reason to end the thread that logs
            if more == 0:
                self._logger.log(self._level, "%s", said, exc_info=error)
            elif more is not None:
                self._logger.log(self._level, "%s (%d more in %d s)", said, more, PERIOD)

    def _more(self, kind: str, now: float) -> int | None:
        """How many came since the last that was logged, with this one; 0 for a new kind, None where it is not told."""
        with self._lock:
            self._kinds = {known: its for known, its in self._kinds.items() if now - its.seen <= PERIOD}
            if kind not in self._kinds and len(self._kinds) >= _KINDS:
                kind = ""
            its = self._kinds.get(kind)
            if its is None:
                self._kinds[kind] = _Kind(now, now)
                return 0
            its.seen, its.more = now, its.more + 1
            if now - its.told < PERIOD:
                return None
            more, its.more, its.told = its.more, 0, now
            return more
