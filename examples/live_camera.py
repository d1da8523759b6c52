"""Describe a camera for a while, never falling behind it: python examples/live_camera.py [camera:0] [seconds]

The stream works on a thread of its own. push() returns at once: when the model is busy, hops are left out first, and
frames that have to be dropped are counted. So the loop stays free for a robot's other work.
"""

import os
import sys
import time

import vljepa_edge
from vljepa_edge.video.source import open_source

source = sys.argv[1] if len(sys.argv) > 1 else "camera:0"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
model = vljepa_edge.load(os.environ.get("VLJEPA_MODEL"))

with model.open_stream(query="What is happening?", live=True) as stream, open_source(source, live=True) as camera:
    end = time.monotonic() + seconds
    for frame in camera:
        stream.push(frame.image, frame.time, copy=False)  # the source makes a new array for each frame
        for event in stream.poll():
            print(event)
        if time.monotonic() > end:
            break
    stream.flush()
    for event in stream.poll():
        print(event)
    print(f"{stream.stats().dropped} of {stream.stats().frames} frames dropped")
