"""Amounts as people write them: 7d, 90s, 2GB."""

from __future__ import annotations

import math
import re

from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import shown

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)")


def seconds(text: str, what: str) -> float:
    """Seconds, above 0, of a text such as 90s, 5min, 12h, 7d or 2w. Raises InputError."""
    return _amount(text, what, _SECONDS, "a time such as 90s, 5min, 12h, 7d or 2w")


def size(text: str, what: str) -> int:
    """Bytes, above 0, of a text such as 500MB or 2GB: 1 GB is 10⁹ bytes. Raises InputError."""
    return math.ceil(_amount(text, what, _BYTES, "a size such as 500MB or 2GB"))


def _amount(text: str, what: str, units: dict[str, float], allowed: str) -> float:
    match = _AMOUNT.fullmatch(text)
    unit = None if match is None else units.get(match[2])
    amount = 0.0 if match is None or unit is None else float(match[1]) * unit
    if amount <= 0:
        raise InputError(f"{what} must be {allowed}, got {shown(text)}")
    return amount
