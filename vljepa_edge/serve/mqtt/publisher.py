"""Publishing a hub by MQTT: its events, what goes on in each stream, and that it is there."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING

from vljepa_edge.errors import BrokerError
from vljepa_edge.serve.channel import Channel
from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.ledger import Told
from vljepa_edge.serve.mqtt.broker import Broker, read_broker
from vljepa_edge.serve.mqtt.discovery import Discovery, read_discovery
from vljepa_edge.serve.mqtt.messages import OFFLINE, ONLINE, Kind, Now, event_payload, update_payload
from vljepa_edge.serve.mqtt.retained import Retained, retained_of
from vljepa_edge.serve.mqtt.topics import Topics
from vljepa_edge.serve.mqtt.updates import Updates
from vljepa_edge.support.ending import Worker
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.serve.mqtt.link import Link

DISCOVERY = "homeassistant"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts to connect, doubling
_STEADY = 10.0  # seconds after which a connection counts as one, and pauses begin at the first again
_LOOK = 1.0  # seconds between two looks at what changes without an event: streams that come and go, cameras lost
_WINDOW = 16  # messages that may wait for the broker's confirmation
_GRACE = 3.0  # seconds that the last messages may take
_log = logging.getLogger(__name__)


class Publisher:
    """Publishes a hub to a broker, from start() until the hub is closed or close() is called. Cameras and clients never
    wait for it.

    While the broker is away events wait in the hub's feed, which keeps the newest `Limits.events`; of older ones that
    are gone `lost` is the count. What goes on now is told again when the broker is there again.
    """

    def __init__(
        self,
        hub: Hub,
        broker: str | Broker,
        *,
        discovery: str = DISCOVERY,
        told: Callable[[BrokerError | None], object] = lambda error: None,
    ) -> None:
        """
        broker     mqtt://USER:PASSWORD@HOST:PORT/PREFIX, or mqtts://; or what read_broker gave
        discovery  the prefix that Home Assistant listens to; "": nothing for Home Assistant
        told       called, on the publisher's thread, with None when the broker is there and with why when it is not,
                   each time that this changes

        Raises InputError for an address or a prefix that is none, EngineError without the extra `mqtt`. A broker that
        is not there raises nothing: see `error`.
        """
        require(("paho",), "mqtt")
        from vljepa_edge.serve.mqtt.link import Link

        self.broker = broker if isinstance(broker, Broker) else read_broker(broker)
        self.error: BrokerError | None = None
        self._hub = hub
        self._told = told
        self._topics = Topics(self.broker.prefix)
        prefix = read_discovery(discovery)
        self._discovery = None if prefix is None else Discovery(prefix, self._topics)
        self._retained = Retained()
        self._updates = Updates()
        self._streams: tuple[Now, ...] = ()  # as last seen
        self._lost = 0
        self._sent = hub.feed.first - 1  # number of the newest event that was given to the link
        self._rung = threading.Event()
        self._stopped = threading.Event()
        self._link: Link = Link(self.broker, (self._topics.server, OFFLINE), self._rung.set)
        hub.feed.wake_at_events(self._rung.set)
        self._thread = Worker(self._run, name="vljepa-mqtt", stop=self._stop)

    def start(self) -> None:
        """Begin to connect. What the broker keeps of streams that the hub does not have by now is taken back."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._link.is_open

    @property
    def waiting(self) -> int:
        """Messages that the broker has not confirmed, with events that have not been sent."""
        kept, _ = self._hub.feed.after(self._sent, self._hub.limits.events)
        return self._link.unconfirmed + len(kept)

    @property
    def lost(self) -> int:
        """Events that made way for newer ones while the broker was away."""
        return self._lost + self._hub.feed.after(self._sent, 0)[1]

    def close(self) -> None:
        """Send what waits where the broker is there, say that the server is offline, and disconnect."""
        self._stop()
        if self._thread.is_alive():
            self._thread.join(2 * _GRACE)

    def _stop(self) -> None:
        self._stopped.set()
        self._rung.set()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set() and not self._hub.feed.closed:
            begun = monotonic()
            try:
                self._link.open()
                self._say(None)
                self._serve()
            except BrokerError as error:
                self._say(error)
            except Exception as error:  # a fault of ours or of the client library must not end publishing for good
                _log.exception("publishing to %s failed", self.broker)
                self._say(BrokerError(self.broker, f"publishing failed ({type(error).__name__}: {error})"))
            if monotonic() - begun > _STEADY:
                pause = _FIRST_PAUSE
            self._wait(pause * random.uniform(0.5, 1.0))  # so that all clients of a broker don't come back at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        until = monotonic() + seconds
        while not self._stopped.is_set() and not self._hub.feed.closed and (left := until - monotonic()) > 0:
            self._rung.wait(left)
            self._rung.clear()

    def _say(self, error: BrokerError | None) -> None:
        before, self.error = self.error, error
        if error is None or str(error) != str(before):
            try:
                self._told(error)
            except Exception:  # as where it prints to a terminal that is gone: publishing goes on
                _log.exception("telling of %s failed", self.broker)

    def _serve(self) -> None:
        """Publish until told to stop, then say goodbye. Raises BrokerError when the connection is lost."""
        if not self._confirmed_by(monotonic() + _STEADY):  # what is sent again must come before what is new
            raise BrokerError(self.broker, "it confirms nothing")
        self._link.publish(self._topics.server, ONLINE, retain=True)
        self._link.look_for(self._topics.found() + (() if self._discovery is None else self._discovery.found))
        self._retained.renew()
        while not self._stopped.is_set() and not self._hub.feed.closed:
            self._publish()
            self._rung.wait(_LOOK)
            self._rung.clear()
        until = monotonic() + _GRACE
        while monotonic() < until and self._publish():
            self._rung.wait(until - monotonic())
            self._rung.clear()
        self._link.publish(self._topics.server, OFFLINE, retain=True)
        self._confirmed_by(until)
        self._link.close()

    def _confirmed_by(self, until: float) -> bool:
        """Wait until the broker has confirmed all that was sent, or is lost, or a time has come; whether it has."""
        while self._link.unconfirmed and self._link.is_open and (left := until - monotonic()) > 0:
            self._rung.wait(left)
            self._rung.clear()
        return self._link.unconfirmed == 0

    def _publish(self) -> bool:
        """Send what is due, as far as there is room for it; whether something waits. Raises BrokerError."""
        if not self._link.is_open:
            raise BrokerError(self.broker, "the connection is lost")
        if self._link.unconfirmed >= _WINDOW:
            return True
        found = self._link.take_found()
        self._retained.find([*found, *map(self._topics.kept_with, found)])
        wanted, surer = self._look()
        self._retained.want(wanted)
        for topic, kept in self._retained.take().items():
            self._link.publish(topic, kept, retain=True)
        for event in surer:
            self._link.publish(self._topics.events(event["stream"]), update_payload(event, time()))
        records, lost = self._hub.feed.after(self._sent, max(1, _WINDOW - self._link.unconfirmed))
        self._lost += lost
        for record in records:
            payload = event_payload(record)
            if payload is not None:
                self._link.publish(self._topics.events(record.stream), payload)
            self._sent = record.number or self._sent
        return self._link.unconfirmed > 0 or self._hub.feed.newest > self._sent

    def _look(self) -> tuple[dict[str, str], list[Told]]:
        """What the broker should keep now, of every stream, and what has become surer."""
        channels = self._hub.channels
        if self._hub.closed:  # looked at after them, as a hub that is closed has none
            self._streams = tuple(now.stopped() for now in self._streams)
        else:
            self._streams = tuple(map(self._now, channels))
        self._updates.forget_but({event["id"] for now in self._streams for event in now.open})
        wanted: dict[str, str] = {}
        surer: list[Told] = []
        for seen in self._streams:
            now, risen = self._updates.apply(seen, self._sent)
            wanted |= retained_of(now, self._topics, self._discovery)
            surer += risen
        return wanted, surer

    def _now(self, channel: Channel) -> Now:
        stream = channel.stream
        watched: list[tuple[Kind, str]] = [("label", text) for text in stream.watched]
        watched += [("taught", text) for head in stream.heads for text in head.events]
        peaks: dict[tuple[Kind, str], float] = {("label", text): peak for text, peak in stream.seen.items()}
        peaks |= {("taught", text): peak for text, peak in stream.happening.items()}
        going_on, said = self._hub.ledger.now(channel.name)
        return Now(channel.name, channel.state, tuple(watched), tuple(going_on), said, peaks)
