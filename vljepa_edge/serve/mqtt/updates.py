"""What becomes surer while it goes on."""

from __future__ import annotations

from vljepa_edge.serve.ledger import Told
from vljepa_edge.serve.mqtt.messages import KINDS, Now

_RISE = 0.1  # by how much surer something must be to be worth telling


class Updates:
    """How sure labels and taught events are, as it was told last. Not for use from several threads at once."""

    def __init__(self) -> None:
        self._told: dict[int, float] = {}  # id -> confidence

    def apply(self, now: Now, sent: int) -> tuple[Now, list[Told]]:
        """A stream with the confidences that were told last, and what has become surer by a tenth: events with which
        something began, with their new confidence. `sent` is the number of the newest event that was sent: what begins
        must be told before it is updated."""
        open_now: list[Told] = []
        surer: list[Told] = []
        for event in now.open:
            number = event["id"]
            before = self._told.get(number, event["confidence"] or 0.0)
            peak = round(now.peaks.get((KINDS[event["status"]], event["text"]), 0.0), 4)
            if number <= sent and peak >= before + _RISE:
                self._told[number] = peak
                surer.append({**event, "confidence": peak})
            open_now.append({**event, "confidence": self._told.get(number, event["confidence"])})
        return now._replace(open=tuple(open_now)), surer

    def forget_but(self, numbers: set[int]) -> None:
        """Only these go on."""
        self._told = {number: confidence for number, confidence in self._told.items() if number in numbers}
