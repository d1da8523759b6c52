"""Which items of a task are evaluated: those whose files are there, and of those as many as asked for."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from vljepa_edge.evaluation.items import Task

T = TypeVar("T", bound=Task)


def there(task: T) -> tuple[T, list[Path]]:
    """The task without the items whose videos or images are not there, and which of those are not."""
    files = {media.path for item in task.items for media in item.seen()}
    gone = {file for file in files if not os.path.isfile(file)}  # also where a name is too long
    kept = tuple(item for item in task.items if gone.isdisjoint(media.path for media in item.seen()))
    return _with(task, kept), sorted(gone)


def shuffled(task: T) -> T:
    """The task with its items in an order as if at random, the same each time. Where one comes depends on its own place
    among the annotations alone: neither files that are added nor rows at the end change the order of the others."""
    order = sorted(range(len(task.items)), key=lambda place: hashlib.sha256(b"%d" % place).digest())
    return _with(task, tuple(task.items[place] for place in order))


def first(task: T, limit: int | None) -> T:
    """The first `limit` items, all for None. Items of one file follow each other, so that it is decoded once."""
    files: dict[object, list[Any]] = {}
    for item in task.items[:limit]:
        files.setdefault(next((media.path for media in item.seen()), None), []).append(item)
    return _with(task, tuple(item for own in files.values() for item in own))


def _with(task: T, items: tuple[Any, ...]) -> T:
    changed: T = replace(task, items=items)  # type: ignore[arg-type]  # of a union
    return changed
