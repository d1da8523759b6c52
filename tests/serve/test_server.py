"""A real server and real connections: events in order, clients that are slow or come back, an end that is told."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import socket
import time
from collections.abc import Iterator

import pytest
from PIL import Image

pytest.importorskip("starlette")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.serve.cameras import Switched, camera, timed, until
from tests.serve.running import Running, Told
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.serve import bodies, sending, server
from vljepa_edge.serve.hub import Hub, Limits
from vljepa_edge.serve.server import Server
from vljepa_edge.streaming.options import StreamOptions

pytestmark = pytest.mark.alone

TOKEN = "a-token-that-nobody-guesses"
OPTIONS = StreamOptions(policy="uniform:period=0.5")  # many events
LIMITS = Limits(streams=4, clients=4, events=50)


@pytest.fixture
def running(model: Model) -> Iterator[Running]:
    served = Running(Hub(model, LIMITS, OPTIONS))
    yield served
    served.stop()


def take(told: Iterator[Told], count: int, kind: str = "event") -> list[Told]:
    return list(itertools.islice((message for message in told if message.kind == kind), count))


def test_events_come_in_order_as_they_happen(running: Running) -> None:
    with running.listening() as told:
        running.hub.add(camera(), "door")
        events = take(told, 12)
        late = [time.time() - event.data["at"] for event in take(told, 4)]
    numbers = [event.number for event in events]
    assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + 12))
    assert [event.data["id"] for event in events] == numbers
    assert [event.data["status"] for event in events] == ["open", *["closed", "open"] * 6][:12]
    assert max(late) < 1.0


@pytest.mark.parametrize("how", ["query", "header"])
def test_who_comes_back_gets_what_it_missed_and_nothing_twice(running: Running, how: str) -> None:
    running.hub.add(camera(), "door")
    with running.listening() as told:
        seen = take(told, 3)
    last = seen[-1].number or 0
    until(lambda: sum(running.hub.ledger.counts().values()) > 10)
    asked = {"path": f"/events?since={last}"} if how == "query" else {"last_event_id": str(last)}
    with running.listening(**asked) as told:
        missed = take(told, 10)
    assert [event.number for event in missed] == list(range(last + 1, last + 11))


def test_a_browser_that_connects_again_says_more_than_its_first_address(running: Running) -> None:
    running.hub.add(camera(), "door")
    with running.listening() as told:
        last = take(told, 5)[-1].number or 0
    with running.listening(f"/events?since={last - 4}", last_event_id=str(last)) as told:
        assert take(told, 1)[0].number == last + 1


def test_what_is_not_kept_any_more_is_told(running: Running) -> None:
    for _ in range(LIMITS.events + 20):
        running.hub.feed.publish("door", lambda number: {"id": number})
    with running.listening("/events?since=0") as told:
        lost = next(told)
        first = take(told, 1)[0]
    assert lost.kind == "lost" and lost.data == {"events": 20}
    with running.listening(f"/events?since={(first.number or 0) + 1}") as told:
        assert next(told).kind == "event"


def test_hops_come_to_who_asks(running: Running) -> None:
    running.hub.add(camera(), "door")
    with running.listening("/events?hops=1&stream=door") as told:
        hops = take(told, 8, "hop")
    times = [hop.data["time"] for hop in hops]
    assert times == sorted(times) and all(hop.number is None for hop in hops)


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize("asks", ["", UPGRADE], ids=["events", "socket"])
def test_a_client_that_does_not_read_is_cut_off_and_the_camera_never_waits(
    running: Running, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.5)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", running.port))
    slow.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{asks}\r\n".encode())
    until(lambda: running.hub.feed.clients == 1)
    waits: list[float] = []
    channel = running.hub.add(timed(camera(speed=1.0), waits), "door")
    for index in range(20_000):
        running.hub.feed.publish("flood", lambda number: {"id": number, "text": "x" * 1000})
        if running.hub.feed.clients == 0:
            break
        if index % 50 == 0:
            time.sleep(0.001)
    assert running.hub.feed.clients == 0
    until(lambda: not running.server.server_state.connections)  # the connection is gone, not only forgotten
    slow.close()
    hops = channel.stream.stats().hops
    until(lambda: channel.stream.stats().hops > hops + 4)
    assert max(waits) < 0.5, "the camera was kept waiting"
    with running.listening() as told:
        assert take(told, 2)


def test_a_live_picture_shows_new_frames_and_one_who_does_not_read_is_cut_off(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.5)
    running.hub.add(camera(), "door")
    with socket.create_connection(("127.0.0.1", running.port)) as viewer, viewer.makefile("rb") as read:
        viewer.sendall(b"GET /video.mjpg?rate=30 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b"200" in read.readline()
        pictures = []
        while len(pictures) < 4:
            line = read.readline()
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
                assert read.readline() == b"\r\n"
                pictures.append(read.read(size))
                assert read.readline() == b"\r\n" and read.readline() == b"--frame\r\n"
    assert len(set(pictures)) == 4
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as image:
            assert image.size == (32, 32)
    until(lambda: not running.server.server_state.connections)


def test_a_socket_tells_the_same(running: Running) -> None:
    url = f"ws://127.0.0.1:{running.port}/events"
    running.hub.add(camera(), "door")
    with running.listening() as told, connect(f"{url}?hops=1", max_queue=None) as live:
        seen = take(told, 4)
        heard = [json.loads(live.recv(10)) for _ in range(30)]
    with connect(f"{url}?since={(seen[0].number or 0) - 1}", max_queue=None) as again:
        events = [json.loads(again.recv(10)) for _ in range(4)]
    assert [event["data"] for event in events] == [event.data for event in seen]
    assert {event["type"] for event in events} == {"event"} and {one["type"] for one in heard} == {"event", "hop"}
    with pytest.raises(InvalidStatus) as refused, connect(f"{url}?since=x"):
        pass
    assert refused.value.response.status_code == 400
    assert b"InputError" in refused.value.response.body
    with pytest.raises(InvalidStatus) as refused, connect(url, origin="http://evil.example"):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


def test_one_client_too_many_is_told_so(running: Running) -> None:
    with running.listening(), running.listening(), running.listening(), running.listening():
        status, said = running.ask("GET", "/events")
        assert status == 503 and said["error"]["type"] == "TooMany"
    until(lambda: running.hub.feed.clients == 0)
    with running.listening():
        assert running.hub.feed.clients == 1


def test_connections_that_ask_nothing_or_half_of_something_keep_nobody_out(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_HEAD", 0.5)
    monkeypatch.setattr(bodies, "PATIENCE", 0.5)
    running.hub.add(camera(), "door")
    head = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    body, health = head % (b"PATCH /streams/door", 9) + b"{", head % (b"GET /health", 0)
    with contextlib.ExitStack() as held, connect(f"ws://127.0.0.1:{running.port}/events") as lasting:
        for sent in (b"", b"GET / HT", body, health + b"GET /he") * 4:
            half = held.enter_context(socket.create_connection(("127.0.0.1", running.port)))
            half.sendall(sent)
        until(lambda: running.ask("GET", "/health")[0] == 503)  # 4 for each of 4 clients, and one that asks
        until(lambda: running.ask("GET", "/health")[0] == 200)
        until(lambda: len(running.server.server_state.connections) == 1)  # that which lasts
        before = json.loads(lasting.recv(10))["data"]["id"]
        time.sleep(0.6)
        assert json.loads(lasting.recv(10))["data"]["id"] > before  # what has been asked for goes on
    with running.listening() as told:
        first = take(told, 1)[0].number or 0
        time.sleep(0.6)
        assert (take(told, 3)[-1].number or 0) > first


def test_after_a_restart_a_client_goes_on_where_it_was(model: Model) -> None:
    first = Running(Hub(model, LIMITS, OPTIONS))
    first.hub.add(camera(), "door")
    url = f"ws://127.0.0.1:{first.port}/events"
    with connect(url, max_queue=None) as live, first.listening() as told:
        seen = take(told, 4)
        first.stop()
        rest = list(told)
        assert rest[-1].kind == "closed"
        seen += rest[:-1]
        assert seen[-1].data["status"] == "closed", "the open segment closes before the server says that it stops"
        with pytest.raises(ConnectionClosed):
            while True:
                live.recv(10)
    second = Running(Hub(model, LIMITS, OPTIONS), port=first.port)
    try:
        second.hub.add(camera(), "door")
        with second.listening(last_event_id=str(seen[-1].number)) as told:
            (event,) = take(told, 1)
        assert event.data["status"] == "open" and event.data["segment"] == 0
        assert (event.number or 0) > (seen[-1].number or 0)
    finally:
        second.stop()


def test_a_stream_can_be_added_changed_and_removed_while_clients_listen(running: Running) -> None:
    switched = Switched()
    with running.listening() as told:
        events = (message.data for message in told if message.kind == "event")
        running.hub.add(switched.frames(), "door")
        assert next(events)["status"] == "open"
        status, changed = running.ask("PATCH", "/streams/door", {"query": "Which colour?"})
        assert status == 200 and changed["query"] == ["Which colour?"]
        assert next(events)["status"] == "closed"
        switched.on.set()
        opened = next(event for event in events if event["status"] == "open")
        assert opened["query"] == "Which colour?"
        assert running.ask("DELETE", "/streams/door")[0] == 204
    assert running.ask("GET", "/streams") == (200, {"streams": []})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_an_address_that_others_reach_needs_a_token(model: Model, host: str) -> None:
    hub = Hub(model)
    with pytest.raises(InputError, match="must have a token"):
        Server(hub, host, 0)
    with pytest.raises(InputError, match="at least 16 letters"):
        Server(hub, host, 0, token="short")
    hub.close()


def test_an_address_that_is_taken_is_an_error(running: Running) -> None:
    with pytest.raises(InputError, match=f"can't serve on 127.0.0.1 port {running.port}: "):
        Server(running.hub, "127.0.0.1", running.port)
