"""What is read and made without a broker: addresses, topics, payloads, Home Assistant's configurations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.errors import InputError
from vljepa_edge.serve.feed import Record
from vljepa_edge.serve.mqtt.broker import Broker, read_broker
from vljepa_edge.serve.mqtt.discovery import Discovery
from vljepa_edge.serve.mqtt.messages import Kind, Now, event_payload, seen_payload, state_payload, update_payload
from vljepa_edge.serve.mqtt.retained import Retained, retained_of
from vljepa_edge.serve.mqtt.topics import Topics, slug
from vljepa_edge.serve.mqtt.updates import Updates

TOPICS = Topics("home/robot")
SECRET = "hunter2-é/@"


def told(number: int, status: str = "open", text: str = "A cat sits.", **more: Any) -> dict[str, Any]:
    return {
        "id": number, "begun": number, "stream": "door", "at": 17.5, "picture": None, "status": status, "start": 1.0,
        "end": None, "text": text, "confidence": 0.75, "query": "What?", "segment": 0,
    } | more  # fmt: skip


def now(**more: Any) -> Now:
    return Now("door", "running", **more)


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("mqtt://broker.local", Broker("broker.local", 1883)),
        ("mqtts://broker.local/", Broker("broker.local", 8883, encrypted=True)),
        ("mqtt://10.0.0.5:1884/home/robot/", Broker("10.0.0.5", 1884, prefix="home/robot")),
        ("mqtt://me:a%20b%40c@[::1]:1/x%C3%A9", Broker("::1", 1, user="me", password="a b@c", prefix="xé")),
        ("mqtt://me@host", Broker("host", 1883, user="me")),
    ],
)
def test_an_address_says_where_a_broker_is_who_asks_and_where_topics_begin(address: str, expected: Broker) -> None:
    assert read_broker(address) == expected


def test_a_password_that_is_given_apart_goes_first_and_is_never_shown() -> None:
    broker = read_broker("mqtt://me:old@host:99/x", SECRET)
    assert broker.password == SECRET and str(broker) == "mqtt://host:99"
    assert SECRET not in repr(broker) and "old" not in repr(broker)


@pytest.mark.parametrize(
    "address",
    [
        "", "broker.local", "http://host", "mqtt://", "mqtt:///x", "mqtt://host:0", "mqtt://host:99999", "mqtt://host:x",
        "mqtt://host?a=b", "mqtt://host#x", "mqtt://[::1", "mqtt://host/a//b", "mqtt://host/$SYS", "mqtt://host/a/+",
        "mqtt://host/a%23", "mqtt://host/a%00", "mqtt://host/" + 201 * "x", f"mqtt://:{SECRET}@host",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_telling_the_password(address: str) -> None:
    with pytest.raises(InputError, match=r"must be|needs a user") as error:
        read_broker(address)
    assert SECRET not in str(error.value)


@given(st.text(max_size=60), st.sampled_from(["", "mqtt://", "mqtts://me:pw@", "mqtt://host/", "mqtt://host:"]))
def test_any_text_is_an_address_or_an_error(text: str, before: str) -> None:
    try:
        broker = read_broker(before + text)
    except InputError:
        return
    assert broker.host and 0 < broker.port < 65536
    assert not set(broker.prefix) & set("+#\0") and all(broker.prefix.split("/"))


# --- topics ---


@given(st.text(min_size=1, max_size=80))
def test_a_slug_is_one_level_that_mqtt_and_home_assistant_take(text: str) -> None:
    made = slug(text)
    assert 0 < len(made) <= 33 and set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


@given(st.lists(st.text("aA _-é1/", min_size=1, max_size=5), unique=True, max_size=8))
def test_different_texts_have_different_slugs(texts: list[str]) -> None:
    assert len({slug(text) for text in texts}) == len(texts)


def test_topics_are_of_the_prefix_and_the_stream() -> None:
    assert TOPICS.server == "home/robot/status" and TOPICS.events("door") == "home/robot/door/events"
    assert TOPICS.seen("door", "label", "cup") == "home/robot/door/labels/cup"
    assert TOPICS.seen("door", "taught", "cup") == "home/robot/door/taught/cup"
    assert TOPICS.seen("door", "label", "A Cup!").startswith("home/robot/door/labels/a_cup-")


# --- payloads ---


@pytest.mark.parametrize(
    ("status", "kind"),
    [("open", "new"), ("appeared", "new"), ("began", "new"), ("closed", "end"), ("gone", "end"), ("ended", "end")],
)
def test_an_event_is_new_or_the_end_with_the_id_of_its_beginning(status: str, kind: str) -> None:
    begun = 7 if kind == "end" else 9
    record = Record("event", 9, "door", json.dumps(told(9, status, begun=begun)))
    payload = json.loads(event_payload(record) or "")
    assert payload["type"] == kind and payload["id"] == begun and payload["number"] == 9
    assert payload["status"] == status and payload["text"] == "A cat sits." and "begun" not in payload


def test_a_stall_is_no_event_and_an_end_whose_beginning_is_not_known_has_its_own_id() -> None:
    assert event_payload(Record("event", 9, "door", json.dumps(told(9, "stalled", begun=None)))) is None
    payload = event_payload(Record("event", 9, "door", json.dumps(told(9, "closed", begun=None)))) or ""
    assert json.loads(payload)["id"] == 9


def test_the_state_is_what_goes_on_and_the_newest_text() -> None:
    cup, segment = told(5, "appeared", "cup"), told(6, text="")
    state = json.loads(state_payload(now(open=(cup, segment), said=told(4, "closed", "Été"))))
    assert state["state"] == "running" and state["text"] == "Été" and state["confidence"] == 0.75
    assert [(one["id"], one["kind"], one["text"]) for one in state["now"]] == [(5, "label", "cup"), (6, "segment", "")]
    empty = json.loads(state_payload(now()))
    assert empty["text"] is None and empty["now"] == []
    assert seen_payload(now(open=(cup, segment)), "label", "cup") == "ON"
    assert seen_payload(now(open=(cup, segment)), "taught", "cup") == "OFF"


def test_a_label_that_becomes_surer_by_a_tenth_is_told_once_and_never_before_it_is_new() -> None:
    updates = Updates()
    cup, segment = told(5, "appeared", "cup", confidence=0.6), told(6, confidence=0.5)

    def look(peak: float, sent: int = 9) -> tuple[float, list[float]]:
        peaks: dict[tuple[Kind, str], float] = {("label", "cup"): peak, ("taught", "cup"): 1.0}
        seen, surer = updates.apply(now(open=(cup, segment), peaks=peaks), sent)
        assert seen.open[1]["confidence"] == 0.5
        return seen.open[0]["confidence"], [event["confidence"] for event in surer]

    assert look(0.6) == (0.6, []) and look(0.69) == (0.6, [])
    assert look(0.8, sent=4) == (0.6, []), "it has not been told yet that it is there"
    assert look(0.8) == (0.8, [0.8]) and look(0.8) == (0.8, []) and look(0.95) == (0.95, [0.95])
    updates.forget_but({6})
    assert look(0.6) == (0.6, [])
    payload = json.loads(update_payload({**cup, "confidence": 0.9}, 18.25))
    assert payload["type"] == "update" and payload["id"] == 5 and payload["confidence"] == 0.9
    assert payload["text"] == "cup" and payload["stream"] == "door" and payload["at"] == 18.25


# --- Home Assistant ---


def test_home_assistant_finds_a_sensor_of_the_text_and_a_binary_sensor_for_each_label() -> None:
    watched = (("label", "cup"), ("label", 'a "person" {{ x }}'), ("taught", "cup"))
    found = Discovery("homeassistant", TOPICS).configurations(now(watched=watched))
    configs = {topic: json.loads(payload) for topic, payload in found.items()}
    levels = [topic.split("/") for topic in configs]
    assert [(one[0], one[1], one[4]) for one in levels] == [("homeassistant", "sensor", "config")] + 3 * [
        ("homeassistant", "binary_sensor", "config")
    ]
    assert all(set(part) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for one in levels for part in one[2:4])
    assert len({config["unique_id"] for config in configs.values()}) == 4
    assert len({json.dumps(config["device"]) for config in configs.values()}) == 1, "one device"
    sensor, *labels = configs.values()
    assert sensor["state_topic"] == sensor["json_attributes_topic"] == "home/robot/door/state"
    assert [config["name"] for config in labels] == ["cup", 'a "person" {{ x }}', "cup"]
    assert labels[0]["state_topic"] == "home/robot/door/labels/cup"
    for config in configs.values():
        assert config["availability_mode"] == "all"
        online = [(one["topic"], one["payload_available"]) for one in config["availability"]]
        assert online == [("home/robot/status", "online"), ("home/robot/door/availability", "online")]


def test_the_text_that_home_assistant_shows_is_never_too_long_for_it() -> None:
    jinja2 = pytest.importorskip("jinja2")
    (payload,) = Discovery("homeassistant", TOPICS).configurations(now()).values()
    template = jinja2.Template(json.loads(payload)["value_template"])
    for text, shown in ((300 * "é", 255 * "é"), ("A cat.", "A cat."), (None, "")):
        state = json.loads(state_payload(now(said=told(1, text="") | {"text": text})))
        assert template.render(value_json=state) == shown


# --- what is retained ---


def test_what_changes_is_told_once_and_all_of_it_after_a_connection_was_lost() -> None:
    kept = Retained()
    kept.want({"a": "1", "b": "2"})
    assert kept.take() == {"a": "1", "b": "2"} and kept.take() == {}
    kept.want({"a": "1", "b": "3", "c": "4"})
    assert kept.take() == {"b": "3", "c": "4"}
    kept.renew()
    assert kept.take() == {"a": "1", "b": "3", "c": "4"} and kept.take() == {}


def test_what_is_no_more_is_taken_back_also_when_it_ended_while_the_broker_was_away() -> None:
    kept = Retained()
    kept.want({"a": "1", "b": "2"})
    kept.take()
    kept.want({"a": "1"})
    assert kept.take() == {"b": ""} and kept.take() == {}
    kept.renew()
    kept.want({})
    assert kept.take() == {"a": ""}


def test_what_a_broker_has_from_before_is_told_again_or_taken_back() -> None:
    kept = Retained()
    kept.want({"a": "1"})
    kept.find(["a", "b"])
    assert kept.take() == {"a": "1", "b": ""}
    kept.find(["a"])
    assert kept.take() == {}
    assert TOPICS.kept_with("home/robot/x/availability") == "home/robot/x/state"
    assert TOPICS.kept_with("home/robot/x/labels/cup") == "home/robot/x/labels/cup"


def test_a_stream_has_its_state_its_availability_and_what_it_watches_for() -> None:
    plain = retained_of(now(watched=(("label", "cup"),)), TOPICS, None)
    assert plain.keys() == {f"home/robot/door/{end}" for end in ("state", "availability", "labels/cup")}
    assert plain["home/robot/door/availability"] == "online" and plain["home/robot/door/labels/cup"] == "OFF"
    assert retained_of(Now("door", "waiting"), TOPICS, None)["home/robot/door/availability"] == "offline"
    found = retained_of(now(watched=(("label", "cup"),)), TOPICS, Discovery("homeassistant", TOPICS))
    assert found.keys() - plain.keys() and found.keys() > plain.keys()
