"""What a broker should keep: told when it changes, told again to a broker that may have forgotten, taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vljepa_edge.serve.mqtt.discovery import Discovery
from vljepa_edge.serve.mqtt.messages import Now, available_payload, seen_payload, state_payload
from vljepa_edge.serve.mqtt.topics import Topics

_UNKNOWN = "?"  # no payload of ours


def retained_of(now: Now, topics: Topics, discovery: Discovery | None) -> dict[str, str]:
    """All that a broker should keep of a stream: topic -> payload. Home Assistant's come first, so that what follows
    finds its sensors."""
    return {
        **({} if discovery is None else discovery.configurations(now)),
        topics.available(now.name): available_payload(now),
        topics.state(now.name): state_payload(now),
        **{topics.seen(now.name, kind, text): seen_payload(now, kind, text) for kind, text in now.watched},
    }


class Retained:
    """Messages by topic, of which only the newest counts: while a broker is away they replace each other. Not for use
    from several threads at once."""

    def __init__(self) -> None:
        self._wanted: Mapping[str, str] = {}
        self._told: dict[str, str] = {}  # what the broker has, or will have

    def want(self, messages: Mapping[str, str]) -> None:
        """What the broker should keep from now on, all of it."""
        self._wanted = messages

    def find(self, topics: Iterable[str]) -> None:
        """The broker has these, from a server that was here before."""
        for topic in topics:
            self._told.setdefault(topic, _UNKNOWN)

    def renew(self) -> None:
        """The broker may have forgotten what it was told. What it was told and should not keep is taken back again."""
        self._told = dict.fromkeys(self._told, _UNKNOWN)

    def take(self) -> dict[str, str]:
        """What to tell: what is new or has changed, and an empty payload, which makes a broker forget, for what is no
        more wanted."""
        due = {topic: "" for topic in self._told if topic not in self._wanted}
        due |= {topic: payload for topic, payload in self._wanted.items() if self._told.get(topic) != payload}
        self._told = dict(self._wanted)
        return due
