"""The time by which a store forgets. A clock that leaps ahead for a moment must not make all that is stored too old."""

from __future__ import annotations

import logging
import time

LEAP = 10.0  # seconds by which the clock may be set between two looks; a step of NTP on a machine that runs is less
LASTS = 3600.0  # seconds after which a time that was leapt to is believed
_log = logging.getLogger(__name__)


class LastingClock:
    """The clock of the machine, in Unix time. Where it leaps ahead it goes on as before, until the new time has lasted
    for an hour. Back it goes at once: then nothing is forgotten too early.

    It is compared with one that nobody can set, which goes on while the machine sleeps. Not for several threads.
    """

    def __init__(self, last: float | None) -> None:
        """last: the newest time known from before this process, from which the first look is a leap as well. None: the
        clock is believed from the start."""
        wall, self._since = time.time(), _steady()
        self._leapt_to = wall - self._since  # what the clock is ahead of the steady one
        self._believed = self._leapt_to if last is None else min(wall, last) - self._since

    def now(self) -> float:
        """Unix time."""
        steady = _steady()
        ahead = time.time() - steady
        if ahead - self._believed > LEAP:
            if abs(ahead - self._leapt_to) > LEAP:
                self._leapt_to, self._since = ahead, steady
                _log.warning(
                    "the clock leapt ahead by %.0f s; what is stored ages as before until that has lasted for an hour",
                    ahead - self._believed,
                )
            if steady - self._since < LASTS:
                return steady + self._believed
        self._believed = self._leapt_to = ahead
        return steady + ahead


def _steady() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
