"""`vljepa query` and `vljepa labels`: what is asked of a video as a file, for programs in C and C++.

They split only some texts into tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.classify import read_names
from vljepa_edge.cli.options import Debug, EngineName, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, naming
from vljepa_edge.cli.place import check_place
from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vljepa_edge.perception.text import Query

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npz", help="The file to write.", show_default=False)]


def query(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is asked of a video.")],
    out: Out,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    debug: Debug = False,
) -> None:
    """Write a query, embedded for one model, to a file that libvljepa's `query_files` take.

    \b
    Example:
      vljepa query "Is the café table free?" --out cafe.npz
    """
    check_place(out)
    loaded = load_model(model, engine, threads, precision)
    embedded = loaded.text.query(text)
    digest = loaded.manifest.graphs["query"].sha256
    _write(out, text=_letters(text), graph=_letters(digest), **_asked(embedded))
    console().print(f"{out}: {embedded.tokens.shape[1]} tokens of {loaded.manifest.name}", highlight=False)


def labels(
    names: Annotated[str, typer.Argument(metavar="A,B|@FILE|@coco80", help="The labels to watch for.")],
    out: Out,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    debug: Debug = False,
) -> None:
    """Write labels, embedded for one model, to a file that libvljepa watches for.

    \b
    Example:
      vljepa labels cup,person --out labels.npz
    """
    check_place(out)
    given = read_names(names, "A,B")
    loaded = load_model(model, engine, threads, precision)
    embedded = loaded.labels(given)
    graphs = (loaded.manifest.graphs[role].sha256 for role in ("query", "y_encoder"))
    _write(
        out,
        names=_letters(json.dumps(list(embedded.names))),
        query=_letters(embedded.query),
        graphs=_letters("".join(graphs)),
        rows=embedded.rows,
        **_asked(embedded.asked),
    )
    console().print(f"{out}: {len(embedded.names)} labels of {loaded.manifest.name}", highlight=False)


def _asked(query: Query) -> dict[str, Any]:
    return {"tokens": query.tokens, "mask": query.mask}


def _write(out: Path, **arrays: NDArray[Any]) -> None:
    import numpy as np

    with naming(out), replacing(out) as part, part.open("wb") as file:  # np.savez would add a suffix to a name
        np.savez(file, allow_pickle=False, **arrays)


def _letters(text: str) -> NDArray[np.uint8]:
    """UTF-8, which every language can read out of an array."""
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)
