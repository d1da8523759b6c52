"""Plain pictures in place of the packages': ellipses of one colour before grey."""

from __future__ import annotations

from tests.training.tiny.fakes import NAMES, cutout, grey_background
from vljepa_edge.training.reproduction.held_out import HeldOut
from vljepa_edge.training.tiny.scenes import Painter


def held_out() -> HeldOut:
    cutouts = {name: [cutout((40 * number % 255, 230, 200))] for number, name in enumerate(NAMES)}
    return HeldOut(Painter(cutouts, grey_background()), sorted(NAMES))
