"""Index videos once, then find moments by text: python examples/search_videos.py index/ "a dog runs" *.mp4

The second run with the same folder reads the saved index (memory-mapped) and needs no videos on the command line.
"""

import os
import sys
from pathlib import Path

import vljepa_edge

folder, text, videos = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
model = vljepa_edge.load(os.environ.get("VLJEPA_MODEL"))
if folder.is_dir():
    index = vljepa_edge.Index.load(folder, model)
else:
    index = vljepa_edge.Index(model)
    for video in videos:
        index.add(video, name=Path(video).name)
    index.save(folder)
for hit in index.search(text, k=5):
    print(f"{hit.score:.3f}  {hit.name} at {hit.start:.2f} s")
