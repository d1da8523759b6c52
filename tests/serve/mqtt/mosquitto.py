"""A real broker, mosquitto, that tests start, kill and start again; and a client that is not ours."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.serve.cameras import until

_WHERE = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"  # Debian puts servers there
PROGRAM = shutil.which("mosquitto", path=_WHERE)
PASSWORDS = shutil.which("mosquitto_passwd", path=_WHERE)


class Mosquitto:
    """A broker on a free port of this machine. What it keeps and owes to subscribers outlives kill -9: it writes every
    change to its disk. Where there is no mosquitto the test that asks for one is skipped."""

    def __init__(self, folder: Path, password: str | None = None, more: str = "") -> None:
        if PROGRAM is None:
            pytest.skip("there is no mosquitto here; apt-get install mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        lines = [
            f"listener {self.port} 127.0.0.1", "user root", "persistence true", f"persistence_location {folder}/",
            "autosave_on_changes true", "autosave_interval 1", "allow_anonymous " + str(password is None).lower(),
        ]  # fmt: skip
        if password is not None:
            assert PASSWORDS is not None
            subprocess.run([PASSWORDS, "-b", "-c", folder / "passwords", "me", password], check=True)
            lines.append(f"password_file {folder / 'passwords'}")
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([*lines, more, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "", prefix: str = "test/robot") -> str:
        return f"mqtt://{user}127.0.0.1:{self.port}/{prefix}"

    def start(self) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen([PROGRAM, "-c", self._config], stderr=subprocess.DEVNULL)
        until(self._is_there)

    def kill(self) -> None:
        """As a power cut does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def _is_there(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0


class Message(NamedTuple):
    topic: str
    payload: str
    retained: bool


class Subscriber:
    """Hears everything. It comes back by itself; unless it is `clean`, the broker keeps for it what comes meanwhile."""

    def __init__(
        self,
        broker: Mosquitto,
        name: str = "oracle",
        user: str | None = None,
        password: str | None = None,
        clean: bool = False,
    ) -> None:
        self.heard: list[Message] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, name, clean_session=clean)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def of(self, topic: str) -> list[str]:
        """Payloads of a topic, as they came."""
        return [message.payload for message in list(self.heard) if message.topic == topic]

    def kept(self) -> dict[str, str]:
        """What the broker had kept when this subscribed."""
        return {message.topic: message.payload for message in list(self.heard) if message.retained}

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.heard.append(Message(message.topic, message.payload.decode(), message.retain))
