"""`vljepa serve`: a live page and events by HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.cli.labels import Heads, Hold, Watch, read_wanted
from vljepa_edge.cli.options import (
    Debug,
    EngineName,
    Hop,
    MinConfidence,
    ModelPath,
    Policy,
    Precision,
    Queries,
    Reuse,
    Still,
    Threads,
    load_model,
)
from vljepa_edge.cli.output import console
from vljepa_edge.cli.store import KeepAge, KeepSize, Record, RecordAfter, RecordBefore, StoreFolder, read_store
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.errors import BrokerError
    from vljepa_edge.serve.hub import Hub
    from vljepa_edge.serve.mqtt.broker import Broker
    from vljepa_edge.serve.mqtt.publisher import Publisher

# A name before a source: `door=rtsp://...`. An address can't be taken for one, it has a colon.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,31})=(.+)", re.DOTALL)


def read_source(text: str) -> tuple[str | None, str]:
    """The name, if there is one, and the source of NAME=SOURCE. A file with such a name is a source."""
    match = None if Path(text).is_file() else _NAMED.fullmatch(text)
    return (None, text) if match is None else (match[1], match[2])


def serve(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[NAME=]SOURCE]...",
            help="Videos, rtsp:// addresses, /dev/video0 or camera:0, each with a name if you like.",
            show_default=False,
        ),
    ] = None,
    query: Queries = None,
    policy: Policy = "running-ward",
    hop: Hop = None,
    watch: Watch = None,
    hold: Hold = None,
    head: Heads = None,
    heads_folder: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="Clients may name heads of this folder, NAME.head.npz; those of --head they may name anyway.",
            show_default="none",
        ),
    ] = None,
    decode: Annotated[
        str,
        typer.Option("--decode", metavar="WHEN", help="When a segment is put into words: closed, open, both or none."),
    ] = "both",
    min_confidence: MinConfidence = None,
    reuse: Reuse = None,
    still: Still = None,
    store: StoreFolder = None,
    keep: KeepAge = None,
    keep_size: KeepSize = None,
    record: Record = False,
    record_before: RecordBefore = None,
    record_after: RecordAfter = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to serve; one that others reach needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="0: a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="VLJEPA_TOKEN",
            metavar="TOKEN",
            help="Who asks must send it. Other users of this machine see options; they don't see the variable.",
            show_default="none",
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            "--mqtt",
            metavar="ADDRESS",
            help="Publish events to this broker, too: mqtt://USER@HOST:PORT/PREFIX, or mqtts://.",
            show_default="none",
        ),
    ] = None,
    mqtt_password: Annotated[
        str | None,
        typer.Option(
            "--mqtt-password",
            envvar="VLJEPA_MQTT_PASSWORD",
            metavar="PASSWORD",
            help="Of the broker's user. Other users of this machine see options; they don't see the variable.",
            show_default="none",
        ),
    ] = None,
    mqtt_discovery: Annotated[
        str,
        typer.Option("--mqtt-discovery", metavar="PREFIX", help='Where Home Assistant finds streams; "": nowhere.'),
    ] = "homeassistant",
    max_streams: Annotated[int, typer.Option("--max-streams", min=1, max=256, metavar="N", help="At once.")] = 16,
    max_clients: Annotated[
        int, typer.Option("--max-clients", min=1, max=1024, metavar="N", help="Of events, and of live pictures.")
    ] = 32,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    debug: Debug = False,
) -> None:
    """Watch videos, cameras and network streams, show them on a live page and tell of their events by HTTP, until
    Ctrl-C or SIGTERM comes. Needs the extra `serve`.

    \b
    Examples:
      vljepa serve door=camera:0
      vljepa serve clip.mp4 --query "What moves?" --port 8080
      vljepa serve rtsp://10.0.0.5/door --watch cup,person
      vljepa serve door=camera:0 --store ~/events --keep 30d
      vljepa serve rtsp://10.0.0.5/door --store ~/events --record
      vljepa serve camera:0 --mqtt mqtt://broker.local/robot
      VLJEPA_TOKEN=... vljepa serve camera:0 --host 0.0.0.0
    """
    require(("starlette", "uvicorn", "websockets", "prometheus_client"), "serve")
    from vljepa_edge.serve.access import check_token
    from vljepa_edge.serve.hub import Hub, Limits
    from vljepa_edge.serve.server import Server
    from vljepa_edge.serve.shelf import HeadShelf, name_heads
    from vljepa_edge.streaming.options import Decode, StreamOptions

    wanted = read_wanted(watch, hold, None, head)
    options = StreamOptions(
        policy=policy,
        hop=hop,
        decode=cast(Decode, decode),
        min_confidence=min_confidence,
        reuse=reuse or 0.0,
        still=still or 0.0,
    )
    given = name_heads(wanted.heads)
    stored = read_store(store, keep, keep_size, record, record_before, record_after)
    check_token(token, host)  # before a model is loaded
    broker = _read_broker(mqtt, mqtt_password, mqtt_discovery)
    loaded = load_model(model, engine, threads, precision)
    wanted.check(loaded)
    limits = Limits(streams=max_streams, clients=max_clients)
    shelf = HeadShelf(loaded, given, heads_folder)
    kept = None if stored is None else stored.open(loaded)
    hub = Hub(loaded, limits, options, kept, shelf, None if stored is None else stored.record)
    publisher = None
    try:
        if broker is not None:
            publisher = _publish(hub, broker, mqtt_discovery)
        server = Server(hub, host, port, token, publisher)
        asked = query or ([] if wanted else None)
        for name, source in map(read_source, sources or ()):
            hub.add(source, name, query=asked, watch=wanted.watch, hold=wanted.hold, heads=list(given.values()))
        if publisher is not None:
            publisher.start()
        names = ", ".join(channel.name for channel in hub.channels) or "no stream so far"
        server.serve_forever(lambda: console().print(f"serving {names} on {server.address}"))
    finally:
        hub.close()
        if publisher is not None:
            publisher.close()


def _read_broker(address: str | None, password: str | None, discovery: str) -> Broker | None:
    """The broker to publish to, checked before a model is loaded."""
    if address is None:
        return None
    require(("paho",), "mqtt")
    from vljepa_edge.serve.mqtt.broker import read_broker
    from vljepa_edge.serve.mqtt.discovery import read_discovery

    read_discovery(discovery)
    return read_broker(address, password)


def _publish(hub: Hub, broker: Broker, discovery: str) -> Publisher:
    from vljepa_edge.serve.mqtt.publisher import Publisher

    def tell(error: BrokerError | None) -> None:
        said = f"{broker}: connected" if error is None else f"{error}; trying again"
        console(stderr=True).print(said)

    return Publisher(hub, broker, discovery=discovery, told=tell)
