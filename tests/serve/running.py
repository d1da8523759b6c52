"""A real server of the tests, on a free port of this machine, and clients of a few lines."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.server import Server


class Told(NamedTuple):
    """A message of server-sent events."""

    kind: str
    number: int | None
    data: dict[str, Any]


class Running:
    """A hub that is served by a thread."""

    def __init__(self, hub: Hub, port: int = 0, token: str | None = None) -> None:
        self.hub = hub
        self.server = Server(hub, port=port, token=token)
        self.port: int = self.server.socket.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self.server.serve_forever, args=(self._ready.set,), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(15)
        assert not self._thread.is_alive()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON, or bytes, of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, sent, ({"content-type": "application/json"} if sent else {}) | given)
            answer = connection.getresponse()
            content = answer.read()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content

    @contextlib.contextmanager
    def listening(self, path: str = "/events", **headers: str) -> Iterator[Iterator[Told]]:
        """Server-sent events, read as the standard says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
            yield messages(answer)
            answer.close()


def messages(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[Told]:
    """Parse server-sent events: fields until an empty line; a line that begins with a colon says nothing."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\n")
        name, _, value = line.partition(":")
        if line and name:
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Told(fields.get("event", "message"), number, json.loads(fields["data"]))
            fields = {}
