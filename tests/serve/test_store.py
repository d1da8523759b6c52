"""A server that keeps its events: what clients were told is what is stored, and a full disk stops no stream."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.media import write_video
from tests.serve.cameras import camera, until
from tests.serve.running import Running
from vljepa_edge.model import Model
from vljepa_edge.serve import feed
from vljepa_edge.serve.app import build_app
from vljepa_edge.serve.hub import Hub, Limits
from vljepa_edge.store import store as module
from vljepa_edge.store.reader import StoreReader
from vljepa_edge.store.store import EventStore
from vljepa_edge.streaming.options import StreamOptions

pytestmark = pytest.mark.alone

OPTIONS = StreamOptions(policy="running-ward:threshold=0.05")


@pytest.fixture
def hub(model: Model, tmp_path: Path) -> Iterator[Hub]:
    made = Hub(model, Limits(pictures=2), OPTIONS, EventStore(tmp_path / "store", model))
    yield made
    made.close()


def told(hub: Hub) -> list[dict[str, object]]:
    """All events that the feed has kept."""
    client = hub.feed.join(lambda: None, since=0, stream=None, hops=False)
    hub.feed.leave(client)
    return [json.loads(record.data) for record in client.take().records]


def test_what_is_stored_is_what_clients_were_told_and_old_pictures_come_from_the_store(hub: Hub) -> None:
    assert hub.store is not None
    reader = hub.store.reader
    hub.add(camera(10.0, speed=4.0), "door")
    until(lambda: hub.channel("door").state == "ended")
    hub.add(camera(3.0, speed=4.0), "yard")
    until(lambda: hub.channel("yard").state == "ended")
    events = told(hub)
    until(lambda: len(reader.events()) == len(events))
    assert len(events) > 6
    assert [e | {"picture": None} for e in reader.events()] == [e | {"picture": None} for e in events]
    client = TestClient(build_app(hub), "http://127.0.0.1:8000")
    first, last = events[0], events[-1]
    assert hub.pictures.get(int(str(first["id"]))) is None  # it made way for newer ones
    answer = client.get(f"/events/{first['id']}.jpg")
    assert answer.status_code == 200 and answer.content[:2] == b"\xff\xd8"
    ended = next(e for e in events if e["begun"] == first["id"] and e is not first)
    assert client.get(f"/events/{ended['id']}.jpg").content == answer.content
    assert client.get(f"/events/{10**18}.jpg").status_code == client.get(f"/events/{10**30}.jpg").status_code == 404
    hub.close()
    assert hub.store.reader.events()[-1]["id"] == last["id"]


def test_events_reach_clients_while_the_disk_is_full_and_health_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.02)
    store = hub.store
    assert store is not None
    client = TestClient(build_app(hub), "http://127.0.0.1:8000")
    assert client.get("/health").json() == {"status": "ok", "streams": {}, "store": "ok"}
    full, write = True, module.write

    def refuse(*given: Any) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        write(*given)

    monkeypatch.setattr(module, "write", refuse)
    hub.add(camera(8.0, speed=8.0), "door")
    until(lambda: hub.channel("door").state == "ended")
    events = told(hub)
    assert len(events) > 4
    until(lambda: store.state == "full")
    assert client.get("/health").json() == {"status": "degraded", "streams": {"ended": 1}, "store": "full"}
    assert "vljepa_store_ok 0.0" in client.get("/metrics").text
    full = False
    until(lambda: [e["id"] for e in store.reader.events()] == [e["id"] for e in events])
    until(lambda: client.get("/health").json()["status"] == "ok")
    assert store.lost == 0 and "vljepa_store_ok 1.0" in client.get("/metrics").text


def test_numbers_rise_where_the_clock_was_set_back(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []
    for clock in (2e9, 1e9):
        monkeypatch.setattr(feed.time, "time", lambda at=clock: at)
        hub = Hub(model, None, OPTIONS, EventStore(tmp_path, model))
        hub.add(camera(3.0, speed=8.0), "door")
        until(lambda it=hub: it.channel("door").state == "ended")  # type: ignore[misc]
        hub.close()
        numbers += [int(str(event["id"])) for event in told(hub)]
    assert numbers == sorted(set(numbers)) == [e["id"] for e in StoreReader(tmp_path).events()]
    assert numbers[0] == 2 * 10**12


def test_a_server_that_is_killed_leaves_whole_events_and_closes_the_rest_when_it_comes_back(
    toy: Path, tmp_path: Path
) -> None:
    folder, clip = tmp_path / "store", write_video(tmp_path / "clip.mp4", 600)
    command = [
        *(sys.executable, "-m", "vljepa_edge", "serve", f"door={clip}", "--model", str(toy), "--port", "0"),
        *("--store", str(folder), "--policy", "uniform:period=0.4"),
    ]
    for run in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert re.match("serving door on http", process.stdout.readline())
            reader = StoreReader(folder)
            newest = max((e["id"] for e in reader.events()), default=0)
            until(lambda it=reader, last=newest: len(it.events(since=last)) >= 4)  # type: ignore[misc]
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=10)
        with closing(sqlite3.connect(folder / "events.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            pictured = {number for (number,) in connection.execute("SELECT event FROM picture")}
            begun = {number for (number,) in connection.execute("SELECT id FROM event WHERE begun = id")}
        assert pictured == begun
        assert all((reader.picture(number) or b"")[-2:] == b"\xff\xd9" for number in begun)  # each JPEG has its end
        closed = [e for e in reader.events() if e.get("interrupted")]
        assert len(closed) == run
    opened = next(e for e in reader.events() if e["id"] == closed[0]["begun"])
    assert closed[0]["end"] >= opened["decided_at"] and os.path.exists(folder / "events.db")


def test_who_comes_back_is_told_what_it_missed_out_of_the_store_also_after_a_restart(
    model: Model, tmp_path: Path
) -> None:
    limits = Limits(events=3)
    first = Hub(model, limits, OPTIONS, EventStore(tmp_path, model))
    first.add(camera(6.0, speed=8.0), "door")
    until(lambda: first.channel("door").state == "ended")
    first.close()
    second = Running(Hub(model, limits, OPTIONS, EventStore(tmp_path, model)))
    second.hub.add(camera(6.0, speed=8.0), "door")
    second.hub.add(camera(3.0, speed=8.0), "yard")
    until(lambda: {channel.state for channel in second.hub.channels} == {"ended"})
    reader = StoreReader(tmp_path)
    newest = second.hub.feed.newest
    until(lambda: reader.events(since=newest - 1))
    everything = [event["id"] for event in reader.events()]
    since = everything[1]
    with second.listening(f"/events?since={since}") as told:
        assert [next(told).number for _ in everything[2:]] == everything[2:]
    of_yard = [event["id"] for event in reader.events(since=since, stream="yard")]
    assert len(of_yard) >= 2
    with second.listening(f"/events?since={since}&stream=yard") as told:
        assert [next(told).number for _ in of_yard] == of_yard
    with second.listening("/events?since=0") as told:  # what is in memory: a page needs no more
        assert next(told).kind == "lost" and [next(told).number for _ in range(3)] == everything[-3:]
    second.stop()
