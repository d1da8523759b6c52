"""The sliding window: features of the last frames, ready to be stacked without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import WindowPlaces
from vljepa_edge.errors import InputError


class Window:
    """Keeps the per-frame features of the last `size` frames.

    Each feature lives in a ring in which every frame is written twice (see WindowPlaces), so that the window is always
    one contiguous slice. Until `size` frames came, the first one stands in for those before it. Memory is taken at the
    first push and does not grow.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._places = WindowPlaces(size)
        self._rings: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        """Frames held since the last clear(), at most `size`."""
        return len(self._places)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds of the window's frames, oldest first, (size,). A view: valid until the next push."""
        self._check_started()
        return self._places.times

    def push(self, features: Mapping[str, NDArray[Any]], time: float) -> None:
        """Adds one frame: each feature as a graph of unit `frame` gives it, (1, ...).

        Names, shapes and types must stay the same until clear(). Raises InputError.
        """
        if not self._places:
            self._begin(features)
            self._places.push(time)
            return
        self._check(features)
        place = self._places.push(time)
        for name, feature in features.items():
            ring = self._rings[name]
            ring[place] = ring[place + self.size] = feature[0]

    def renew(self, features: Mapping[str, NDArray[Any]], count: int) -> None:
        """Put one frame's features in place of those of the newest `count` frames, at most `size`. Times stay."""
        self._check_started()
        self._check(features)
        places = np.array([self._places.place(age) for age in range(min(count, self.size))])
        for name, feature in features.items():
            self._rings[name][places] = self._rings[name][places + self.size] = feature[0]

    def stacked(self, name: str) -> NDArray[Any]:
        """Feature `name` of the window, oldest first, contiguous (1, size, ...). A view: valid until the next push."""
        self._check_started()
        if name not in self._rings:
            raise InputError(f"the window holds no {name!r}; it holds {', '.join(self._rings)}")
        first = self._places.first
        return self._rings[name][None, first : first + self.size]

    def copy(self) -> Window:
        """A window of its own memory that holds the same frames."""
        other = Window(self.size)
        other._rings = {name: ring.copy() for name, ring in self._rings.items()}
        other._places = self._places.copy()
        return other

    def clear(self) -> None:
        """Forgets the frames and keeps the memory."""
        self._places.clear()

    def _begin(self, features: Mapping[str, NDArray[Any]]) -> None:
        for name, feature in features.items():
            if feature.ndim < 1 or feature.shape[0] != 1:
                raise InputError(f"feature {name!r} of a frame must have the shape (1, ...), got {feature.shape}")
        kept = self._rings
        self._rings = {}
        for name, feature in features.items():
            ring, shape = kept.get(name), (2 * self.size, *feature.shape[1:])
            if ring is None or ring.shape != shape or ring.dtype != feature.dtype:
                ring = np.empty(shape, feature.dtype)
            ring[:] = feature[0]
            self._rings[name] = ring

    def _check(self, features: Mapping[str, NDArray[Any]]) -> None:
        if features.keys() != self._rings.keys():
            raise InputError(f"the frame has {', '.join(features)}; the window holds {', '.join(self._rings)}")
        for name, feature in features.items():
            ring = self._rings[name]
            expected = (1, *ring.shape[1:])
            if feature.shape != expected or feature.dtype != ring.dtype:
                raise InputError(
                    f"feature {name!r} of a frame must be {ring.dtype} {expected} until clear(), "
                    f"got {feature.dtype} {feature.shape}"
                )

    def _check_started(self) -> None:
        if not self._places:
            raise InputError("the window is empty: push a frame first")
