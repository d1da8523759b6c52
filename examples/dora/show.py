"""A dora node that prints events. Run by dataflow.yml."""

from dora import Node

for message in Node():
    if message["type"] == "INPUT":
        print(message["value"][0].as_py(), flush=True)
