"""What a stream reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.support.json_numbers import number

Status = Literal["open", "closed", "appeared", "gone", "began", "ended", "stalled"]
NO_FRAMES = "(no frames)"  # what people read of a stall
NOT_SURE = "(not sure)"  # and of a text that was not sure enough


@dataclass(frozen=True, slots=True)
class Event:
    """A segment of the stream opened or closed, a label that is watched for appeared or is gone, a taught event began
    or ended, or the stream stalled. Times are seconds on the clock of the frames.

    A hard cut lies at the first frame of the new picture: the window restarts there. Any other change lies in the
    middle between the first hop of the new segment and what is before the change: the oldest frame in the window of
    that hop or, for "running-ward", a later hop that was as the old segment. `decided_at` is the time of the newest
    frame when the policy cut, for "running-ward" `min_duration` after the first hop of the new segment. So
    `decided_at - start` is the delay that a user sees. The first segment starts at
    the first frame, one that ends with the stream (flush, or a gap in time) ends at the last frame, and no segment
    starts before the one before it has ended.

    When no good frame comes to a live stream for longer than its gap, the open segments are closed at the last frame,
    and an event "stalled" follows: one for all queries, with an empty text and query, an embedding of zeros and
    segment -1. Its `start` is the last frame, its `decided_at` the seconds of silence later. The next frame opens a
    segment.

    Of a label that is watched for (see Stream.watch), `text` is the label, `segment` counts its sightings from 0,
    `query` and `embedding` are what was asked and predicted, `wording` is "specific", and `change` is 0. It starts and
    ends in the middle of the windows of the first and the last hop at which it was seen, or ends with the last frame.

    A taught event (see Stream.add_head) is told of in the same way, with an empty query and an embedding of zeros.

    status      "open" when the segment opens, "closed" when it ends, "appeared" and "gone" of a label, "began" and
                "ended" of a taught event, "stalled" when frames stopped coming
    end         None while it is open, or seen
    text        decoded from the newest embedding (open) or from the mean over the segment (closed; the paper's 4.6
                finds the mean better); empty where the stream's option `decode` leaves it out
    embedding   float32 [E], unit norm, read-only: the one that `text` is decoded from
    change      how much changed at the cut, by the policy's own measure (running-ward: Ward's cost): it says nothing of
                whether `text` is right. 0 at the first hop and when the stream itself ended the segment
    segment     counts the segments of a query from 0
    latency_ms  of this event: "queue" (live streams: the wait for the worker), "scale", "encode", "predict", "policy",
                "decode", and "total", from push() to here
    confidence  the probability that `text` is right, calibrated on held-out data. Where it was too low to show a text,
                that of the text that isn't shown; None where nothing was decoded, and for bundles without calibrators.
                Of a label or a taught event: the largest probability so far that it was there
    reused      whether `text` was decoded for an earlier event of this query, whose embedding was nearly the same: see
                StreamOptions.reuse
    wording     "specific": `text` is the model's own words. "general": they were less sure than `min_confidence`, and
                `text` is a general sentence ("an animal moves") that is sure enough. "none": there is no text
    """

    status: Status
    start: float
    end: float | None
    decided_at: float
    text: str
    embedding: NDArray[np.float32] = field(repr=False, compare=False)
    change: float
    query: str
    segment: int
    latency_ms: dict[str, float] = field(repr=False, compare=False)
    confidence: float | None = None
    wording: Literal["specific", "general", "none"] = "none"
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All but the embedding, ready for JSON: times and `change` to six digits behind the point, `latency_ms` to
        three. A number that is not finite is None, and a zero has no sign."""
        return {
            "status": self.status,
            "start": number(self.start, 6),
            "end": number(self.end, 6),
            "decided_at": number(self.decided_at, 6),
            "text": self.text,
            "confidence": number(self.confidence, 4),
            "wording": self.wording,
            "reused": self.reused,
            "change": number(self.change, 6),
            "query": self.query,
            "segment": self.segment,
            "latency_ms": {stage: number(value, 3) for stage, value in self.latency_ms.items()},
        }

    @property
    def score(self) -> NoReturn:
        """What `change` was called before 0.9; raises AttributeError that says so."""
        raise AttributeError("Event.score has been renamed; use Event.change, how much changed at the cut")

    def __str__(self) -> str:
        end = "..." if self.end is None else f"{self.end:.2f}"
        return f"[{self.start:.2f} - {end} s] {self.words()}"

    @property
    def is_segment(self) -> bool:
        """Whether it is of a segment, which opened or closed."""
        return self.status in ("open", "closed")

    def words(self) -> str:
        """What people read: the text, "cup appeared", "door opens ended", "(no frames)" of a stall, "(not sure)" where
        no text was sure enough."""
        if self.status == "stalled":
            return NO_FRAMES
        if self.status in ("appeared", "gone", "began", "ended"):
            return f"{self.text} {self.status}"
        return NOT_SURE if self.wording == "none" and self.confidence is not None else self.text
