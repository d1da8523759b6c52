"""Topics: where what is told."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from vljepa_edge.serve.mqtt.messages import Kind

_PLAIN = re.compile(r"[a-z0-9]{1,32}")
_FOLDERS: dict[Kind, str] = {"label": "labels", "taught": "taught"}


class Topics(NamedTuple):
    """Topics of one server. Each stream has a level of its own under the prefix."""

    prefix: str

    @property
    def server(self) -> str:
        """Whether the server is there: online or offline; the latter is its last will."""
        return f"{self.prefix}/status"

    def events(self, stream: str) -> str:
        """What begins and what ends."""
        return f"{self.prefix}/{stream}/events"

    def state(self, stream: str) -> str:
        """What goes on now."""
        return f"{self.prefix}/{stream}/state"

    def available(self, stream: str) -> str:
        """Whether frames come and can be looked at: online or offline."""
        return f"{self.prefix}/{stream}/availability"

    def found(self) -> tuple[str, ...]:
        """Filters that find what a broker keeps of any stream, but states; those change often."""
        return (self.available("+"), *(f"{self.prefix}/+/{folder}/+" for folder in _FOLDERS.values()))

    def kept_with(self, topic: str) -> str:
        """The topic of the state that is kept with a stream's availability; other topics are their own."""
        stem = topic.removesuffix("/availability")
        return topic if stem == topic else f"{stem}/state"

    def seen(self, stream: str, kind: Kind, text: str) -> str:
        """Whether a label or a taught event is there: ON or OFF."""
        return f"{self.prefix}/{stream}/{_FOLDERS[kind]}/{slug(text)}"


def slug(text: str) -> str:
    """A text as one level of a topic, of a-z, 0-9, _ and -, another for each text: what is not such a word already gets
    a few digits of its hash."""
    if _PLAIN.fullmatch(text):
        return text
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:24].strip("_")
    return f"{word or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
