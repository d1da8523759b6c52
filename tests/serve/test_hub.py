"""The hub: streams come, go and change while others run; each event has a number, and a picture of what it is about."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.media import write_video
from tests.serve.cameras import COLOURS, camera, until
from tests.streaming.scenes import RED, picture
from tests.video.rtsp_server import RtspServer
from tests.video.web_server import WebServer
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.model import Model
from vljepa_edge.serve import channel as channels
from vljepa_edge.serve.channel import ENDING, Channel
from vljepa_edge.serve.describe import describe, health
from vljepa_edge.serve.feed import Client
from vljepa_edge.serve.hub import Hub, Limits, name_after
from vljepa_edge.serve.refusal import Refusal
from vljepa_edge.streaming.options import StreamOptions
from vljepa_edge.video.frame import SourceStats

pytestmark = pytest.mark.alone

QUERY = "What is happening?"


@pytest.fixture
def hub(model: Model) -> Iterator[Hub]:
    made = Hub(model, Limits(streams=3), StreamOptions(policy="running-ward:threshold=0.05"))
    yield made
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("vljepa-serve", "vljepa-stream"))]


class Ear:
    """A client that keeps what it was told."""

    def __init__(self, hub: Hub, **asked: Any) -> None:
        asks: dict[str, Any] = {"since": None, "stream": None, "hops": False} | asked
        self._client: Client = hub.feed.join(lambda: None, **asks)
        self.ended: str | None = None
        self.records: list[tuple[str, dict[str, Any]]] = []

    def events(self, *statuses: str, stream: str | None = None) -> list[dict[str, Any]]:
        batch = self._client.take()
        self.ended = batch.end or self.ended
        self.records += [(record.kind, json.loads(record.data)) for record in batch.records]
        told = [data for kind, data in self.records if kind == "event"]
        return [e for e in told if (not statuses or e["status"] in statuses) and stream in (None, e["stream"])]

    def hops(self) -> list[dict[str, Any]]:
        self.events()
        return [data for kind, data in self.records if kind == "hop"]


def colour_of(picture: bytes | None) -> tuple[int, int, int]:
    """Which of the cameras' colours a picture is of."""
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        mean = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda colour: float(np.abs(mean - colour).sum()))


def test_events_are_those_of_the_stream_with_a_number_a_name_and_a_picture_of_their_segment(hub: Hub) -> None:
    ear = Ear(hub)
    hub.add(camera(10.0, speed=4.0), "door")
    until(lambda: hub.channel("door").state == "ended")
    events = ear.events()
    assert [event["id"] for event in events] == sorted({event["id"] for event in events})
    opened = {event["segment"]: event for event in events if event["status"] == "open"}
    closed = {event["segment"]: event for event in events if event["status"] == "closed"}
    assert len(opened) >= 4 and opened.keys() == closed.keys()
    for number, event in opened.items():
        assert event["stream"] == "door" and event["query"] == QUERY and abs(event["at"] - time.time()) < 60
        assert event["begun"] == event["id"] == closed[number]["begun"]
        assert closed[number]["start"] == event["start"]
        seen = COLOURS[int(event["decided_at"] / 2) % 4]
        assert event["picture"] == f"/events/{event['id']}.jpg"
        assert colour_of(hub.pictures.get(event["id"])) == seen
        assert hub.pictures.get(closed[number]["id"]) == hub.pictures.get(event["id"])
    stats = hub.channel("door").stream.stats()
    assert stats.events == len(events) == sum(hub.ledger.counts().values()) and stats.errors == 0


def test_the_change_of_each_hop_is_told_to_who_asks(hub: Hub) -> None:
    ear = Ear(hub, hops=True)
    hub.add(camera(6.0), "door")
    until(lambda: hub.channel("door").state == "ended")
    hops = ear.hops()
    assert len(hops) == hub.channel("door").stream.stats().hops
    assert [hop["time"] for hop in hops] == sorted(hop["time"] for hop in hops)
    assert max(hop["change"] for hop in hops) > 0.05  # at a new colour
    assert {(hop["stream"], hop["query"]) for hop in hops} == {("door", QUERY)}


def test_streams_come_and_go_while_others_run(hub: Hub) -> None:
    ear = Ear(hub)
    for name in ("a", "b", "c"):
        hub.add(camera(), name)
    with pytest.raises(Refusal, match="there are 3 streams already"):
        hub.add(camera(), "d")
    with pytest.raises(Refusal, match="a stream 'a' is there already"):
        hub.add(camera(), "a")
    until(lambda: all(ear.events("open", stream=name) for name in "abc"))
    hub.remove("b")
    assert ear.events("closed", stream="b"), "what was open closes"
    with pytest.raises(Refusal, match="no stream 'b'; there are: a, c"):
        hub.remove("b")
    assert {name for name, _ in hub.ledger.counts()} == {"a", "c"}
    count = len(ear.events(stream="a"))
    until(lambda: len(ear.events(stream="a")) > count)
    hub.add(camera(), "b")
    until(lambda: len(ear.events("open", stream="b")) > 1)
    hub.close()
    ear.events()
    assert ear.ended == "closed"
    assert {event["stream"] for event in ear.events("closed")} == {"a", "b", "c"}


