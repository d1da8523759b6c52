"""What a stream sees and says, as Rerun shows it: pictures, texts, and how much changes beside the threshold."""

from __future__ import annotations

import rerun as rr

from vljepa_edge.streaming.event import Event

TIMELINE = "time"
PICTURES, TEXTS, EVENTS, CHANGES = "camera", "text", "events", "change"
_THRESHOLD = "threshold"


class RerunLog:
    """Writes to a recording, on the timeline `time`: seconds on the clock of the frames. Any thread may call it.

    camera              JPEGs
    text/QUERY          the text of each segment, from its start on
    events              all events, a line each at its start, its status as the level
    change/QUERY        how much changed at each hop, by the policy's own measure
    change/threshold    the policy's, where it has one
    """

    def __init__(self, recording: rr.RecordingStream) -> None:
        self._recording = recording
        recording.set_log_tick_enabled(False)
        recording.set_log_time_enabled(False)

    def picture(self, time: float, jpeg: bytes) -> None:
        """A frame was seen."""
        self._at(time)
        self._recording.log(PICTURES, rr.EncodedImage(contents=jpeg, media_type="image/jpeg"))

    def hop(self, time: float, query: str, change: float, threshold: float | None) -> None:
        """The model looked."""
        self._at(time)
        self._recording.log([CHANGES, query], rr.Scalars(change))
        if threshold is not None:
            self._recording.log([CHANGES, _THRESHOLD], rr.Scalars(threshold))

    def event(self, event: Event, text: str | None = None) -> None:
        """Something happened. text: shown in place of the event's own."""
        words = event.words() if text is None else text
        self._at(event.start)
        self._recording.log(EVENTS, rr.TextLog(words, level=event.status))
        if event.is_segment and words:
            self._recording.log([TEXTS, event.query], rr.TextDocument(words))

    def _at(self, time: float) -> None:
        self._recording.set_time(TIMELINE, duration=time)
