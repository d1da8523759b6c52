"""A real broker that is killed and comes back: no event is lost, the last will is told, what is retained is right."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho")

from tests.media import write_video
from tests.serve.cameras import Switched, camera, timed, until
from tests.serve.mqtt.mosquitto import Mosquitto, Subscriber
from vljepa_edge.errors import BrokerError
from vljepa_edge.model import Model
from vljepa_edge.serve.describe import health
from vljepa_edge.serve.hub import Hub, Limits
from vljepa_edge.serve.mqtt import publisher as publishing
from vljepa_edge.serve.mqtt import updates
from vljepa_edge.serve.mqtt.publisher import Publisher
from vljepa_edge.streaming.options import StreamOptions

pytestmark = pytest.mark.alone

OPTIONS = StreamOptions(policy="uniform:period=0.5")  # many events
EVENTS, STATE, SERVER = "test/robot/door/events", "test/robot/door/state", "test/robot/status"
PASSWORD = "a-word-of-the-broker"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_FIRST_PAUSE", 0.2)
    monkeypatch.setattr(publishing, "_LONGEST_PAUSE", 0.4)
    monkeypatch.setattr(publishing, "_LOOK", 0.1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    made = Subscriber(broker)
    yield made
    made.close()


@pytest.fixture
def hub(model: Model) -> Iterator[Hub]:
    made = Hub(model, Limits(streams=3, events=2000), OPTIONS)
    yield made
    made.close()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "vljepa-mqtt"])


def publish(hub: Hub, address: str, **options: Any) -> Publisher:
    made = Publisher(hub, address, **options)
    made.start()
    return made


def published(hub: Hub) -> list[dict[str, Any]]:
    """Every event of the hub, from the feed that other clients read."""
    records, lost = hub.feed.after(0, 10**6)
    assert lost == 0
    return [json.loads(record.data) for record in records]


def heard(subscriber: Subscriber) -> list[dict[str, Any]]:
    """The messages of events, as they came."""
    return [json.loads(one) for one in subscriber.of(EVENTS)]


def fresh(broker: Mosquitto) -> dict[str, str]:
    """What the broker keeps for one who comes now; empty payloads are not kept."""
    late = Subscriber(broker, "late", clean=True)
    late.say("marker", "")
    until(lambda: late.of("marker"))  # what is kept comes before what is said later
    late.close()
    return late.kept()


def test_events_are_those_of_the_hub_and_the_server_says_when_it_comes_and_goes(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    publisher = publish(hub, broker.url())
    until(lambda: publisher.connected)
    hub.add(camera(), "door")
    until(lambda: len(subscriber.of(EVENTS)) > 9)
    hub.close()
    until(lambda: subscriber.of(SERVER) == ["online", "offline"])
    events, heard = published(hub), list(map(json.loads, subscriber.of(EVENTS)))
    assert [one["number"] for one in heard] == [event["id"] for event in events]
    assert [one["id"] for one in heard] == [event["begun"] for event in events]
    assert [one["type"] for one in heard] == ["new" if e["status"] == "open" else "end" for e in events]
    for one, event in zip(heard, events, strict=True):
        assert {key: one[key] for key in event if key not in ("id", "begun")} == {
            key: value for key, value in event.items() if key not in ("id", "begun")
        }
    kept = fresh(broker)
    assert kept[SERVER] == "offline" and kept["test/robot/door/availability"] == "offline"
    state = json.loads(kept[STATE])
    assert state["state"] == "stopped" and state["now"] == [] and state["text"]
    assert [topic for topic in kept if topic.startswith("homeassistant/sensor/vljepa-test_robot-")]


def test_a_broker_that_is_killed_and_comes_back_gets_every_event_and_the_newest_state(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    publisher = publish(hub, broker.url())
    waits: list[float] = []
    hub.add(timed(camera(), waits), "door", watch={"red": 0.01}, hold=0.0)
    until(lambda: len(subscriber.of(EVENTS)) > 5)
    for _ in range(2):
        broker.kill()
        until(lambda: not publisher.connected)
        enough = hub.feed.newest + 40  # more than may be on the way
        until(lambda enough=enough: hub.feed.newest > enough)
        assert health(hub, publisher)["status"] == "degraded" and health(hub, publisher)["mqtt"]["waiting"] > 20
        assert isinstance(publisher.error, BrokerError) and str(broker.port) in str(publisher.error)
        broker.start()
        until(lambda: publisher.connected)
        until(lambda: publisher.waiting < 5)
    assert publisher.error is None and publisher.lost == 0 and health(hub, publisher)["status"] == "ok"
    assert max(waits) < 3.0, "the camera was kept waiting"
    hub.remove("door")  # no more events
    told = [event["id"] for event in published(hub)]
    until(lambda: {one.get("number") for one in heard(subscriber)} >= set(told))
    numbers = [one["number"] for one in heard(subscriber) if one["type"] != "update"]
    assert list(dict.fromkeys(numbers)) == told, "in order; some of them twice"


def test_after_it_came_back_the_state_is_of_now(hub: Hub, broker: Mosquitto, subscriber: Subscriber) -> None:
    publisher = publish(hub, broker.url())
    switched = Switched()
    hub.add(switched.frames(), "door")
    until(lambda: subscriber.of(STATE) and json.loads(subscriber.of(STATE)[-1])["now"])
    broker.kill()
    (begun,) = hub.ledger.now("door")[0]
    hub.change("door", query="Which colour?")  # closes what is open
    switched.on.set()
    hub.change("door", policy="uniform:period=1000")
    until(lambda: hub.ledger.now("door")[0])
    broker.start()

    def is_of_now() -> bool:  # a loaded machine may stall the stream, which ends what goes on
        state = json.loads(fresh(broker).get(STATE, "{}"))
        told = [(one["id"], one["query"]) for one in state.get("now", [])]
        return told != [] and told == [(one["id"], "Which colour?") for one in hub.ledger.now("door")[0]]

    until(is_of_now)
    assert hub.ledger.now("door")[0] != [begun]
    assert publisher.lost == 0


def test_events_that_make_way_while_the_broker_is_away_are_counted(model: Model, broker: Mosquitto) -> None:
    hub = Hub(model, Limits(events=20))
    subscriber = Subscriber(broker)
    publisher = publish(hub, broker.url())
    until(lambda: publisher.connected)
    broker.kill()
    until(lambda: not publisher.connected)
    for _ in range(120):
        hub.feed.publish("door", lambda number: {"id": number, "begun": number, "status": "open", "text": "x"})
    assert publisher.lost == 100 and publisher.waiting >= 20
    broker.start()
    until(lambda: len(subscriber.of(EVENTS)) >= 20)
    assert publisher.lost == 100
    numbers = [json.loads(one)["number"] for one in subscriber.of(EVENTS)]
    assert numbers == list(range(hub.feed.newest - 19, hub.feed.newest + 1))
    hub.close()
    subscriber.close()


def test_a_label_that_becomes_surer_is_updated_between_its_beginning_and_its_end(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "_RISE", 1e-4)  # the toy model is as sure at once as it ever is, but for noise
    publish(hub, broker.url())
    hub.add(camera(), "door", query=[], watch={"red": 0.001, "green": 0.001}, hold=0.0)
    until(lambda: any(one["type"] == "update" for one in heard(subscriber)), 30)
    hub.change("door", watch=[])
    until(lambda: sum(one["type"] == "end" for one in heard(subscriber)) == hub.ledger.counts()[("door", "appeared")])
    all_of_them: dict[int, list[dict[str, Any]]] = {}
    for one in heard(subscriber):
        all_of_them.setdefault(one["id"], []).append(one)
    for mine in all_of_them.values():
        assert [one["type"] for one in mine] == ["new", *["update"] * (len(mine) - 2), "end"]
        sure = [one["confidence"] for one in mine]
        assert all(after > before for before, after in pairwise(sure[:-1])) and sure[-1] >= sure[-2]
        assert len({one["text"] for one in mine}) == 1


def test_streams_and_labels_come_and_go_and_so_do_their_sensors(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    publisher = publish(hub, broker.url(), discovery="ha")
    hub.add(Switched().frames(), "door", watch=["cup", "a person"])
    hub.add(Switched().frames(), "hall")
    mine = re.compile(r"ha/(binary_sensor|sensor)/[^/]+/(door|hall)-([^/]+)/config")

    def sensors(kept: dict[str, str]) -> list[tuple[str, str]]:
        found = [match for topic in kept if (match := mine.fullmatch(topic)) is not None]
        return sorted((match[2], match[3].partition("_")[0]) for match in found)

    all_of_them = [("door", "label-a"), ("door", "label-cup"), ("door", "text"), ("hall", "text")]
    until(lambda: sensors(fresh(broker)) == all_of_them)
    until(lambda: fresh(broker)["test/robot/door/availability"] == "online")
    assert fresh(broker)["test/robot/door/labels/cup"] == "OFF"
    hub.change("door", watch=["cup"])
    hub.remove("hall")
    until(lambda: sensors(fresh(broker)) == [("door", "label-cup"), ("door", "text")])
    until(lambda: not [topic for topic in fresh(broker) if "/hall" in topic or "a_person" in topic])
    publisher.close()
    assert fresh(broker)[SERVER] == "offline"
    assert sensors(fresh(broker)) == [("door", "label-cup"), ("door", "text")], "they are there again with the server"


def test_what_a_server_that_was_killed_left_is_taken_back_where_its_stream_is_no_more(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    left = Hub(hub.model, options=OPTIONS)
    for name in ("door", "hall"):
        left.add(Switched().frames(), name, watch=["cup"])
    first = publish(left, broker.url())
    until(lambda: {topic.split("/")[2] for topic in fresh(broker) if topic.endswith("/labels/cup")} == {"door", "hall"})
    stale = fresh(broker)
    first.close()  # it takes nothing back
    left.close()
    assert fresh(broker).keys() == stale.keys()
    hub.add(Switched().frames(), "hall")
    publish(hub, broker.url())
    until(lambda: not [topic for topic in fresh(broker) if "door" in topic or "cup" in topic])
    assert [topic for topic in fresh(broker) if topic.endswith("/hall-text/config")]
    assert "" not in subscriber.of(next(topic for topic in stale if topic.endswith("/hall-text/config")))


def test_a_wrong_password_is_said_and_a_right_one_gets_in(hub: Hub, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, PASSWORD)
    broker.start()
    told: list[BrokerError | None] = []
    wrong = publish(hub, broker.url("me:not-the-word@"), told=told.append)
    until(lambda: told)
    assert f"mqtt://127.0.0.1:{broker.port}: it refused the user name or the password" in str(wrong.error)
    assert "not-the-word" not in str(wrong.error) and not wrong.connected
    wrong.close()
    right = publish(hub, broker.url(f"me:{PASSWORD}@"))
    until(lambda: right.connected)
    right.close()
    assert len(told) == 1, "what stays the same is told once"
    broker.kill()


def test_a_broker_that_is_not_there_is_said_and_no_camera_waits_for_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = publish(hub, f"mqtt://127.0.0.1:{port}")
    hub.add(camera(), "door")
    until(lambda: gone.error is not None and hub.channel("door").stream.stats().hops > 10)
    assert str(gone.error) == f"mqtt://127.0.0.1:{port}: Connection refused"
    gone.close()
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    nowhere = publish(hub, "mqtt://no-such-host.invalid/x")
    until(lambda: nowhere.error is not None)
    assert str(nowhere.error) == "mqtt://no-such-host.invalid:1883: no host of this name is known"
    nowhere.close()


def test_publishing_goes_on_where_nobody_can_be_told_any_more(hub: Hub, broker: Mosquitto) -> None:
    told: list[BrokerError | None] = []

    def tell(error: BrokerError | None) -> None:
        told.append(error)
        raise OSError(errno.EIO, "the terminal is gone")

    broker.kill()
    publisher = publish(hub, broker.url(), told=tell)
    until(lambda: told and publisher.error is not None)
    broker.start()
    until(lambda: publisher.connected and told[-1] is None)
    publisher.close()


def test_a_fault_is_said_and_publishing_goes_on(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, faults = Publisher._look, [KeyError("a fault of ours")]

    def look(self: Publisher) -> object:
        if faults:
            raise faults.pop()
        return right(self)

    monkeypatch.setattr(Publisher, "_look", look)
    told: list[BrokerError | None] = []
    publisher = publish(hub, broker.url(), told=told.append)
    hub.add(camera(), "door")
    until(lambda: len(told) == 3 and publisher.connected)
    assert told[0] is None and "publishing failed (KeyError" in str(told[1]) and told[2] is None
    until(lambda: hub.feed.newest >= hub.feed.first and publisher.waiting == 0)
    publisher.close()


def test_what_is_no_broker_is_said(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = publish(hub, f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        until(lambda: found.error is not None)
        assert "is it an MQTT broker?" in str(found.error)
        found.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here to make a certificate")
def test_over_tls_a_broker_must_be_the_one_that_it_says(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    about = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *about, "-keyout", key, "-out", certificate]
    subprocess.run(made, check=True, capture_output=True)
    broker = Mosquitto(tmp_path, more=f"certfile {certificate}\nkeyfile {key}")
    broker.start()
    address = broker.url().replace("mqtt:", "mqtts:")
    stranger = publish(hub, address)
    until(lambda: stranger.error is not None)
    assert "its certificate can't be trusted: self-signed certificate" in str(stranger.error)
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusted = publish(hub, address)
    until(lambda: trusted.connected)
    trusted.close()
    plain = publish(hub, broker.url())
    until(lambda: plain.error is not None)
    assert not plain.connected
    plain.close()
    broker.kill()


def test_a_server_that_is_killed_leaves_its_last_will_and_tells_no_password(toy: Path, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, PASSWORD)
    broker.start()
    subscriber = Subscriber(broker, user="me", password=PASSWORD)
    clip = write_video(tmp_path / "clip.mp4", 600)
    words = ["serve", f"door={clip}", "--model", str(toy), "--port", "0", "--mqtt", broker.url("me@")]
    process = subprocess.Popen(
        [sys.executable, "-m", "vljepa_edge", *words], env=os.environ | {"VLJEPA_MQTT_PASSWORD": PASSWORD},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: subscriber.of(EVENTS), 60)
        process.kill()
        until(lambda: subscriber.of(SERVER) == ["online", "offline"])
        out, err = process.communicate(timeout=20)
        assert f"mqtt://127.0.0.1:{broker.port}: connected" in err and PASSWORD not in out + err
    finally:
        process.kill()
        subscriber.close()
        broker.kill()
