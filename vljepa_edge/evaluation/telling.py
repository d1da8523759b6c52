"""Tasks whose figures tell something of a model: at which one that knows nothing can be wrong."""

from __future__ import annotations

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.items import (
    Anticipation,
    Captioning,
    Classification,
    Question,
    Questions,
    Retrieval,
    Task,
    Transition,
    Transitions,
)
from vljepa_edge.support.arguments import shown


def check_telling(task: Task) -> None:
    """Raises InputError for a task without items, and for one at which whoever knows nothing would be right."""
    if not task.items:
        raise InputError("a task must have items to be measured, got none")
    match task:
        case Classification() | Anticipation():
            if len(task.labels) < 2:
                _refuse("a classification", "classes", len(task.labels))
            if not all(task.labels):
                raise InputError("each class must have a text at least, got one without")
        case Questions() | Transitions():
            for item in task.items:
                if len(item.candidates) < 2:
                    _refuse(_named(item), "candidates", len(item.candidates))
        case Captioning():
            if len(task.items) < 2:
                _refuse("captioning", "videos", len(task.items), "which words are rare can't be told")
        case Retrieval():
            _check_retrieval(task)


def owners_of(task: Retrieval) -> dict[str, set[int]]:
    """The places of the videos of each text: equal texts share theirs."""
    found: dict[str, set[int]] = {}
    for place, item in enumerate(task.items):
        for text in item.texts:
            found.setdefault(text, set()).add(place)
    return found


def _check_retrieval(task: Retrieval) -> None:
    if len(task.items) < 2:
        _refuse("retrieval", "videos", len(task.items))
    owners = owners_of(task)
    if not owners:
        _refuse("retrieval", "texts", 0)
    if all(len(own) == len(task.items) for own in owners.values()):
        raise InputError(
            f"retrieval must have a text that is not of all {len(task.items)} videos, got {shown(next(iter(owners)))} "
            "for each: whichever is found would be right"
        )


def _named(item: Question | Transition) -> str:
    return f"the question {shown(item.text)}" if isinstance(item, Question) else "a transition"


def _refuse(what: str, of: str, count: int, why: str = "a model that knows nothing would be right") -> None:
    raise InputError(f"{what} must have at least 2 {of}, got {count}: {why}")
