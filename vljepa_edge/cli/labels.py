"""What `vljepa stream` does with labels: watch for them, and name things from a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.classify import read_names
from vljepa_edge.errors import InputError
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.perception.head import Head
    from vljepa_edge.perception.labels import Labels
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.stream import Stream

Watch = Annotated[
    str | None,
    typer.Option(
        "--watch",
        metavar="A,B|@FILE",
        help="Say when these appear and when they are gone; without --query nothing else.",
        show_default="nothing",
    ),
]
Hold = Annotated[
    float | None,
    typer.Option(
        "--hold",
        metavar="SECONDS",
        help="How long something must be seen before it has appeared, and not be seen before it is gone.",
        show_default="0.5",
    ),
]
Names = Annotated[
    str | None,
    typer.Option(
        "--labels",
        "-l",
        metavar="A,B|@FILE|@coco80",
        help="Name what is there from this list, a line a segment; without --query nothing else.",
        show_default="none",
    ),
]
Heads = Annotated[
    list[Path] | None,
    typer.Option(
        "--head",
        metavar="FILE",
        help="Say when events begin and end that `vljepa teach` has learned; repeat for several heads.",
        show_default="none",
    ),
]


@dataclass(frozen=True)
class Wanted:
    """What a stream reports of labels: those that it watches for, a list that it names things from, and taught events
    by the files of their heads."""

    watch: tuple[str, ...] = ()
    hold: float = 0.5
    names: tuple[str, ...] = ()
    heads: tuple[tuple[Path, Head], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.watch or self.names or self.heads)

    def check(self, model: Model) -> None:
        """Raises HeadError, naming the file, for a head of another X-encoder than the model's."""
        for path, head in self.heads:
            head.check_encoder(model, path)

    def tell(self, stream: Stream) -> None:
        """Have a stream report it. Raises InputError where two heads have the same event."""
        if self.watch:
            stream.watch(self.watch, self.hold)
        for _, head in self.heads:
            stream.add_head(head, hold=self.hold)


NOTHING = Wanted()


def read_wanted(watch: str | None, hold: float | None, names: str | None, heads: list[Path] | None = None) -> Wanted:
    """What the options ask for. Raises InputError for labels that make no sense and HeadError for a file that is no
    head, before a model is loaded."""
    from vljepa_edge.perception.head import Head
    from vljepa_edge.perception.labels import read_labels

    if hold is not None and watch is None and not heads:
        raise InputError("--hold is for --watch and --head; say what to watch for, e.g. --watch cup,person --hold 1")
    watched = () if watch is None else tuple(read_labels(read_names(watch, "--watch")))
    named = () if names is None else tuple(read_labels(read_names(names, "--labels")))
    taught = tuple((path, Head.load(path)) for path in heads or ())
    return Wanted(watched, Wanted.hold if hold is None else hold, named, taught)


class Namer:
    """Names what segments of its query hold, from a list."""

    def __init__(self, model: Model, names: tuple[str, ...]) -> None:
        self._labels: Labels = model.labels(names)
        self.query = self._labels.query

    def names(self, event: Event) -> dict[str, float] | None:
        """The labels that are there in a segment and their probabilities, likeliest first; None for other events."""
        is_mine = event.query == self.query and event.is_segment
        return self._labels.found(event.embedding) if is_mine else None


def names_json(names: dict[str, float] | None) -> dict[str, Any]:
    """A key of an event's JSON line."""
    if names is None:
        return {}
    return {"labels": [{"label": label, "probability": number(chance, 4)} for label, chance in names.items()]}


def names_text(names: dict[str, float]) -> str:
    """`bicycle 92 %, car 71 %`"""
    return ", ".join(f"{label} {100 * chance:.0f} %" for label, chance in names.items()) or "(none of the labels)"
