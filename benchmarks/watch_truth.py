"""What is in the real videos, label by label, written by a person looking at their frames. Times are seconds.

The packaged videos (see training/tiny/assets.py) choose settings; figures are reported of the clips of
`vljepa data fetch everyday`, which nothing was chosen by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LABELS = (
    *("person", "hand", "cup", "bottle", "box", "tree", "car", "bicycle", "rabbit", "building", "table", "grass"),
    "road",
)


@dataclass(frozen=True)
class Stretch:
    """A time in which some labels are there and some unclear (tiny, blurred, cut off, a matter of words); the others
    are absent."""

    start: float
    end: float
    there: frozenset[str]
    unclear: frozenset[str]


def _stretch(start: float, end: float, there: str, unclear: str = "") -> Stretch:
    return Stretch(start, end, frozenset(there.split()), frozenset(unclear.split()))


PACKAGED: dict[str, tuple[Stretch, ...]] = {
    "bikes": (
        _stretch(0.0, 1.2, "", "car road building"),
        _stretch(1.2, 1.65, "person car", "road building hand"),
        _stretch(1.65, 2.0, "car", "road building person"),
        _stretch(2.0, 3.1, "car", "road building"),
        _stretch(3.1, 4.1, "car", "person bicycle building tree road"),
        _stretch(4.1, 5.4, "person car bicycle", "building tree road hand"),
        _stretch(5.5, 7.45, "car bicycle building road", "tree"),
        _stretch(7.5, 8.3, "person bicycle", "hand building road"),
        _stretch(8.5, 9.7, "bicycle", "building road"),
    ),
    "bigbuckbunny": (_stretch(0.0, 9.0, "rabbit grass", "tree hand person"),),
    "box": (_stretch(0.0, 16.0, "box hand table", "person"),),
    "carphone": (_stretch(0.0, 9.0, "person", "car tree road hand"),),
    "city": (_stretch(0.0, 9.0, "building", "road car"),),
    "cup": (_stretch(0.0, 9.0, "bottle cup hand", "person"),),
    "tree": (_stretch(0.0, 22.5, "tree", "grass building"), _stretch(23.3, 30.0, "tree hand", "person grass building")),
    "vtest": (_stretch(0.0, 80.0, "person building grass road", "tree car"),),
}
CLIPS: dict[str, tuple[Stretch, ...]] = {
    "bottle-detection.mp4": (
        _stretch(0.0, 15.8, "bottle", "table"),
        _stretch(16.2, 17.5, "bottle hand", "table person"),
        _stretch(18.2, 21.7, "", "table"),
        _stretch(22.2, 22.5, "bottle", "hand table person"),
        _stretch(22.5, 24.3, "bottle hand", "table person"),
        _stretch(24.8, 30.7, "bottle", "table"),
        _stretch(30.7, 32.2, "bottle", "hand person table"),
        _stretch(32.2, 35.0, "bottle", "table"),
        _stretch(35.0, 37.0, "bottle", "hand person table"),
        _stretch(37.0, 40.0, "bottle", "table"),
    ),
    "car-detection.mp4": (
        _stretch(0.0, 4.5, "", "road"),
        _stretch(5.0, 8.0, "car", "road"),
        _stretch(9.0, 14.3, "", "road"),
        _stretch(15.0, 18.5, "car", "road"),
        _stretch(19.1, 25.0, "", "road"),
        _stretch(25.7, 27.3, "car", "road"),
        _stretch(28.0, 31.0, "", "road"),
    ),
    "one-by-one-person-detection.mp4": (
        _stretch(0.0, 5.8, "table"),
        _stretch(7.2, 18.0, "person", "table hand"),
        _stretch(19.5, 22.5, "table"),
        _stretch(24.0, 43.6, "person", "table hand"),
        _stretch(45.0, 49.8, "table"),
        _stretch(51.2, 68.5, "person", "table hand"),
        _stretch(70.0, 73.4, "table"),
        _stretch(75.2, 85.5, "person", "table hand"),
        _stretch(87.0, 91.5, "table"),
        _stretch(93.2, 118.2, "person", "table hand"),
        _stretch(120.0, 122.5, "table"),
        _stretch(124.4, 134.8, "person", "table hand"),
        _stretch(136.5, 140.0, "table"),
    ),
    "person-bicycle-car-detection.gif": (
        _stretch(0.0, 1.9, "car bicycle", "person road"),
        _stretch(1.9, 2.6, "car", "bicycle person road"),
    ),
    "solidWhiteRight.mp4": (_stretch(0.0, 9.0, "car road tree", "grass"),),
}


def truth(stretches: tuple[Stretch, ...], label: str, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether a label is there at each time: 1, 0, or NaN where that is unclear or between two stretches."""
    found = np.full(len(times), np.nan)
    for stretch in stretches:
        if label not in stretch.unclear:
            found[(stretch.start <= times) & (times < stretch.end)] = float(label in stretch.there)
    return found


def settled(there: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """`there` at hops whose windows last from `starts` to `ends`, NaN where a window holds both: it may say either."""
    found = there.copy()
    for hop, start in enumerate(starts):
        within = there[(ends >= start) & (ends <= ends[hop])]
        if np.isnan(within).any() or (within != there[hop]).any():
            found[hop] = np.nan
    return found
