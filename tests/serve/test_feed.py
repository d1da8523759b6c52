"""The feed: who comes later gets what is kept, in order, and who doesn't read is let go."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.serve.feed import Client, Feed
from vljepa_edge.serve.refusal import Refusal


def joined(feed: Feed, since: int | None = None, stream: str | None = None, hops: bool = False) -> Client:
    return feed.join(lambda: None, since=since, stream=stream, hops=hops)


def numbers(client: Client) -> list[int | None]:
    return [record.number for record in client.take().records]


@given(
    kept=st.integers(1, 20),
    before=st.integers(0, 40),
    after=st.integers(0, 10),
    seen=st.integers(-3, 45),
)
def test_a_client_gets_each_event_after_the_last_it_saw_once_and_in_order_or_is_told_how_many_are_lost(
    kept: int, before: int, after: int, seen: int
) -> None:
    feed = Feed(kept, most_clients=4)
    old = [feed.publish("a", lambda number: {"id": number}) for _ in range(before)]
    first = feed.publish("a", lambda number: {"id": number})
    old.append(first)
    since = old[0] - 1 + seen
    client = joined(feed, since)
    new = [feed.publish("a", lambda number: {"id": number}) for _ in range(after)]
    wanted = [number for number in old if number > since]
    got = numbers(client)
    assert got == wanted[-kept:] + new if wanted else got == new
    assert client.lost == max(0, len(wanted) - kept)
    assert old + new == sorted(set(old + new))


def test_numbers_rise_from_one_start_of_the_server_to_the_next() -> None:
    last = Feed(10, 1).publish("a", lambda number: {})
    time.sleep(0.005)
    assert Feed(10, 1).publish("a", lambda number: {}) > last


def test_who_saw_the_last_event_before_a_restart_gets_all_that_came_since() -> None:
    before = Feed(10, 1)
    seen = before.publish("a", lambda number: {})
    time.sleep(0.005)
    after = Feed(10, 1)
    made = [after.publish("a", lambda number: {}) for _ in range(3)]
    client = joined(after, seen)
    assert numbers(client) == made and client.lost == 0


def test_a_client_gets_one_stream_and_hops_only_if_it_asks() -> None:
    feed = Feed(10, 4)
    both, one, hops = joined(feed), joined(feed, stream="a"), joined(feed, hops=True)
    for name in ("a", "b"):
        feed.publish(name, lambda number: {"id": number})
        feed.tell_hop(name, {"change": 0.5})
    assert [(r.kind, r.stream) for r in both.take().records] == [("event", "a"), ("event", "b")]
    assert [(r.kind, r.stream) for r in one.take().records] == [("event", "a")]
    told = hops.take().records
    assert [(r.kind, r.stream) for r in told] == [("event", "a"), ("hop", "a"), ("event", "b"), ("hop", "b")]
    assert json.loads(told[1].data) == {"change": 0.5}


def test_who_does_not_read_is_dropped_and_told_so_and_others_are_not() -> None:
    feed = Feed(10, 4)
    slow, quick = joined(feed), joined(feed)
    read = 0
    for _ in range(2000):
        feed.publish("a", lambda number: {})
        read += len(quick.take().records)
    batch = slow.take()
    assert batch.end == "slow" and len(batch.records) == 512
    assert feed.dropped_clients == 1 and feed.clients == 1
    assert read == 2000 and quick.take().end is None


def test_hops_never_push_a_client_out() -> None:
    feed = Feed(10, 4)
    client = joined(feed, hops=True)
    for _ in range(5000):
        feed.tell_hop("a", {})
    feed.publish("a", lambda number: {})
    batch = client.take()
    assert batch.end is None and batch.records[-1].kind == "event" and feed.dropped_clients == 0


def test_one_client_too_many_is_refused_until_another_leaves() -> None:
    feed = Feed(10, 2)
    first, _ = joined(feed), joined(feed)
    with pytest.raises(Refusal, match="2 clients of events already") as caught:
        joined(feed)
    assert (caught.value.status, caught.value.kind) == (503, "TooMany")
    feed.leave(first)
    joined(feed)


def test_a_closed_feed_tells_everyone_also_who_comes_late() -> None:
    feed = Feed(10, 4)
    client = joined(feed)
    feed.publish("a", lambda number: {})
    feed.close()
    batch = client.take()
    assert len(batch.records) == 1 and batch.end == "closed"
    assert joined(feed).take().end == "closed"


def test_an_event_that_no_json_can_hold_is_an_error_and_takes_no_one_down() -> None:
    feed = Feed(10, 4)
    with pytest.raises(ValueError, match="not JSON compliant"):
        feed.publish("a", lambda number: {"change": float("nan")})
    client = joined(feed, since=0)
    feed.publish("a", lambda number: {})
    assert len(client.take().records) == 1 and client.lost == 0
