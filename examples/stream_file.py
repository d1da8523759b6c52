"""Say what happens in a video, as it happens: python examples/stream_file.py clip.mp4 ["What moves?"]"""

import os
import sys

import vljepa_edge

model = vljepa_edge.load(os.environ.get("VLJEPA_MODEL"))  # None: the embedded bundle
events = model.stream(
    sys.argv[1], query=sys.argv[2] if len(sys.argv) > 2 else None, policy="running-ward:threshold=0.3"
)
for event in events:
    if event.status == "closed":
        print(f"{event.start:6.2f} - {event.end:6.2f} s  {event.text}")
stats = events.stats()
print(f"{stats.frames} frames, {stats.decodes} texts decoded for {stats.hops} hops")
