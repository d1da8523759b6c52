"""From cuts to events: each is decoded, counted, and kept until it is polled."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.confidence import Words
from vljepa_edge.perception.together import End
from vljepa_edge.streaming.event import Event, Status
from vljepa_edge.streaming.said import Said

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.streaming.latency import Latencies
    from vljepa_edge.streaming.listeners import Output
    from vljepa_edge.streaming.options import FilledOptions
    from vljepa_edge.streaming.stats import Tally
    from vljepa_edge.streaming.track import Cut, Track
    from vljepa_edge.streaming.watch import Sighting

POLLED = 256
NO_WORDS = Words("", None, "none")


class Emitter:
    """Makes the events of a stream and keeps the latest `POLLED` of them until they are taken.

    Events of one output never push each other out. One that falls out is counted if nobody received it otherwise.

    One thread at a time may emit. Any thread may take, and never waits for a graph.
    """

    def __init__(self, model: Perception, options: FilledOptions, tally: Tally, latencies: Latencies) -> None:
        self._model = model
        self._decode_open = options.decode in ("open", "both")
        self._decode_closed = options.decode in ("closed", "both")
        self._least = model.confidence.least(options.min_confidence)
        self._reuse = options.reuse
        self._said: WeakKeyDictionary[Track, Said] = WeakKeyDictionary()
        self._tally = tally
        self._latencies = latencies
        self._lock = threading.Lock()  # pending
        self._pending: deque[tuple[Event, Output]] = deque()

    def emit(
        self,
        cuts: Sequence[tuple[Track, Cut]],
        decided_at: float,
        called: float,
        latency_ms: Mapping[str, float],
        output: Output,
    ) -> None:
        """Decode cuts and append their events to `output`: all of them, with an empty text where the stream's option
        `decode` leaves it out, and where decoding fails or is interrupted.

        decided_at: seconds, the time of the newest frame. called: when (perf_counter) the work on it began.
        latency_ms: of the stages before this one. Raises the first error of decoding once all events are out.
        """
        failures: list[BaseException] = []
        for _, cut in cuts:
            cut.embedding.flags.writeable = False
        wanted = [self._decode_open if cut.end is None else self._decode_closed for _, cut in cuts]
        found = [self._before(*pair) if is_wanted else None for pair, is_wanted in zip(cuts, wanted, strict=True)]
        new = [is_wanted and words is None for is_wanted, words in zip(wanted, found, strict=True)]
        begun = perf_counter()
        said = iter(self._decode([pair for pair, is_new in zip(cuts, new, strict=True) if is_new], failures))
        took = {"decode": 1e3 * (perf_counter() - begun)}
        for (track, cut), is_new, before in zip(cuts, new, found, strict=True):
            words, decode = (next(said), took) if is_new else (before or NO_WORDS, {})
            self._latencies.record(decode)
            event = Event(
                status="open" if cut.end is None else "closed",
                start=cut.start,
                end=cut.end,
                decided_at=decided_at,
                text=words.text,
                embedding=cut.embedding,
                change=cut.change,
                query=track.query.text,
                segment=cut.segment,
                latency_ms=_stages(latency_ms) | decode | {"total": 1e3 * (perf_counter() - called)},
                confidence=words.confidence,
                wording=words.wording,
                reused=before is not None,
            )
            self._keep(event, output)
        if failures:
            raise failures[0]

    def emit_sightings(
        self,
        sightings: Sequence[Sighting],
        decided_at: float,
        called: float,
        latency_ms: Mapping[str, float],
        output: Output,
    ) -> None:
        """Append to `output` an event for each label that appeared or is gone. Arguments are those of emit()."""
        for sighting in sightings:
            sighting.embedding.flags.writeable = False
            status: Status = "appeared" if sighting.end is None else "gone"
            self._keep(_seen(sighting, status, sighting.embedding, decided_at, called, latency_ms), output)

    def emit_happened(
        self,
        sightings: Sequence[Sighting],
        decided_at: float,
        called: float,
        latency_ms: Mapping[str, float],
        output: Output,
    ) -> None:
        """Append to `output` an event for each taught event that began or ended. Arguments are those of emit()."""
        for sighting in sightings:
            status: Status = "began" if sighting.end is None else "ended"
            self._keep(_seen(sighting, status, self._nothing(), decided_at, called, latency_ms), output)

    def emit_stall(self, last: float, decided_at: float, output: Output) -> None:
        """Append to `output` the event that no frame has come since `last`."""
        event = Event(
            status="stalled",
            start=last,
            end=None,
            decided_at=decided_at,
            text="",
            embedding=self._nothing(),
            change=0.0,
            query="",
            segment=-1,
            latency_ms={},
        )
        self._keep(event, output)

    def forget(self) -> None:
        """Use no text again that was decoded before now, and drop the events kept."""
        self._said.clear()
        self.take()

    def take(self) -> list[Event]:
        """The events kept since the last call, oldest first."""
        with self._lock:
            events = [event for event, _ in self._pending]
            self._pending.clear()
        return events

    def _decode(self, cuts: Sequence[tuple[Track, Cut]], failures: list[BaseException]) -> list[Words]:
        """The words of cuts, which are decoded together; of one that fails there are none."""
        model, said = self._model, []
        try:
            ends = model.text.decode_each([cut.embedding for _, cut in cuts])
        except KeyboardInterrupt as error:
            ends = [End("", error)] * len(cuts)
        for (track, cut), end in zip(cuts, ends, strict=True):
            try:
                if end.error is not None:
                    raise end.error
                words = model.confidence.word(model.text, end.value, cut.embedding, track.query.text, self._least)
                self._tally.add("decodes")
                if self._reuse > 0:
                    self._said.setdefault(track, Said(self._reuse)).keep(cut.embedding, cut.end is not None, words)
            except (Exception, KeyboardInterrupt) as error:
                self._tally.add_failed_text()
                failures.append(error)
                words = NO_WORDS
            said.append(words)
        return said

    def _before(self, track: Track, cut: Cut) -> Words | None:
        """A text to use again; counts it."""
        said = self._said.get(track)
        words = None if said is None else said.find(cut.embedding, cut.end is not None)
        if words is not None:
            self._tally.add("reuses")
        return words

    def _nothing(self) -> NDArray[np.float32]:
        nothing = np.zeros(self._model.manifest.embedding.width, np.float32)
        nothing.flags.writeable = False
        return nothing

    def _keep(self, event: Event, output: Output) -> None:
        self._tally.add("events")
        output.events.append(event)
        with self._lock:
            while len(self._pending) >= POLLED and self._pending[0][1] is not output:
                _, older = self._pending.popleft()
                if not older.received:
                    self._tally.add("unpolled")
            self._pending.append((event, output))


def _seen(
    sighting: Sighting,
    status: Status,
    embedding: NDArray[np.float32],
    decided_at: float,
    called: float,
    latency_ms: Mapping[str, float],
) -> Event:
    return Event(
        status=status,
        start=sighting.start,
        end=sighting.end,
        decided_at=decided_at,
        text=sighting.label,
        embedding=embedding,
        change=0.0,
        query=sighting.query,
        segment=sighting.number,
        latency_ms=_stages(latency_ms) | {"total": 1e3 * (perf_counter() - called)},
        confidence=sighting.probability,
        wording="specific",
    )


def _stages(latency_ms: Mapping[str, float]) -> dict[str, float]:
    """The stages that events name: those that don't hold others."""
    return {stage: value for stage, value in latency_ms.items() if stage not in ("hop", "overhead")}
