"""Clips of camera moves over photographs, and a table to fine-tune on: python examples/make_camera_moves.py FOLDER"""

import csv
import random
import sys
from pathlib import Path

import av
from PIL import Image

from vljepa_edge.support.assets import fetch
from vljepa_edge.training.tiny.assets import LOMIRI_WALLPAPERS, MATE_BACKGROUNDS

TURN, ZOOM = 0.3, 0.3  # of the view's width, in one stretch
SECONDS, FPS, WIDTH, HEIGHT = 2.5, 8, 320, 240
TURNS = {"turns left": (-TURN, 0), "turns right": (TURN, 0)}
MOVES = {**TURNS, "moves forward": (0, -ZOOM), "moves back": (0, ZOOM), "stands still": (0, 0)}
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
photos = sorted(path for asset in (LOMIRI_WALLPAPERS, MATE_BACKGROUNDS) for path in fetch(asset).rglob("*.jpg"))
with open(folder / "clips.csv", "w", newline="") as table:
    rows = csv.writer(table)
    rows.writerow(["path", "start", "end", "caption"])
    for number, path in enumerate(photos):
        photo, draw = Image.open(path).convert("RGB"), random.Random(number)
        photo.thumbnail((1600, 1600))
        with av.open(str(folder / f"{path.stem}.mp4"), "w") as video:
            stream = video.add_stream("libx264", rate=FPS, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p")
            for i, (move, (turn, zoom)) in enumerate(draw.sample(list(MOVES.items()) * 2, 2 * len(MOVES))):
                across = draw.uniform(0.35, 0.45) * min(photo.width, photo.height * WIDTH / HEIGHT)
                x, y = draw.uniform(across, photo.width - across), draw.uniform(0.4, 0.6) * photo.height
                for k in range(round(SECONDS * FPS)):
                    way = k / (SECONDS * FPS) - 0.5
                    w = across * (1 + zoom * way)
                    h, at = w * HEIGHT / WIDTH, x + turn * way * across
                    view = photo.resize((WIDTH, HEIGHT), box=(at - w / 2, y - h / 2, at + w / 2, y + h / 2))
                    video.mux(stream.encode(av.VideoFrame.from_image(view)))
                rows.writerow([f"{path.stem}.mp4", i * SECONDS, (i + 1) * SECONDS, f"The camera {move}."])
            video.mux(stream.encode())
