"""The routes: what is answered, what is refused and how that is said, and that the documents of the API are true."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.media import write_video
from tests.serve.cameras import camera, until
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError
from vljepa_edge.model import Model
from vljepa_edge.serve.access import check_token, is_loopback
from vljepa_edge.serve.app import Routes, build_app
from vljepa_edge.serve.bodies import MOST_BYTES
from vljepa_edge.serve.channel import FAILING
from vljepa_edge.serve.feed import Client
from vljepa_edge.serve.hub import Hub, Limits
from vljepa_edge.serve.openapi import build_document
from vljepa_edge.serve.page import page_policy, read_page
from vljepa_edge.streaming.options import StreamOptions

TOKEN = "a-token-that-nobody-guesses"
HOST = "http://localhost"


@pytest.fixture(scope="module")
def hub(model: Model) -> Iterator[Hub]:
    made = Hub(model, Limits(streams=3, clients=2))
    made.add(camera(12.0), "door")
    until(lambda: made.channel("door").state == "ended")
    yield made
    made.close()


@pytest.fixture
def client(hub: Hub) -> TestClient:
    return TestClient(build_app(hub), HOST)


@pytest.fixture
def guarded(hub: Hub) -> TestClient:
    return TestClient(build_app(hub, TOKEN), "http://robot.example:8000", follow_redirects=False)


def kept_events(hub: Hub) -> list[dict[str, Any]]:
    told: Client = hub.feed.join(lambda: None, since=0, stream="door", hops=False)
    hub.feed.leave(told)
    return [json.loads(record.data) for record in told.take().records]


def said(answer: Any) -> tuple[int, str]:
    """Status and kind of an error, which is typed JSON."""
    body = answer.json()
    assert body.keys() == {"error"} and body["error"].keys() == {"type", "message"} and body["error"]["message"]
    return answer.status_code, body["error"]["type"]


# --- answers ---


def test_a_stream_is_added_shown_changed_and_removed(client: TestClient, hub: Hub, tmp_path: Any) -> None:
    file = str(write_video(tmp_path / "clip.mp4", 40, fps=10))
    body = {"source": file, "query": ["a?", "b?"], "watch": ["cup"], "policy": "uniform:period=2", "decode": "none"}
    added = client.post("/streams", json=body)
    assert added.status_code == 201 and added.headers["location"] == "/streams/clip"
    assert client.post("/streams", json={"source": file}).json()["name"] == "clip-2"
    shown = client.get("/streams/clip").json()
    wanted = {"name": "clip", "query": ["a?", "b?"], "watch": ["cup"], "policy": "uniform:period=2.0", "live": False}
    assert {key: shown[key] for key in wanted} == wanted
    changed = client.patch("/streams/clip", json={"query": "c?", "policy": "running-ward:threshold=0.2"}).json()
    assert (changed["query"], changed["watch"], changed["threshold"]) == (["c?"], ["cup"], 0.2)
    assert [stream["name"] for stream in client.get("/streams").json()["streams"]] == ["door", "clip", "clip-2"]
    assert said(client.post("/streams", json={"source": file, "name": "more"})) == (503, "TooMany")
    for name in ("clip", "clip-2"):
        assert client.delete(f"/streams/{name}").status_code == 204
    assert said(client.get("/streams/clip")) == (404, "UnknownStream")


def test_still_scenes_and_texts_used_again_are_chosen_for_a_stream(
    client: TestClient, hub: Hub, tmp_path: Any
) -> None:
    noise = np.random.default_rng(0)
    images = [noise.integers(120, 130, (48, 64, 3), np.uint8) for _ in range(30)]
    file = str(write_video(tmp_path / "calm.mp4", images, fps=10))
    assert client.post("/streams", json={"source": file, "still": 20.0, "reuse": 0.1}).status_code == 201
    until(lambda: client.get("/streams/calm").json()["still"] > 3)
    assert hub.channel("door").stream.stats().still == 0
    client.delete("/streams/calm")


@pytest.mark.parametrize("source", ["-", "videotestsrc ! tee name=t ! queue t. ! filesink location=/tmp/x"])
def test_pipelines_and_standard_input_are_not_for_clients(source: str, client: TestClient) -> None:
    assert said(client.post("/streams", json={"source": source})) == (400, "NotByRequest")
    assert [stream["name"] for stream in client.get("/streams").json()["streams"]] == ["door"]


def test_pictures_of_events_and_of_now(client: TestClient, hub: Hub) -> None:
    for event in kept_events(hub):
        picture = client.get(event["picture"])
        assert picture.headers["content-type"] == "image/jpeg" and picture.content == hub.pictures.get(event["id"])
    now = client.get("/frame.jpg?stream=door")
    assert now.content[:2] == b"\xff\xd8" and now.content == client.get("/frame.jpg").content
    assert said(client.get("/events/1.jpg")) == said(client.get(f"/events/{'1' * 5000}.jpg")) == (404, "NoPicture")
    assert said(client.get("/frame.jpg?stream=nosuch")) == (404, "UnknownStream")


def test_a_hub_without_streams_says_so(model: Model) -> None:
    empty = TestClient(build_app(Hub(model)), HOST)
    assert empty.get("/health").json() == {"status": "ok", "streams": {}}
    assert said(empty.get("/frame.jpg")) == (404, "UnknownStream")
    assert empty.get("/streams").json() == {"streams": []}
    assert list(text_string_to_metric_families(empty.get("/metrics").text))


@pytest.mark.parametrize(
    ("accept", "parse"),
    [
        ("text/plain", text_string_to_metric_families),
        ("application/openmetrics-text; version=1.0.0", openmetrics_families),
    ],
)
def test_metrics_are_what_their_parser_reads_and_what_the_stream_counted(
    client: TestClient, hub: Hub, accept: str, parse: Any
) -> None:
    answer = client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(accept.partition(";")[0])
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }
    channel = hub.channel("door")
    stats = channel.stream.stats()
    for name in ("frames", "hops", "decodes", "errors"):
        assert found[(f"vljepa_{name}_total", "door")] == getattr(stats, name)
    for status in ("open", "closed"):
        count = sum(event["status"] == status for event in kept_events(hub))
        assert found[("vljepa_events_total", status, "door")] == count > 0
    assert found[("vljepa_source_up", "door")] == 0 and found[("vljepa_clients",)] == 0
    median = stats.latency_ms["hop"]["p50"] / 1e3
    assert found[("vljepa_latency_seconds", "0.5", "hop", "door")] == pytest.approx(median)


def test_the_api_document_is_valid_and_has_every_route_and_what_is_answered(client: TestClient, hub: Hub) -> None:
    checker = pytest.importorskip("openapi_spec_validator")
    schemas = pytest.importorskip("jsonschema")
    document = client.get("/openapi.json").json()
    checker.validate(document)
    routes = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in Routes(hub).all()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    told = {(path, method) for path, item in document["paths"].items() for method in item if method != "parameters"}
    assert told == routes

    def check(name: str, value: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        schemas.Draft202012Validator(schema).validate(value)

    check("Streams", client.get("/streams").json())
    check("Health", client.get("/health").json())
    check("Error", client.get("/nosuch").json())
    for event in kept_events(hub):
        check("Event", event)
    with pytest.raises(schemas.ValidationError):
        check("Stream", {"name": "x"})


def test_a_model_that_fails_on_every_frame_is_degraded_and_wants_a_new_start(toy: Path) -> None:
    broken = threading.Event()

    def before(graph: str) -> None:
        if broken.is_set():
            raise EngineError(f"{graph}: an earlier failure left it unusable; load the model again")

    failing = Hub(Model(Bundle.open(toy), WrappedEngine(before)), options=StreamOptions(max_idle=0))
    client = TestClient(build_app(failing), HOST)

    def gauges() -> tuple[float, ...]:
        families = text_string_to_metric_families(client.get("/metrics").text)
        values = {family.name: family.samples[0].value for family in families if family.samples}
        return values["vljepa_source_up"], values["vljepa_stream_failing"]

    try:
        channel = failing.add(camera(speed=40.0), "door")
        until(lambda: channel.stream.stats().hops > 0)
        assert client.get("/health").status_code == 200 and gauges() == (1, 0)
        broken.set()
        until(lambda: channel.state == "failing")
        health = client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "degraded", "streams": {"failing": 1}})
        assert "load the model again" in client.get("/streams/door").json()["error"] and gauges() == (1, 1)
        assert channel.stream.stats().errors >= FAILING
        broken.clear()
        until(lambda: channel.state == "running")
        assert channel.error is None and client.get("/health").status_code == 200
    finally:
        failing.close()


# --- what is refused ---


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "source"),
        ({"source": ""}, "source"),
        ({"source": 5}, "source"),
        ({"source": "x.mp4", "colour": 1}, "colour"),
        ({"source": "x.mp4", "query": [1]}, "query"),
        ({"source": "x.mp4", "query": ["a"] * 17}, "query"),
        ({"source": "x.mp4", "hold": -1}, "hold"),
        ({"source": "x.mp4", "decode": "sometimes"}, "decode"),
        ({"source": "x.mp4", "policy": "nosuch"}, "policy must be one of"),
        ({"source": "x.mp4", "hop": 0}, "hop must be"),
        ({"source": "x.mp4", "still": 256}, "still must be"),
        ({"source": "x.mp4", "reuse": 2}, "reuse must be"),
        ({"source": "nosuch.mp4"}, "nosuch.mp4"),
        ({"source": "gopher://host/x"}, "gopher"),
        ({"source": "rtsp://cam/x", "name": "../door"}, "name must be"),
        ([], "the body"),
    ],
)
def test_a_stream_that_can_not_be_is_refused_by_name(client: TestClient, hub: Hub, body: object, place: str) -> None:
    answer = client.post("/streams", json=body)
    assert said(answer)[0] == 400 and place in answer.json()["error"]["message"]
    assert [channel.name for channel in hub.channels] == ["door"]


def test_bodies_are_json_and_short(client: TestClient) -> None:
    assert said(client.post("/streams", content=b"source=x")) == (415, "NotJson")
    form = {"content-type": "text/plain"}
    assert said(client.post("/streams", content=b'{"source": "x"}', headers=form)) == (415, "NotJson")
    json_type = {"content-type": "application/json"}
    assert said(client.post("/streams", content=b"{", headers=json_type)) == (400, "InputError")
    long = b'{"source": "' + b"x" * MOST_BYTES + b'"}'
    assert said(client.post("/streams", content=long, headers=json_type)) == (413, "TooLong")
    parts = (long[at : at + 1000] for at in range(0, len(long), 1000))  # without a length before it
    assert said(client.post("/streams", content=parts, headers=json_type)) == (413, "TooLong")


@given(st.binary(max_size=200))
def test_no_body_breaks_the_server(hub: Hub, body: bytes) -> None:
    client = TestClient(build_app(hub), HOST, raise_server_exceptions=False)
    answer = client.patch("/streams/door", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200 or said(answer)[0] == 400


def test_wrong_requests_have_typed_errors(client: TestClient) -> None:
    assert said(client.get("/nosuch")) == (404, "NotFound")
    assert said(client.put("/streams")) == (405, "NotAllowed")
    assert said(client.get("/events?since=yesterday")) == (400, "InputError")
    assert said(client.get("/events", headers={"last-event-id": "-1"})) == (400, "InputError")
    assert said(client.get("/events?stream=nosuch")) == (404, "UnknownStream")
    assert said(client.get("/video.mjpg?rate=1000")) == (400, "InputError")
    assert said(client.get("/video.mjpg?rate=nan")) == (400, "InputError")


def test_who_asks_for_the_head_of_what_has_no_end_gets_it(client: TestClient, hub: Hub) -> None:
    assert client.head("/events").headers["content-type"].startswith("text/event-stream")
    assert client.head("/video.mjpg").headers["content-type"].startswith("multipart/x-mixed-replace")
    assert hub.feed.clients == 0


# --- who is let in ---


def test_without_the_token_nothing_but_health_is_told(guarded: TestClient) -> None:
    assert guarded.get("/health").status_code == 200
    paths = ("/streams", "/events", "/metrics", "/frame.jpg", "/openapi.json", "/nosuch", f"/streams?token={TOKEN}")
    for path in paths:
        answer = guarded.get(path)
        assert said(answer) == (401, "NoToken") and answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer", "Bearer " + TOKEN[:-1], "Basic " + TOKEN, "Bearer \u00e4".encode()):
        assert guarded.get("/streams", headers={"authorization": wrong}).status_code == 401
    assert guarded.get("/streams", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    page = guarded.get("/")
    assert page.status_code == 401 and 'name="token"' in page.text and "script" not in page.text


def test_the_token_in_the_address_becomes_a_cookie_that_is_not_the_token(guarded: TestClient) -> None:
    wrong = guarded.get("/?token=wrong-but-long-enough")
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    answer = guarded.get(f"/?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert guarded.get("/").status_code == 200 and guarded.get("/streams").status_code == 200
    assert guarded.get(f"/?token={TOKEN}").status_code == 303, "a token stays in no address bar"
    ours = cookie.partition(";")[0]
    for others in ("", 'theme={"dark":1}; ', "a b; ", "path=/; ", "n[1]=2; "):  # of other servers of this host
        guarded.cookies.clear()
        assert guarded.get("/streams", headers={"cookie": others + ours}).status_code == 200
    guarded.cookies.set(cookie.partition("=")[0], "0" * 64)
    assert guarded.get("/streams").status_code == 401


def test_without_a_token_other_names_of_this_machine_are_refused(hub: Hub) -> None:
    app = build_app(hub)
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "127.9.9.9"):
        assert TestClient(app).get("/streams", headers={"host": host}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "192.168.0.2:8000"):
        assert said(TestClient(app).get("/streams", headers={"host": host})) == (403, "WrongHost")


def test_pages_of_other_sites_change_nothing_and_read_nothing(client: TestClient) -> None:
    other = {"origin": "http://evil.example"}
    for method, path in (("POST", "/streams"), ("PATCH", "/streams/door"), ("DELETE", "/streams/door")):
        assert said(client.request(method, path, json={}, headers=other)) == (403, "OtherSite")
    assert said(client.patch("/streams/door", json={}, headers={"origin": "http://[half"})) == (403, "OtherSite")
    assert client.patch("/streams/door", json={}, headers={"origin": HOST}).status_code == 200
    answer = client.get("/streams", headers=other)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = client.options("/streams", headers={**other, "access-control-request-method": "POST"})
    assert asked.status_code == 405 or asked.status_code == 403


def test_browsers_are_told_what_the_page_may_do(client: TestClient) -> None:
    answer = client.get("/")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"] and "http" not in policy["img-src"]
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"
    page = answer.text
    assert page_policy(page) == answer.headers["content-security-policy"] != page_policy(page.replace("KEPT", "K"))
    assert not re.search(r"(src|href)=.?(https?:)?//", page), "it asks no other host"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page)
    assert not re.search(r"<[^>]*\s(on\w+|style)=", page), "the policy forbids what is inline"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("::1", True), ("[::1]", True), ("LocalHost", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("", False)),
    ],
)
def test_which_addresses_need_a_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    if loopback:
        assert check_token(None, host) is None and check_token("", host) is None
    assert check_token(TOKEN, host) == TOKEN


def test_the_page_is_the_file_that_ships() -> None:
    assert read_page().startswith("<!doctype html>") and build_document()["openapi"].startswith("3.")
