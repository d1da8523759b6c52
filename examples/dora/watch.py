"""A dora node: images in on `image`, events out on `event`, each as one line of JSON. Run by dataflow.yml.

A text on the input `query` asks something else from then on.
"""

import os

import pyarrow as pa
from dora import Node

import vljepa_edge
from vljepa_edge.robots.arrow import arrow_frame, arrow_time
from vljepa_edge.robots.watcher import Watcher

lines: list[str] = []  # of the stream's thread; dora's node is for this one
node = Node()
watcher = Watcher(vljepa_edge.load(os.environ.get("VLJEPA_MODEL")), lines.append)


def send() -> None:
    """Pass on the events that have come."""
    while lines:
        node.send_output("event", pa.array([lines.pop(0)]))


for message in node:
    if message["type"] == "INPUT":
        value, metadata = message["value"], message["metadata"]
        try:
            if message["id"] == "query":
                watcher.change(query=value[0].as_py())
            else:
                watcher.see(lambda value=value, metadata=metadata: arrow_frame(value, metadata), arrow_time(metadata))
        except vljepa_edge.VLJepaError as error:
            print(error, flush=True)
    send()
watcher.close()
send()
