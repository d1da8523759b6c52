"""What subtitles show of a stream: texts and when they are there, without overlaps."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from vljepa_edge.streaming.event import Event

_Track = tuple[str, str]  # a query, or a label by what reports it
_KINDS = {"appeared": "watch", "gone": "watch", "began": "head", "ended": "head"}
_FOREVER = 2**53
_LATE = 60_000  # milliseconds by which an event may begin before the newest one was decided


class Cue(NamedTuple):
    """Lines of text from `start` to `end`, in milliseconds from second 0 of the stream; `start` < `end`."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass
class _Span:
    """When a text is to be seen; `end` None: what it tells of goes on."""

    track: int
    start: float
    end: float | None
    text: str


class Captions:
    """Collects the texts of a stream's events.

    Of a segment it keeps the text of its end or, where that was not put into words, of its beginning. Only the model's
    own words that were sure enough are shown: neither general sentences nor segments without a text. Labels and taught
    events are shown while they are there.
    """

    def __init__(self) -> None:
        self._tracks: dict[_Track, int] = {}  # in the order in which they came, from top to bottom
        self._spans: dict[tuple[int, int], _Span] = {}
        self._newest = 0.0
        self._settled = 0  # milliseconds; what was there before is forgotten

    def add(self, event: Event, text: str | None = None) -> None:
        """Take an event, in the order in which they came. text: shown in place of the event's own; "" shows nothing."""
        if event.status == "stalled":
            return
        self._newest = max(self._newest, event.decided_at)
        kind = _KINDS.get(event.status, "query")
        name = event.query if kind == "query" else event.text
        track = self._tracks.setdefault((kind, name), len(self._tracks))
        shown = _shown(event) if text is None else text
        before = self._spans.get((track, event.segment))
        if shown is None:
            shown = "" if before is None else before.text
        self._spans[track, event.segment] = _Span(track, event.start, event.end, shown)

    def settle(self) -> list[Cue]:
        """The first cues, which later events no longer change; they are forgotten.

        An event that comes more than a minute late, as of a label that is held for longer, is shown from there on.
        """
        cues = self.cues()
        begun = [span.start for span in self._spans.values() if span.end is None]
        until = min([_milliseconds(self._newest) - _LATE, *map(_milliseconds, begun)])
        settled = [cue for cue in cues if cue.end < until]
        later = cues[len(settled) :]
        self._settled = max(self._settled, min([until, *(cue.start for cue in later)]))
        self._spans = {
            key: span
            for key, span in self._spans.items()
            if span.end is None or _milliseconds(span.end) > self._settled
        }
        return settled

    def cues(self, *, lasting: bool = False) -> list[Cue]:
        """The texts that aren't settled, in the order of time. Those that are there at the same time share a cue, a
        line each, and what goes on ends with the newest event. lasting: what is there then is there for ever, since the
        newest event is of the last frame that the model saw, and a file may have some more."""
        changes: dict[int, list[tuple[bool, _Span]]] = {}
        for span in self._spans.values():
            span = _Span(span.track, span.start, span.end, one_line(span.text))
            start = max(self._settled, _milliseconds(span.start))
            end = _milliseconds(self._newest if span.end is None else span.end)
            if span.text and start < end:
                changes.setdefault(start, []).append((True, span))
                changes.setdefault(end, []).append((False, span))
        cues: list[Cue] = []
        there: dict[int, _Span] = {}  # by id(): a track may have two spans after its clock was reset
        since = 0
        for time in sorted(changes):
            lines = tuple(dict.fromkeys(span.text for span in sorted(there.values(), key=lambda span: span.track)))
            if lines:
                _append(cues, Cue(since, time, lines))
            for begins, span in changes[time]:
                if begins:
                    there[id(span)] = span
                else:
                    there.pop(id(span), None)
            since = time
        if lasting and cues and cues[-1].end >= _milliseconds(self._newest):
            cues[-1] = cues[-1]._replace(end=_FOREVER)
        return cues


def one_line(text: str) -> str:
    """A text without line breaks and control characters, which would end a cue. Half a character, as in a name that is
    no UTF-8, becomes U+FFFD."""
    return " ".join("".join(map(_printable, text)).split())


def _printable(character: str) -> str:
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Zl", "Zp") else "\ufffd" if kind == "Cs" else character


def _shown(event: Event) -> str | None:
    """The text of an event for subtitles, "" where it has none that is sure enough, None where none was decoded."""
    if not event.is_segment:
        return event.text
    if event.wording == "specific":
        return event.text
    return None if event.wording == "none" and event.confidence is None else ""


def _append(cues: list[Cue], cue: Cue) -> None:
    """With the one before as one cue where that says the same and ends as this one begins."""
    if cues and cues[-1].end == cue.start and cues[-1].lines == cue.lines:
        cues[-1] = cues[-1]._replace(end=cue.end)
    else:
        cues.append(cue)


def _milliseconds(seconds: float) -> int:
    return max(0, round(1000 * seconds))