def test_sources_that_hang_are_waited_for_together(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    release, hung = threading.Event(), threading.Semaphore(0)

    def hang(channel: Channel) -> None:
        hung.release()
        release.wait()
        raise VideoError(channel.name, "gone")

    monkeypatch.setattr(Channel, "_open", hang)
    for name in "abc":
        hub.add("rtsp://127.0.0.1:9/", name)
        assert hung.acquire(timeout=30)
    begun = time.monotonic()
    hub.close()
    took = time.monotonic() - begun
    release.set()
    assert ENDING - 0.1 < took < 2 * ENDING
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("vljepa-serve")])


def test_what_is_asked_watched_for_and_cut_by_changes_while_frames_come(hub: Hub) -> None:
    ear = Ear(hub)
    channel = hub.add(camera(), "door")
    until(lambda: ear.events("open"))
    hub.change("door", query=["Which colour?", "What moves?"], watch={"red": 0.01, "green": 0.01}, hold=0.0)
    hub.change("door", policy="uniform:period=0.5")
    until(lambda: len(ear.events("appeared")) > 1 and len(ear.events("open")) > 8)
    assert {event["query"] for event in ear.events("open")[-4:]} == {"Which colour?", "What moves?"}
    assert {event["text"] for event in ear.events("appeared")} <= {"red", "green"}
    told = describe(channel, hub.shelf)
    assert told["query"] == ["Which colour?", "What moves?"] and told["watch"] == ["red", "green"]
    assert told["policy"] == "uniform:period=0.5" and told["threshold"] == 1.0
    hub.change("door", watch=[])
    assert channel.stream.watched == ()
    gone = ear.events("gone")
    begun = {event["id"]: event["text"] for event in ear.events("appeared")}
    assert gone and all(begun[event["begun"]] == event["text"] for event in gone)


def test_a_change_that_can_not_be_made_changes_nothing(hub: Hub) -> None:
    channel = hub.add(camera(), "door")
    before = (channel.stream.queries, channel.stream.watched, channel.stream.policy)
    for wrong in ({"policy": "nosuch"}, {"watch": ["a", "a"]}, {"query": ["x", "x"]}):
        with pytest.raises(InputError):
            hub.change("door", **{"query": "new", "watch": ["cup"], "policy": "uniform:period=2"} | wrong)  # type: ignore[arg-type]
        assert (channel.stream.queries, channel.stream.watched, channel.stream.policy) == before


def test_a_file_plays_in_its_time_and_ends(hub: Hub, tmp_path: Path) -> None:
    file = write_video(tmp_path / "a film.mp4", 15, fps=10)
    begun = time.monotonic()
    channel = hub.add(str(file))
    assert channel.name == "a-film"
    until(lambda: channel.state == "ended")
    assert time.monotonic() - begun > 1.2
    assert channel.error is None and health(hub) == {"status": "ok", "streams": {"ended": 1}}
    assert hub.ledger.counts()[("a-film", "open")] == hub.ledger.counts()[("a-film", "closed")] >= 1


def test_a_recording_that_a_web_server_has_plays_once(hub: Hub, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 10, fps=10)
    web = WebServer(tmp_path)
    channel = hub.add(web.url("a.mp4"), "web")
    until(lambda: channel.state in ("ended", "waiting"))
    web.close()
    assert channel.state == "ended" and channel.error is None and channel.reopened == 0 and channel.tap.number > 5


def test_a_file_that_is_not_there_is_refused_and_leaves_nothing(hub: Hub, tmp_path: Path) -> None:
    for source in (str(tmp_path / "nosuch.mp4"), "gopher://x/y", "camera:x"):
        with pytest.raises(VideoError):
            hub.add(source)
    with pytest.raises(InputError, match="a stream's name must be at most 32 letters"):
        hub.add(camera(1.0), "two words")
    assert hub.channels == ()


