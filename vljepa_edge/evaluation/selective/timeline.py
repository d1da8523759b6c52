"""What happens in a stream and when: events of heavy-tailed durations, some of which come again."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

DURATION, EVENTS = 360.0, 143
"""Seconds and annotations of a video of EgoExo4D's validation set, on average (section 4.6 of the paper)."""
SPREAD = 0.95
"""Of the logarithm of durations: half of the events last less than 0.64 of the mean, one in fifty more than 4.4."""
SHORTEST, LONGEST = 0.5, 45.0  # seconds
RETURNING = 0.25  # share of events that show what one of the last RECENT events but one showed
RECENT = 25
STILL = 0.12  # share of events that a camera on a stand sees
FADING = 0.15  # share of events that come by a fade; the others come by a cut
PAN = 6.0  # pixels a second, the fastest that the camera goes over what it sees
_ACTION = 2.0  # seconds: an annotation speaks of the beginning of what goes on for longer


@dataclass(frozen=True)
class Event:
    """start, end: seconds. item: which picture or clip is shown. at, text: the annotation. fade: seconds that it takes
    to come, 0 for a cut. still: neither the camera moves nor what is seen. pan: pixels a second."""

    start: float
    end: float
    item: int
    at: float
    text: str
    fade: float
    still: bool
    pan: tuple[float, float]


def script(
    rng: random.Random, captions: Sequence[Sequence[str]], *, duration: float = DURATION, count: int = EVENTS
) -> list[Event]:
    """Events that fill `duration` seconds, about `count` of them; captions: of each item, which come in their order.

    An annotation lies anywhere in its event, in the first two seconds of a longer one.
    """
    median = duration / count / math.exp(SPREAD**2 / 2)
    events: list[Event] = []
    start, fresh = 0.0, 0
    while start < duration:
        length = min(max(rng.lognormvariate(math.log(median), SPREAD), SHORTEST), LONGEST)
        end = start + length if duration - start - length >= SHORTEST else duration
        recent = sorted({event.item for event in events[-RECENT:-1]} - {event.item for event in events[-1:]})
        if recent and rng.random() < RETURNING:
            item = rng.choice(recent)
        else:
            item, fresh = fresh % len(captions), fresh + 1
        fade = min(rng.uniform(0.4, 1.2), 0.5 * (end - start)) if events and rng.random() < FADING else 0.0
        still = rng.random() < STILL
        angle, speed = rng.uniform(0, 2 * math.pi), 0.0 if still else rng.uniform(0, PAN)
        at = start + rng.random() * min(end - start, _ACTION)
        pan = (speed * math.cos(angle), speed * math.sin(angle))
        events.append(Event(start, end, item, at, rng.choice(captions[item]), fade, still, pan))
        start = end
    return events
