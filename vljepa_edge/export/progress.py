"""How an export tells of its progress: it calls back, and who called it draws bars, logs, or does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

OnStep = Callable[[str, int, int], None]
"""Called as (what is being done, how many are done, how many there are), before the first and after each."""


def told(items: Sequence[_Item], what: str, on_step: OnStep) -> Iterator[_Item]:
    """The items, while `on_step` is told how many are done."""
    on_step(what, 0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        on_step(what, done, len(items))
