"""The default's frozen streams, which every trained arm sees through.

    python -m vljepa_edge.training.reproduction.streams FOLDER

fits them to drawn clips by the recipe `tiny` of the default, in half an hour of two cores or more, and replaces
`streams.safetensors` beside this file. FOLDER is a work folder, such as `make tiny` leaves. Rounding gives them other
numbers on another machine, so arms read that file: they see the same wherever they are made.
"""

from __future__ import annotations

import argparse
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_edge.nn.tiny_streams import TinyStreams

FITTED = Path(__file__).with_name("streams.safetensors")
"""What was fitted: the projection of appearance, the embeddings of classes, the motion stem."""
FEATURES = "features"
"""In what arms share: what the frozen streams make of photographs and clips."""


@cache
def streams_name() -> str:
    """Of the frozen streams: of other numbers it is another."""
    return hashlib.sha256(FITTED.read_bytes()).hexdigest()[:16]


def load_streams(x_encoder: TinyStreams) -> None:
    """Give it what was fitted. Its image network has the weights of the pinned package already."""
    from safetensors.torch import load_file

    left, _ = x_encoder.load_state_dict(load_file(FITTED), strict=False)
    assert all(name.startswith(x_encoder.sourced) for name in left)


def main() -> None:
    """Fit and write."""
    from vljepa_edge.training.tiny.features import save_tensors
    from vljepa_edge.training.tiny.make import RECIPES, begin
    from vljepa_edge.training.tiny.model import streams
    from vljepa_edge.training.tiny.prepare import Workshop
    from vljepa_edge.training.tiny.recipe import load_recipe

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    workshop = Workshop(load_recipe(RECIPES / "tiny.yaml"), parser.parse_args().folder)
    made = streams(begin(workshop, print))
    state = made.state_dict().items()
    save_tensors({name: value for name, value in state if not name.startswith(made.sourced)}, FITTED)


if __name__ == "__main__":
    main()
