"""Checks of what callers give. Each returns the checked value, or raises InputError: "X must be Y, got Z"."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from vljepa_edge.errors import InputError

_F = TypeVar("_F")


def shown(value: object) -> str:
    """`value` as a message can hold it: on one line, at most 80 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of thousands of digits, or an object whose repr fails
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_text(value: object, what: str) -> str:
    """A text, which may be empty."""
    if not isinstance(value, str):
        raise InputError(f"{what} must be a text, got {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} must be valid Unicode, got {shown(value)}: {error.reason}") from error
    return str(value)


def as_list(values: object, what: str, of: str, most: int | None = None) -> list[Any]:
    """The items of a list, tuple, array, generator or another iterable, which is read once, and no further than one
    beyond `most`. One text is refused: its items would be its letters."""
    wanted = f"{what} must be a list of {of}"
    if isinstance(values, str):
        raise InputError(f"{wanted}, not one text; write [{shown(values)}]")
    if isinstance(values, bytes | bytearray | memoryview) or not isinstance(values, Iterable):
        raise InputError(f"{wanted}, got {shown(values)}")
    try:
        items = iter(values)
    except TypeError:  # an array without a dimension calls itself iterable
        raise InputError(f"{wanted}, got {shown(values)}") from None
    return list(items if most is None else islice(items, most + 1))


def as_texts(values: object, what: str) -> list[str]:
    """A list of texts with at least one letter each."""
    texts = [as_text(value, f"each of the {what}") for value in as_list(values, what, "texts")]
    for text in texts:
        if not text.strip():
            raise InputError(f"each of the {what} must have at least one letter, got {shown(text)}")
    return texts


def as_whole(value: object, what: str, least: int, most: int | None = None, unit: str = "") -> int:
    """An integer within bounds. A bool or a float is refused."""
    if not isinstance(value, bool) and isinstance(value, Integral):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    bounds = f"at least {least}" if most is None else f"{least} to {most}"
    raise InputError(f"{what} must be an integer, {bounds}{unit}, got {shown(value)}")


def as_number(value: object, what: str, unit: str = "") -> float:
    """A number as a float, which may be NaN or infinite. A bool is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what} must be a number{unit}, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:  # an integer or fraction beyond the largest float
        return -math.inf if value < 0 else math.inf


def as_probability(value: object, what: str) -> float:
    """A number from 0 to 1."""
    number = as_number(value, what, " from 0 to 1")
    if not 0 <= number <= 1:
        raise InputError(f"{what} must be a number from 0 to 1, got {shown(value)}")
    return number


def as_path(value: object, what: str) -> Path:
    """A path: a text or an os.PathLike."""
    try:
        path = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        path = None
    try:
        if isinstance(path, str) and path and "\0" not in path:
            os.fsencode(path)
            return Path(path)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file's name can hold
        pass
    raise InputError(f"{what} must be a path, got {shown(value)}")


def as_function(value: _F, what: str) -> _F:
    """A function, or another object that can be called."""
    if not callable(value):
        raise InputError(f"{what} must be a function, got {shown(value)}")
    return value
