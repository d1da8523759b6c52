"""Payloads: an event, and what goes on now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from vljepa_edge.serve.feed import Record
from vljepa_edge.serve.ledger import Told
from vljepa_edge.streaming.openings import ENDINGS
from vljepa_edge.support.json_numbers import number

Kind = Literal["segment", "label", "taught"]
KINDS: dict[str, Kind] = {"open": "segment", "appeared": "label", "began": "taught"}
"""Of what begins with an event of this status."""
ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
_OF_STATE = ("text", "confidence", "query", "at", "start")


class Now(NamedTuple):
    """A stream at one moment.

    state    how its source is doing
    watched  labels that it watches for, and events of heads
    open     the events with which began what has not ended
    said     the newest segment that has a text
    peaks    the largest probability so far of labels and taught events that go on
    """

    name: str
    state: str
    watched: tuple[tuple[Kind, str], ...] = ()
    open: tuple[Told, ...] = ()
    said: Told | None = None
    peaks: Mapping[tuple[Kind, str], float] = MappingProxyType({})

    def stopped(self) -> Now:
        """The same when the server has stopped: nothing goes on."""
        return self._replace(state="stopped", open=())


def event_payload(record: Record) -> str | None:
    """`new` of what begins and `end` of what ends, both with the id of that with which it began; None of a stall, which
    the stream's availability tells."""
    event: dict[str, Any] = json.loads(record.data)
    mine, begun = event.pop("id"), event.pop("begun")
    status = event["status"]
    if status not in ENDINGS and status not in ENDINGS.values():
        return None
    kind = "new" if status in ENDINGS else "end"
    return to_json({"type": kind, "id": mine if begun is None else begun, "number": mine, **event})


def update_payload(event: Told, at: float) -> str:
    """`update` of what goes on: the event with which it began, with what is known by now. `at` is Unix time."""
    kept = {key: event[key] for key in ("id", "stream", "status", "start", "text", "confidence", "query")}
    return to_json({"type": "update", "at": number(at, 3), **kept})


def state_payload(now: Now) -> str:
    """What goes on in a stream, and its newest text."""
    said: Mapping[str, Any] = now.said or dict.fromkeys(_OF_STATE)
    going_on = [
        {"id": told["id"], "kind": KINDS[told["status"]], **{key: told[key] for key in _OF_STATE}} for told in now.open
    ]
    return to_json({"state": now.state, **{key: said[key] for key in _OF_STATE}, "now": going_on})


def seen_payload(now: Now, kind: Kind, text: str) -> str:
    """Whether a label or a taught event is there."""
    return ON if any(KINDS[told["status"]] == kind and told["text"] == text for told in now.open) else OFF


def available_payload(now: Now) -> str:
    """Whether frames of a stream come."""
    return ONLINE if now.state == "running" else OFFLINE


def to_json(value: Mapping[str, Any]) -> str:
    """On one line."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
