"""Makes the pictures of the live page for docs/serve.md: a drawn video, the default model, and a headless Chromium.

    python -m docs.picture_page
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.serve.chromium import chromium
from vljepa_edge import load
from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.server import Server

WIDTH, HEIGHT, FPS, SCENE = 640, 360, 20, 6.0  # pixels, frames a second, seconds of a scene
SECONDS = 4.5 * SCENE


def draw(moment: float) -> NDArray[np.uint8]:
    """The frame at so many seconds: a ball, a box, a ball again in a dark room, and a box that falls."""
    scene, part = divmod(moment, SCENE)
    skies = ("#9fd0f2", "#f3e3c3", "#20242c", "#d8e8d0")
    grounds = ("#6fa85c", "#b08a5a", "#3a3f4a", "#8c8f80")
    image = Image.new("RGB", (WIDTH, HEIGHT), skies[int(scene) % 4])
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 250, WIDTH, HEIGHT), fill=grounds[int(scene) % 4])
    along = part / SCENE
    if int(scene) % 2 == 0:
        across = int(60 + 480 * along) if scene % 4 == 0 else int(540 - 480 * along)
        pen.ellipse((across - 55, 190, across + 55, 300), fill="#d8342a" if scene % 4 == 0 else "#e8c53a")
    else:
        down = int(180 + 20 * np.sin(part)) if int(scene) % 4 == 1 else int(40 + 220 * along)
        pen.rectangle((260, down - 60, 380, down + 60), fill="#2f62b5", outline="#16305c", width=4)
    return np.asarray(image)


def camera() -> Iterator[tuple[NDArray[np.uint8], float]]:
    """The drawn video, at the speed of a clock."""
    begun = time.monotonic()
    for index in range(int(SECONDS * FPS)):
        time.sleep(max(0.0, begun + index / FPS - time.monotonic()))
        yield draw(index / FPS), index / FPS


def main() -> None:
    """Write the pictures."""
    folder = Path(__file__).parent / "images"
    hub = Hub(load())
    server = Server(hub, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as browser:
        tab = browser.tab()
        tab.show_as(1280, 980, 1, "light")
        tab.open(server.address)
        hub.add(camera(), "door", watch=["a ball", "a box"])
        time.sleep(SECONDS - 4)
        tab.screenshot(folder / "serve-desk.png")
        tab.show_as(390, 844, 2, "dark")
        time.sleep(1)
        tab.screenshot(folder / "serve-phone.png")
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
