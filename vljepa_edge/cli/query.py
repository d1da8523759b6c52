"""`vljepa query`: a query as a file, for programs in C and C++, which split only some texts into tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, EngineName, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console
from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def query(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is asked of a video.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.npz", help="The file to write.", show_default=False)
    ],
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    debug: Debug = False,
) -> None:
    """Write a query, embedded for one model, to a file that libvljepa's `query_files` take.

    \b
    Example:
      vljepa query "Où est la tasse ?" --out tasse.npz
    """
    import numpy as np

    loaded = load_model(model, engine, threads, precision)
    embedded = loaded.text.query(text)
    arrays: dict[str, Any] = {
        "text": _letters(text),
        "graph": _letters(loaded.manifest.graphs["query"].sha256),
        "tokens": embedded.tokens,
        "mask": embedded.mask,
    }
    with replacing(out) as part, part.open("wb") as file:  # np.savez would add a suffix to a name
        np.savez(file, allow_pickle=False, **arrays)
    console().print(f"{out}: {embedded.tokens.shape[1]} tokens of {loaded.manifest.name}", highlight=False)


def _letters(text: str) -> NDArray[np.uint8]:
    """UTF-8, which every language can read out of an array."""
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)
