"""A dora node: images in on `image`, events out on `event`, each as one line of JSON. Run by dataflow.yml.

A text on `query` asks something else from then on. A timer on `tick` sends what is found between two images.
"""

import os

import pyarrow as pa
from dora import Node

import vljepa_edge
from vljepa_edge.robots.arrow import arrow_frame, arrow_text, arrow_time
from vljepa_edge.robots.watcher import Watcher

lines: list[str] = []  # of the stream's thread; dora's node is for this one
node = Node()
watcher = Watcher(vljepa_edge.load(os.environ.get("VLJEPA_MODEL")), lines.append)


def send() -> None:
    """Pass on the events that have come."""
    while lines:
        node.send_output("event", pa.array([lines.pop(0)]))


for message in node:
    about = (message["type"], message.get("id"))
    if about == ("INPUT_CLOSED", "image"):
        break  # the timer goes on
    try:
        if about == ("INPUT", "image"):
            watcher.see(lambda m=message: arrow_frame(m["value"], m["metadata"]), arrow_time(message["metadata"]))
        elif about == ("INPUT", "query"):
            watcher.change(query=arrow_text(message["value"]))
    except vljepa_edge.VLJepaError as error:
        print(error, flush=True)
    send()
watcher.close()
send()
