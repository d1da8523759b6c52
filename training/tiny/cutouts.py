"""Photo-like cut-outs with English names, and photographs to move them over; split into trained and held out.

Both come from packages (see assets.py) and are never stored in the repository. Held-out objects are fixed by a hash of
their name, so that no seed moves an object across the line; held-out backgrounds are fixed by file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

_LONGEST = 200
_FEWEST_COLOURS = 150  # photographs have many, drawings few
_HELD_OUT_SHARE = 0.2
_NOT_A_NOUN = {
    "eye",
    "pair",
    "key",
    "button",
    "gnu",
    "monument stone",
    "gravestone",
    "headstone",
    "grave marker",
    "cep",
    "xanthia",
    "ripe",
}
# Photographs without a dominant animal or vehicle. The test ones are never trained on.
_TRAIN_BACKGROUNDS = (
    "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "greentock_by_Peter_Nerlich", "seeding_by_Clements_Engelhardt",
    "aitzgorri_by_Aitzol_Berasategi", "Dragonfly_by_Bolly", "sunset_by_Aitzol_Berasategi",
    "picosdeeuropa_by_Aitzol_Berasategi", "Picture_0B_by_freespace", "life_by_Aitzol_Berasategi",
    "Bridge_by_Sander_Klootwijk", "Garden", "Dune", "Wood", "Aqua", "TwoWings", "Storm", "GreenMeadow", "RainDrops",
    "Blinds", "FreshFlower", "LadyBird", "YellowFlower", "Volna", "summer_1am", "ColorfulCups", "OneStandsOut", "Kite",
    "ColdRipple",
)  # fmt: skip
_TEST_BACKGROUNDS = ("FallenLeaf", "Path", "DarkestHour", "EveningGlow", "Grey", "BytheWater")
_SIDES = (236, 340, 500)


def name_of(description: str) -> str | None:
    """'A peacock (a male peafowl).' -> 'peacock'; None when it is not a plain noun phrase of at most three words."""
    match = re.match(r"(?:A|An)\s+([^.,(!—]+)", description)
    if not match:
        return None
    name = re.sub(r"[“”\"'‘’]", "", match[1]).strip()
    name = re.sub(r"^very (poisonous|small) ", "", name)
    words = name.split()
    return None if not words or len(words) > 3 or name in _NOT_A_NOUN or {"resembles", "is"} & set(words) else name


def held_out(names: Iterable[str]) -> frozenset[str]:
    """The fifth of the names that is kept out of training: those with the smallest hashes."""
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return frozenset(ranked[: round(_HELD_OUT_SHARE * len(ranked))])


def _colours(picture: Image.Image) -> int:
    pixels = np.asarray(picture.resize((128, 128)))
    solid = pixels[..., 3] > 128
    return len(np.unique((pixels[..., :3][solid] // 8), axis=0)) if solid.any() else 0


def load_cutouts(folder: Path) -> dict[str, list[Image.Image]]:
    """Names -> RGBA cut-outs, longest side 200 px, read from a tree of PNGs with a description beside each."""
    found: dict[str, list[Image.Image]] = {}
    for path in sorted(folder.rglob("*.png")):
        note = path.with_suffix(".txt")
        if path.stem.endswith(("_mirror", "_flip")) or not note.exists():
            continue
        relative = path.relative_to(folder)
        if relative.parts[0] == "symbols" or "cartoon" in str(relative):
            continue
        name = name_of(note.read_text(encoding="utf8", errors="replace").splitlines()[0].strip())
        if name is None:
            continue
        picture = Image.open(path).convert("RGBA")
        if _colours(picture) <= _FEWEST_COLOURS:
            continue
        picture = picture.crop(picture.getchannel("A").getbbox())
        found.setdefault(name, []).append(_scaled(picture, _LONGEST / max(picture.size)))
    return dict(sorted(found.items()))


def load_backgrounds(folders: list[Path], test: bool) -> list[list[Image.Image]]:
    """Photographs, each at three sizes (short side 236, 340, 500 px)."""
    wanted = set(_TEST_BACKGROUNDS if test else _TRAIN_BACKGROUNDS)
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.jpg")):
            # wallpapers that come in many sizes lie in NAME/contents/images/WIDTHxHEIGHT.jpg
            name = path.parts[-4] if path.parent.name == "images" else path.stem
            if name in wanted and (
                path.parent.name != "images" or path.stem in ("1920x1080", "2560x1600", "5120x2880")
            ):
                found.setdefault(name, path)
    out = []
    for _, path in sorted(found.items()):
        photo = Image.open(path)
        photo.draft("RGB", (1200, 1200))
        picture = photo.convert("RGB")
        out.append([_scaled(picture, side / min(picture.size), margin=1) for side in _SIDES])
    return out


def _scaled(picture: Image.Image, factor: float, margin: int = 0) -> Image.Image:
    size = tuple(max(8, round(side * factor) + margin) for side in picture.size)
    return picture.resize(size, Image.Resampling.BICUBIC)  # type: ignore[arg-type]
