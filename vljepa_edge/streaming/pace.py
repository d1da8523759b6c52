"""What a live worker can afford: every frame is encoded, and hops are left out first."""

from __future__ import annotations

# The share of the time between two frames that encoding one may take. What is left is for hops.
_KEEPS_UP = 0.8


class Pace:
    """Durations in, decisions out; no clock.

    The frames of a window should be evenly spaced, so frames are encoded in order. Once one has waited for longer than
    `patience`, no hop is made until no frame waits any more: the next hop sees the newest frame.
    Where encoding alone takes as long as the camera, that moment never comes. Then the newest frame is taken, those
    before it are dropped, and hops take at most as long as the encoding between them.
    """

    def __init__(self, period: float, patience: float) -> None:
        """period: seconds between two frames of the model. patience: seconds that a frame may wait."""
        self._limit = _KEEPS_UP * period
        self._patience = patience
        self.restart()

    def restart(self) -> None:
        """Forget what was measured."""
        self._encoding = (0.0, 0.0)  # of the last two frames: one that was held up once says nothing
        self._since_hop = 0.0
        self._hop = 0.0
        self._catching_up = False

    def note_frame(self, seconds: float) -> None:
        """A frame was scaled and encoded in so many seconds."""
        self._encoding = (self._encoding[1], seconds)
        self._since_hop += seconds

    def note_hop(self, seconds: float) -> None:
        """A hop took so many seconds, listeners included."""
        self._hop, self._since_hop = seconds, 0.0

    @property
    def keeps_up(self) -> bool:
        """Whether encoding is faster than the frames come."""
        return min(self._encoding) <= self._limit

    def can_hop(self, waited: float, waiting: int) -> bool:
        """Whether to make a hop at a frame that waited so many seconds, while `waiting` newer ones wait."""
        if waiting == 0:
            self._catching_up = False
        elif waited > self._patience:
            self._catching_up = True
        if not self.keeps_up and waiting:
            return self._since_hop >= self._hop
        return not self._catching_up
