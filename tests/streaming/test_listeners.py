"""Subscriptions are each their own, and what nobody received is counted."""

from __future__ import annotations

from tests.streaming.scenes import RED, picture
from vljepa_edge.model import Model

IMAGE = picture(RED)


def test_undoing_one_of_two_equal_subscriptions_leaves_the_other(model: Model) -> None:
    seen: list[float] = []

    def listen(time: float, *_: object) -> None:
        seen.append(time)

    with model.open_stream() as stream:
        undo, undo_other = stream.subscribe(listen), stream.subscribe(listen)
        stream.push(IMAGE, 0.0)
        undo()
        undo()  # a second time does nothing
        stream.push(IMAGE, 0.25)
        undo_other()
        stream.push(IMAGE, 0.5)
    assert seen == [0.0, 0.0, 0.25]
