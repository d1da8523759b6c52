"""Videos, photos and arrays with some of their bytes changed: each gives frames or a VLJepaError, nothing else."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.heif import aperture, size, turned, write_heic
from tests.media import write_video
from vljepa_edge.video import open_source

# Whatever a damaged header promises, a case ends soon.
_FRAMES = 50


def cases(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Endless (name, call). A call reads the file `name` of `folder`, which is replaced by the next case."""
    seeds = _seeds(folder)
    while True:
        for name, data in seeds.items():
            path = folder / name
            damaged = mutated(data, rng)
            path.write_bytes(damaged)
            yield name, lambda path=path: _read(path)  # type: ignore[misc]
        array = mutated(_array(), rng)
        yield "array.npy", lambda array=array: _load(array)  # type: ignore[misc]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with bytes changed, put in, taken out or repeated, or its end cut off. The beginning is hit more often."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        limit = len(changed) if rng.random() < 0.5 else min(len(changed), 512)
        if limit == 0:
            break
        at = rng.randrange(limit)
        kind = rng.randrange(7)
        if kind == 0:
            changed[at] = rng.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
        elif kind == 3:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 4:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 5:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def _read(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_source(str(path), size=(32, 32)) as source:
            for number, _ in enumerate(source):
                if number == _FRAMES:
                    return


def _load(data: bytes) -> None:
    """What a user does with an array of his own; NumPy's errors are his, a frame's are ours."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:
        return
    with open_source(array, size=(32, 32), fps=5.0) as source:
        for _, _ in zip(range(_FRAMES), source, strict=False):
            pass


def _array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((3, 8, 8, 3), np.uint8))
    return file.getvalue()


def _seeds(folder: Path) -> dict[str, bytes]:
    """Small sound files of each kind."""
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    made = [
        write_video(folder / "a.mp4", 6, title="a title"),
        write_video(folder / "turned.mp4", 6, rotation=90, options={"bf": "2"}),
        write_video(folder / "fragments.mp4", 6, container_options={"movflags": "frag_keyframe+empty_moov"}),
        write_video(folder / "a.mkv", 6, title="a title", audio=0.5),
        write_video(folder / "a.avi", 6, options={"bf": "2"}),
        write_video(folder / "jpeg.avi", 6, codec="mjpeg", pix_fmt="yuvj420p"),
        write_video(folder / "a.ts", 6),
        write_video(folder / "a.flv", 6),
        write_video(folder / "a.webm", 6, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
        write_video(folder / "a.gif", 6, codec="gif", pix_fmt="rgb8"),
        write_heic(folder / "photo.heic", [picture], [size(64, 64), aperture(60, 50, (0, 1), (0, 1)), turned(1)]),
        write_heic(folder / "grid.heic", [picture] * 4, grid=(2, 2, 120, 120)),
    ]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 5, "a description"
    photo = Image.fromarray(picture)
    for suffix in ("jpg", "png", "webp", "tiff", "avif", "bmp"):
        path = folder / f"photo.{suffix}"
        photo.save(path, **({} if suffix == "bmp" else {"exif": exif}))
        made.append(path)
    moving = folder / "moving.webp"
    photo.save(moving, save_all=True, append_images=[Image.new("RGBA", (64, 64), (9, 200, 9, 90))], duration=[100, 500])
    return {path.name: path.read_bytes() for path in [*made, moving]}
