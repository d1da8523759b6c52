"""Numbers as JSON can hold them."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 4) -> float | None:
    """A number rounded to so many digits behind the point. None for what is not finite; -0.0 becomes 0.0."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0
