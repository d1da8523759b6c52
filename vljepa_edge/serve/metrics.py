"""Counts for Prometheus, read from the hub when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vljepa_edge.serve.channel import Channel
from vljepa_edge.serve.hub import Hub
from vljepa_edge.streaming.stats import Stats

if TYPE_CHECKING:
    from vljepa_edge.serve.mqtt.publisher import Publisher

_COUNTS = {
    "frames": "Frames that came",
    "encoded": "Frames that were encoded",
    "still": "Frames that were not encoded, as they were as one before",
    "skipped": "Frames between two due times",
    "hops": "Looks of the model: windows that were encoded and predicted",
    "hops_idle": "Looks that cost nothing, as the window was that of the look before",
    "hops_put_off": "Frames at which a look was due and was not made, as newer frames waited",
    "decodes": "Texts that were decoded",
    "reuses": "Texts that were used again in place of a decode",
    "errors": "Frames that failed",
    "gaps": "Times that no frame came for longer than the gap, by the times of frames",
    "stalls": "Times that no frame came for longer than the gap, by the clock",
}
_QUANTILES = {"p50": "0.5", "p90": "0.9", "p99": "0.99"}


class HubCollector(Collector):
    """All that is counted of a hub, a metric at a time."""

    def __init__(self, hub: Hub, publisher: Publisher | None) -> None:
        self._hub = hub
        self._publisher = publisher

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        channels = self._hub.channels
        stats = {channel.name: channel.stream.stats() for channel in channels}
        yield from _of_sources(channels)
        yield from _of_streams(channels, stats)
        counts = CounterMetricFamily("vljepa_events", "Events that were told", labels=("stream", "status"))
        for (stream, status), count in sorted(self._hub.ledger.counts().items()):
            counts.add_metric((stream, status), count)
        yield counts
        yield GaugeMetricFamily("vljepa_clients", "Clients that listen to events", self._hub.feed.clients)
        dropped = "Clients that did not read fast enough"
        yield CounterMetricFamily("vljepa_clients_dropped", dropped, self._hub.feed.dropped_clients)
        store = self._hub.store
        if store is not None:
            yield GaugeMetricFamily("vljepa_store_ok", "1 while events are written to the store", store.state == "ok")
            yield CounterMetricFamily("vljepa_store_lost_events", "Events that no room was found for", store.lost)
        if self._publisher is not None:
            yield from _of_broker(self._publisher)


def _of_sources(channels: Iterable[Channel]) -> Iterable[Metric]:
    up = GaugeMetricFamily("vljepa_source_up", "1 while frames come", labels=("stream",))
    failing = GaugeMetricFamily("vljepa_stream_failing", "1 while all frames or texts fail", labels=("stream",))
    reopened = CounterMetricFamily("vljepa_source_reopened", "Attempts to open a source again", labels=("stream",))
    for channel in channels:
        state = channel.state
        up.add_metric((channel.name,), float(state in ("running", "failing")))
        failing.add_metric((channel.name,), float(state == "failing"))
        reopened.add_metric((channel.name,), channel.reopened)
    yield from (up, failing, reopened)


def _of_broker(publisher: Publisher) -> Iterable[Metric]:
    yield GaugeMetricFamily("vljepa_mqtt_up", "1 while the broker is there", float(publisher.connected))
    waiting = "Messages that the broker has not confirmed or that wait for it"
    yield GaugeMetricFamily("vljepa_mqtt_waiting", waiting, publisher.waiting)
    lost = "Events that made way for newer ones while the broker was away"
    yield CounterMetricFamily("vljepa_mqtt_lost_events", lost, publisher.lost)


def _of_streams(channels: Iterable[Channel], stats: dict[str, Stats]) -> Iterable[Metric]:
    for name, meaning in _COUNTS.items():
        counter = CounterMetricFamily(f"vljepa_{name}", meaning, labels=("stream",))
        for stream, found in stats.items():
            counter.add_metric((stream,), getattr(found, name))
        yield counter
    drops = CounterMetricFamily("vljepa_dropped_frames", "Frames that came too late", labels=("stream", "where"))
    for channel in channels:
        found = stats[channel.name]
        for where, count in (("source", channel.dropped), ("queue", found.dropped), ("stale", found.stale)):
            drops.add_metric((channel.name, where), count)
    yield drops
    latency = GaugeMetricFamily(
        "vljepa_latency_seconds", "Quantiles of the last 4096 durations of a stage",
        labels=("stream", "stage", "quantile"),
    )  # fmt: skip
    for stream, found in stats.items():
        for stage, percentiles in sorted(found.latency_ms.items()):
            for name, quantile in _QUANTILES.items():
                latency.add_metric((stream, stage, quantile), percentiles[name] / 1e3)
    yield latency


class Metrics:
    """The document that Prometheus reads."""

    def __init__(self, hub: Hub, publisher: Publisher | None = None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(HubCollector(hub, publisher))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The document, and its content type, for what a client says that it accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
