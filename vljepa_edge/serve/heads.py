"""Other heads for a stream that runs: all of them or, where one can't be, none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import shown

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.perception.head import Head
    from vljepa_edge.streaming.stream import Stream


def check_heads(heads: Sequence[Head], model: Model) -> None:
    """Raises HeadError for a head of another X-encoder, InputError for an event that two of them have."""
    known: set[str] = set()
    for head in heads:
        head.check_encoder(model)
        twice = known.intersection(head.events)
        if twice:
            raise InputError(f"two heads have the event {shown(min(twice))}; a stream can have one of them")
        known.update(head.events)


def replace_heads(stream: Stream, heads: Sequence[Head], hold: float) -> None:
    """Have a stream report the events of these heads, which check_heads has let pass. What others have begun ends."""
    before = stream.heads
    for head in before:
        if head not in heads:
            stream.remove_head(head)
    for head in heads:
        if head not in before:
            stream.add_head(head, hold=hold)
