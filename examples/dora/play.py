"""A dora node that plays a video as a camera would: VLJEPA_SOURCE, a file. Run by dataflow.yml."""

import os

import pyarrow as pa
from dora import Node

from vljepa_edge.video.source import open_source

node = Node()
with open_source(os.environ["VLJEPA_SOURCE"], live=True) as frames:
    for image, _ in frames:
        height, width, _ = image.shape
        node.send_output("image", pa.array(image.ravel()), {"encoding": "rgb8", "width": width, "height": height})
