"""What a stream is asked and what it looks for: queries, labels and taught events, which may change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError
from vljepa_edge.perception.head import Head
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.heads import watch_head
from vljepa_edge.streaming.policy import parse_policy
from vljepa_edge.streaming.track import Track
from vljepa_edge.streaming.watch import HOLD, WatchLike, read_watch
from vljepa_edge.support.arguments import as_list, as_text, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.streaming.policy import Policy
    from vljepa_edge.streaming.session import Session


class Asking:
    """The half of a Stream that changes what the next hops are asked. Each change is made between two hops."""

    def __init__(self, model: Perception, session: Session, query: str | Sequence[str] | None, policy: Policy) -> None:
        self.model = model
        self._session = session
        self._policy = policy
        session.analysis.tracks = [self._track(text, policy) for text in self._texts(query)]

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries asked at every hop."""
        return tuple(track.query.text for track in self._session.analysis.tracks)

    def set_query(self, query: str | Sequence[str]) -> list[Event]:
        """Ask this instead, from the next hop on. The open segments close at the last frame; returns those events."""
        self._session.check_process()
        asked = [self._track(text, self._policy) for text in self._texts(query)]
        return self._change(lambda tracks: asked)

    def set_policy(self, policy: str | Policy) -> list[Event]:
        """Cut by this policy, every query, from the next hop on. The open segments close at the last frame; returns
        those events. Raises InputError for what is no policy, and a closed stream."""
        self._session.check_process()
        chosen = parse_policy(policy)

        def change(tracks: list[Track]) -> list[Track]:
            self._policy = chosen
            return [self._track(track.query.text, chosen) for track in tracks]

        return self._change(change)

    @property
    def policy(self) -> Policy:
        """When queries are cut, but those that were added with a policy of their own."""
        return self._policy

    @property
    def changes(self) -> dict[str, float]:
        """How much changed at the newest hop, by each query's policy's own measure; 0 before the first hop."""
        return {track.query.text: track.change for track in self._session.analysis.tracks}

    def add_query(self, query: str, policy: str | Policy | None = None) -> None:
        """Ask this too, from the next hop on, with a policy of its own if given."""
        self._session.check_process()
        chosen = self._policy if policy is None else parse_policy(policy)
        added = self._track(as_text(query, "query"), chosen)

        def change(tracks: list[Track]) -> list[Track]:
            if any(track.query.text == query for track in tracks):
                raise InputError(f"the query {shown(query)} is asked already")
            return [*tracks, added]

        self._change(change)

    def remove_query(self, query: str) -> list[Event]:
        """Ask this no more. Its open segment closes at the last frame; returns that event."""
        text = as_text(query, "query")

        def change(tracks: list[Track]) -> list[Track]:
            kept = [track for track in tracks if track.query.text != text]
            if not kept or len(kept) == len(tracks):
                raise InputError(f"can't remove the query {shown(query)}; of {shown(self.queries)} one must stay")
            return kept

        self._session.check_process()
        return self._change(change)

    def watch(self, labels: WatchLike, hold: float = HOLD) -> list[Event]:
        """Report from the next hop on when one of these labels comes into the picture and when it leaves, by events
        "appeared" and "gone". They replace those before, of which what is seen is gone now; returns these events.

        labels: a list such as ["cup", "a person"], or a mapping from each to the probability at which it appears (it
        is gone below two thirds of that), or to the text or texts that stand for it; None or ... where both are chosen
        inside. No labels: nothing is watched for any more. hold: seconds that a label must be seen before it has
        appeared, and must not be seen before it is gone.

        All labels together cost one more pass of the predictor a hop, or none where the stream asks the same query.
        What is still seen when the stream is flushed, stalls, or jumps in time is gone with its last frame. Raises
        InputError for labels that Model.labels would refuse, a threshold or a `hold` that is no number within bounds,
        and a closed stream.
        """
        self._session.check_process()
        watch = read_watch(self.model, labels, hold)
        with self._session.returning() as output, self._session.work:
            self._session.check_open()
            if self._session.analysis.last is not None:
                self._session.analysis.end_watch(self._session.analysis.last, self._session.analysis.last, output)
            self._session.analysis.watch = watch
        return output.events

    @property
    def watched(self) -> tuple[str, ...]:
        """The labels watched for."""
        watch = self._session.analysis.watch
        return () if watch is None else watch.labels.names

    @property
    def seen(self) -> dict[str, float]:
        """The labels that have appeared and are not gone, each with its largest probability so far."""
        watch = self._session.analysis.watch
        return {} if watch is None else watch.seen

    @property
    def happening(self) -> dict[str, float]:
        """The taught events that have begun and not ended, each with its largest probability so far."""
        return {name: peak for watch in self._session.analysis.heads for name, peak in watch.seen.items()}

    def add_head(self, head: Head, *, hold: float = HOLD) -> None:
        """Report from the next hop on when the events of a head begin and end, by events "began" and "ended".

        hold: seconds that an event must be seen before it has begun, and must not be seen before it has ended. The head
        reads features that the stream has anyway; only within a window's length after a hard cut clip graphs run once
        more. What has begun ends with the last frame when the stream is flushed, stalls, or jumps in time.

        Raises HeadError for a head of another X-encoder, InputError for what is no head, one that is there already or
        has an event of one that is, a `hold` that is no number of seconds from 0 to 86400, and a closed stream.
        """
        self._session.check_process()
        if not isinstance(head, Head):
            raise InputError(f"head must be a Head, got {shown(head)}")
        head.check_encoder(self.model)
        watch = watch_head(head, hold)
        with self._session.work:
            self._session.check_open()
            known = {name for other in self._session.analysis.heads for name in other.labels.names}
            twice = [name for name in head.events if name in known]
            if twice:
                raise InputError(f"a head of this stream has the event {shown(twice[0])} already")
            self._session.analysis.heads = [*self._session.analysis.heads, watch]

    def remove_head(self, head: Head) -> list[Event]:
        """Report its events no more. Those that have begun end at the last frame; returns these events.

        Raises InputError for a head that the stream does not have.
        """
        self._session.check_process()
        with self._session.returning() as output, self._session.work:
            self._session.check_open()
            removed = [watch for watch in self._session.analysis.heads if watch.labels.head is head]
            if not removed:
                raise InputError(f"this stream has no such head, got {shown(head)}")
            self._session.analysis.heads = [
                watch for watch in self._session.analysis.heads if watch.labels.head is not head
            ]
            if self._session.analysis.last is not None:
                self._session.analysis.end_heads(
                    removed, self._session.analysis.last, self._session.analysis.last, output
                )
        return output.events

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads whose events are reported."""
        return tuple(watch.labels.head for watch in self._session.analysis.heads)

    def _texts(self, query: str | Sequence[str] | None) -> list[str]:
        return [self.model.manifest.text.default_query] if query is None else read_queries(query)

    def _track(self, text: str, policy: Policy) -> Track:
        return Track(self.model.text.query(text), policy, self.model.manifest.embedding.width)

    def _change(self, change: Callable[[list[Track]], list[Track]]) -> list[Event]:
        """Replace the tracks by what `change` makes of them, under the lock; those that go close their segments."""
        with self._session.returning() as output, self._session.work:
            self._session.check_open()
            before = self._session.analysis.tracks
            self._session.analysis.tracks = change(before)
            removed = [track for track in before if track not in self._session.analysis.tracks]
            if self._session.analysis.last is not None:
                self._session.analysis.end_segments(
                    removed, self._session.analysis.last, self._session.analysis.last, output
                )
        return output.events


def read_queries(query: object) -> list[str]:
    """One query or several as a list. Raises InputError for what is no text, and for one that comes twice."""
    if not isinstance(query, Iterable):
        raise InputError(f"query must be a text or a list of texts, got {shown(query)}")
    given = [query] if isinstance(query, str) else as_list(query, "query", "texts")
    texts = [as_text(text, "query") for text in given]
    if len(set(texts)) != len(texts):
        raise InputError(f"the queries of a stream must all differ, got {shown(texts)}")
    return texts
