"""The default's frozen streams, which every trained arm sees through: made once in the work folder.

The image network is a pinned package's; its projection and the motion stem are fitted to drawn clips, by the recipe
`tiny` of the default. What a work folder of it has (`make tiny`) may be copied to `streams`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import Tensor

from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.locked import locked
from vljepa_edge.training.reproduction.experiment import named

if TYPE_CHECKING:
    from vljepa_edge.training.tiny.recipe import Recipe

FEATURES = Path("streams", "features")
"""In what arms share: what the frozen streams make of photographs and clips."""


def streams_name() -> str:
    """Of the frozen streams: those of another recipe have another name."""
    recipe = _recipe().model_dump(mode="json")
    return named({part: recipe[part] for part in ("seed", "data", "motion")})


def frozen_streams(shared: Path, say: Callable[[str], None]) -> dict[str, Tensor]:
    """The X-encoder's weights by name. The first call draws and encodes clips and trains the motion stem, which
    takes half an hour of two cores or more.

    Raises AssetError when a package can't be had, and InputError as the making of the default does.
    """
    from vljepa_edge.training.tiny.make import begin
    from vljepa_edge.training.tiny.model import streams
    from vljepa_edge.training.tiny.prepare import Workshop

    file = shared / f"streams-{streams_name()}.safetensors"
    shared.mkdir(parents=True, exist_ok=True)
    with locked(shared):
        if not file.exists():
            made = streams(begin(Workshop(_recipe(), shared / FEATURES.parent), say))
            with replacing(file) as part:
                save_file({name: value.contiguous() for name, value in made.state_dict().items()}, part)
    return load_file(file)


def _recipe() -> Recipe:
    from vljepa_edge.training.tiny.make import RECIPES
    from vljepa_edge.training.tiny.recipe import load_recipe

    return load_recipe(RECIPES / "tiny.yaml")
