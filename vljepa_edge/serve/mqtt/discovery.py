"""Home Assistant's MQTT discovery: a device for each stream, with a sensor of its text and a binary sensor for each
label and taught event. https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from vljepa_edge.serve.mqtt.broker import read_topic
from vljepa_edge.serve.mqtt.messages import OFF, OFFLINE, ON, ONLINE, Now, to_json
from vljepa_edge.serve.mqtt.topics import Topics, slug

_MOST_STATE = 255  # characters that a state of Home Assistant may have


def read_discovery(prefix: str) -> str | None:
    """The prefix that Home Assistant listens to; None for "", which is nowhere. Raises InputError."""
    return read_topic(prefix, "the prefix of Home Assistant's discovery") if prefix else None


class Discovery:
    """Configurations of one server's streams, under a prefix that Home Assistant listens to."""

    def __init__(self, prefix: str, topics: Topics) -> None:
        self._prefix = prefix
        self._topics = topics
        self._node = f"vljepa-{slug(topics.prefix)}"

    @property
    def found(self) -> tuple[str, str]:
        """Filters that find what a broker keeps of this server."""
        return f"{self._prefix}/sensor/{self._node}/+/config", f"{self._prefix}/binary_sensor/{self._node}/+/config"

    def configurations(self, now: Now) -> dict[str, str]:
        """Topic -> payload, to be retained; an empty payload in its place removes what it made."""
        sensor = {
            "name": "Text",
            "icon": "mdi:text-recognition",
            "state_topic": self._topics.state(now.name),
            "value_template": f"{{{{ (value_json.text or '')[:{_MOST_STATE}] }}}}",
            "json_attributes_topic": self._topics.state(now.name),
        }
        made = dict([self._entity("sensor", now.name, "text", sensor)])
        for kind, text in now.watched:
            seen = {
                "name": text,
                "state_topic": self._topics.seen(now.name, kind, text),
                "payload_on": ON,
                "payload_off": OFF,
            }
            topic, payload = self._entity("binary_sensor", now.name, f"{kind}-{slug(text)}", seen)
            made[topic] = payload
        return made

    def _entity(self, component: str, stream: str, what: str, own: Mapping[str, Any]) -> tuple[str, str]:
        ident = f"{stream}-{what}"
        online = {"payload_available": ONLINE, "payload_not_available": OFFLINE}
        release = version("vljepa-edge")
        config = {
            **own,
            "unique_id": f"{self._node}-{ident}",
            "availability": [
                {"topic": self._topics.server, **online},
                {"topic": self._topics.available(stream), **online},
            ],
            "availability_mode": "all",
            "device": {
                "identifiers": [f"{self._node}-{stream}"],
                "name": stream,
                "manufacturer": "vljepa-edge",
                "model": "vljepa serve",
                "sw_version": release,
            },
            "origin": {"name": "vljepa-edge", "sw_version": release},
        }
        return f"{self._prefix}/{component}/{self._node}/{ident}/config", to_json(config)