def test_nobody_who_looks_waits_for_a_stream_that_is_being_added(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> object:
        opening.set()
        go.wait(10)
        raise VideoError("slow", "not there")

    hub.add(camera(), "door")
    monkeypatch.setattr(channels, "open_source", slow)

    def add() -> None:
        with pytest.raises(VideoError, match="not there"):
            hub.add(camera(), "slow")

    adding = threading.Thread(target=add)
    adding.start()
    assert opening.wait(10)
    begun = time.monotonic()
    assert [channel.name for channel in hub.channels] == ["door"] and health(hub)["status"] == "ok"
    assert time.monotonic() - begun < 1
    go.set()
    adding.join()


def test_a_source_that_fails_says_why(hub: Hub) -> None:
    def frames() -> Iterator[Any]:
        yield from camera(1.0)
        yield "no frame", 2.0

    channel = hub.add(frames(), "door")
    until(lambda: channel.state == "failed")
    assert channel.error is not None and health(hub)["status"] == "degraded"


def test_an_iterable_that_raises_what_nobody_foresaw_fails_as_others_do(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    def frames() -> Iterator[Any]:
        yield from camera(1.0)
        raise ZeroDivisionError("a fault of the driver")

    ear = Ear(hub)
    channel = hub.add(frames(), "door")
    until(lambda: channel.state == "failed")
    assert channel.error == "ZeroDivisionError: a fault of the driver" and "stream door failed" in caplog.text
    assert len(ear.events("open")) == len(ear.events("closed")) > 0


@pytest.fixture
def rtsp(tmp_path: Path) -> Iterator[RtspServer]:
    pytest.importorskip("aio_rtsp_toolkit")
    write_video(tmp_path / "v.mp4", 100, fps=20, options={"g": "5", "tune": "zerolatency"})
    server = RtspServer(tmp_path)
    yield server
    server.kill()


def test_a_camera_that_is_not_there_dies_and_comes_back_is_reported_and_opened_again(
    hub: Hub, rtsp: RtspServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_RETRY_FOR", 0.5)
    monkeypatch.setattr(channels, "_FIRST_PAUSE", 0.2)
    ear = Ear(hub)
    channel = hub.add(rtsp.url("v.mp4"), "door")
    until(lambda: channel.state == "waiting")
    assert channel.error is not None and health(hub) == {"status": "degraded", "streams": {"waiting": 1}}
    rtsp.start()
    until(lambda: channel.state == "running" and channel.stream.stats().hops > 2)
    assert channel.error is None and health(hub)["status"] == "ok"
    rtsp.kill()
    until(lambda: channel.state == "waiting")
    lost_at = channel.time
    assert lost_at is not None and "door" not in str(channel.error)
    assert len(ear.events("open")) == len(ear.events("closed"))  # nothing stays open while nothing is seen
    rtsp.start()
    until(lambda: channel.state == "running" and (channel.time or 0) > lost_at + 0.3)
    stats = channel.stream.stats()
    assert stats.restarts == 0 and stats.backwards == 0, "time went on"
    assert channel.reopened >= 2


class Lossy:
    """A camera that is lost after each frame."""

    stats = SourceStats()
    ends = hangs = False

    def __enter__(self) -> Lossy:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self, *, wait: bool = True) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        yield picture(RED, 0), 0.0
        raise VideoError("camera:9", "lost")


def test_a_camera_that_gave_frames_is_opened_again_soon_however_often_it_was_lost(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(channels, "open_source", lambda *_, **__: Lossy())
    channel = hub.add("camera:9", "desk")
    until(lambda: channel.reopened >= 12, 5.0)  # pauses that double would take 41 s
    assert channel.error == "camera:9: lost"


class Whole(Lossy):
    """A camera that is well."""

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        yield from camera()


class Hanging(Lossy):
    """A camera whose read did not return: it was given up."""

    hangs = True

    def __iter__(self) -> Iterator[tuple[Any, float]]:
        raise VideoError("camera:9", "no frame came for 9 s, and the read does not return")


def test_a_driver_that_hangs_is_not_opened_again_and_again_until_a_read_returns(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_LOOK"):
        monkeypatch.setattr(channels, pause, 0.01)
    opened: list[Hanging] = []

    def open_source(*_: object, **__: object) -> Hanging:
        opened.append(Hanging())
        return opened[-1]

    monkeypatch.setattr(channels, "open_source", open_source)
    channel = hub.add("camera:9", "desk")
    until(lambda: channel.state == "hanging")
    time.sleep(0.1)
    assert len(opened) == channels._MOST_HANGING and channel.state == "hanging"
    assert "does not return" in str(channel.error)
    assert health(hub) == {"status": "degraded", "streams": {"hanging": 1}}
    opened[1].hangs = False
    until(lambda: len(opened) == 4)
    time.sleep(0.1)
    assert len(opened) == 4
    for each in opened:
        each.hangs = False
    monkeypatch.setattr(channels, "open_source", lambda *_, **__: Whole())
    until(lambda: channel.state == "running")


def test_names_are_made_of_sources() -> None:
    assert name_after("/videos/my clip (1).mp4") == "my-clip-1"
    assert name_after("rtsp://user:secret@cam.example/stream?x=1") == "cam-example"
    assert name_after("camera:0") == "camera-0" and name_after("/dev/video3") == "video3"
    assert name_after("rtsp://[::1/x") == "stream" and name_after("§.mp4") == "stream"
    assert len(name_after("a" * 99 + ".mp4")) == 32
