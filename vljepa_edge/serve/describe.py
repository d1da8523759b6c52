"""What a stream is and how it is doing, ready for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vljepa_edge.serve.channel import Channel
from vljepa_edge.serve.hub import Hub
from vljepa_edge.streaming.policy import Policy, Uniform
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.serve.mqtt.publisher import Publisher
    from vljepa_edge.serve.shelf import HeadShelf

STAGES = ("hop", "queue", "scale", "encode", "predict", "decode")
_ILL = ("failing", "silent", "waiting", "hanging", "failed")


def describe(channel: Channel, shelf: HeadShelf) -> dict[str, Any]:
    """One stream; its heads are called as on a shelf. `time` is that of the newest frame; `dropped` counts every frame
    that came too late to be used."""
    stream = channel.stream
    stats = stream.stats()
    return {
        "name": channel.name,
        "source": channel.described,
        "live": channel.live,
        "state": channel.state,
        "error": channel.error,
        "reopened": channel.reopened,
        "query": list(stream.queries),
        "watch": list(stream.watched),
        "heads": [{"name": shelf.name(head), "events": list(head.events)} for head in stream.heads],
        "policy": str(stream.policy),
        "threshold": threshold(stream.policy),
        "time": number(channel.time, 3),
        "frames": stats.frames,
        "still": stats.still,
        "hops": stats.hops,
        "hops_idle": stats.hops_idle,
        "hops_put_off": stats.hops_put_off,
        "decodes": stats.decodes,
        "reuses": stats.reuses,
        "events": stats.events,
        "dropped": channel.dropped + stats.dropped + stats.stale,
        "errors": stats.errors,
        "latency_ms": stats.percentiles(STAGES),
    }


def threshold(policy: Policy) -> float | None:
    """The change score at which a policy cuts; None for one that has no such number."""
    if isinstance(policy, Uniform):
        return 1.0  # its score is the share of the period that has gone
    value = getattr(policy, "threshold", None)
    return value if isinstance(value, float) else None


def health(hub: Hub, publisher: Publisher | None = None) -> dict[str, Any]:
    """Whether all is well, how many streams are in each state, and how the store and the broker are doing, where there
    are any: nothing that a stranger may not know."""
    states = [channel.state for channel in hub.channels]
    counts = {state: states.count(state) for state in sorted(set(states))}
    told: dict[str, Any] = {"streams": counts}
    well = not any(state in _ILL for state in states)
    if hub.store is not None:
        told["store"] = hub.store.state
        well = well and hub.store.state == "ok"
    if publisher is not None:
        told["mqtt"] = {"connected": publisher.connected, "waiting": publisher.waiting, "lost": publisher.lost}
        well = well and publisher.connected
    return {"status": "ok" if well else "degraded", **told}
