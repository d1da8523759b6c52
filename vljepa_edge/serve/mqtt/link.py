"""A connection to a broker that can be opened again: what was sent and not confirmed is sent again. paho does the
protocol."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vljepa_edge.errors import BrokerError
from vljepa_edge.serve.mqtt.broker import Broker

_KEEPALIVE = 15  # seconds; a broker tells the last will of a client that is silent for one and a half of them
_ANSWER = 10.0  # seconds that a broker may take to let a client in
_GOODBYE = 1.0  # seconds
_QOS = 1  # at least once


class Link:
    """One client of a broker. Not for use from several threads at once; `wake` is called from another."""

    def __init__(self, broker: Broker, will: tuple[str, str], wake: Callable[[], object]) -> None:
        """will: topic and payload that the broker keeps and tells when this client is lost."""
        self._broker = broker
        self._wake = wake
        # The same after a restart: a broker then drops the lost connection, and tells its will, before it takes this.
        name = hashlib.sha256(f"{socket.gethostname()}/{broker.prefix}".encode()).hexdigest()[:12]
        self._client = Client(CallbackAPIVersion.VERSION2, f"vljepa-{name}", reconnect_on_failure=False)
        self._client.username_pw_set(broker.user, broker.password)
        self._client.will_set(*will, qos=_QOS, retain=True)
        if broker.encrypted:
            self._client.tls_set_context(ssl.create_default_context())
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._answered, self._gone = threading.Event(), threading.Event()
        self._answer: ReasonCode | None = None
        self._client.on_message = self._on_message
        self._found: deque[str] = deque()
        self._sent = self._confirmed = 0
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self._open

    @property
    def unconfirmed(self) -> int:
        """Messages that were sent and that the broker has not said it has."""
        return self._sent - self._confirmed

    def open(self) -> None:
        """Connect, and send again what was not confirmed. Raises BrokerError."""
        self._answered.clear()
        self._answer = None
        try:
            self._client.connect(self._broker.host, self._broker.port, _KEEPALIVE)
        except (OSError, UnicodeError) as error:
            raise BrokerError(self._broker, _reason(error)) from error
        self._client.loop_start()
        answered = self._answered.wait(_ANSWER)
        answer: ReasonCode | None = self._answer
        if answer is None:
            self._client.disconnect()
            said = "the connection was closed; is it an MQTT broker?" if answered else f"no answer in {_ANSWER:g} s"
            raise BrokerError(self._broker, said)
        if answer.is_failure:
            raise BrokerError(self._broker, _refusal(answer))

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Send a message at least once; it returns at once."""
        self._sent += 1
        self._client.publish(topic, payload, _QOS, retain)

    def look_for(self, filters: Sequence[str]) -> None:
        """Ask the broker what it keeps: see take_found()."""
        self._client.subscribe([(name, _QOS) for name in filters])

    def take_found(self) -> list[str]:
        """Topics, of those that were looked for, that the broker kept when it was asked; each once."""
        found: list[str] = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def close(self) -> None:
        """Disconnect, so that the broker does not tell the last will."""
        self._gone.clear()
        if self._client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._gone.wait(_GOODBYE)

    def _on_connect(
        self, client: Client, data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._answer = reason
        self._open = not reason.is_failure
        self._answered.set()

    def _on_disconnect(
        self, client: Client, data: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._open = False
        self._answered.set()
        self._gone.set()
        self._wake()

    def _on_publish(
        self, client: Client, data: Any, number: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._confirmed += 1
        self._wake()

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        if message.retain:  # not what is told from now on
            self._found.append(message.topic)
            self._wake()


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no host of this name is known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate can't be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as it should: {error.reason}"
    return getattr(error, "strerror", None) or str(error)


def _refusal(answer: ReasonCode) -> str:
    if answer.getName() in ("Not authorized", "Bad user name or password"):
        return f"it refused the user name or the password ({answer})"
    return f"it refused the connection ({answer})"
