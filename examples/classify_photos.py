"""Sort photos by what they show: python examples/classify_photos.py cat,dog,car *.jpg"""

import os
import sys

import vljepa_edge

labels, photos = sys.argv[1].split(","), sys.argv[2:]
model = vljepa_edge.load(os.environ.get("VLJEPA_MODEL"))
for photo in photos:
    try:
        best = model.classify(photo, labels)[0]
    except vljepa_edge.VideoError as error:
        print(f"skipped {error}", file=sys.stderr)
        continue
    print(f"{photo}: {best.label} ({best.score:.2f})")
