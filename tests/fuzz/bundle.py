"""Bundles whose manifest, zip, tokenizers or graphs are damaged, with honest hashes where those would give it away."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz._damage import damaged_bytes, damaged_json
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle import Bundle
from vljepa_edge.model import Model, load
from vljepa_edge.perception.text import Text, read_tokenizers

TOKENIZERS = ("tokenizers/query.json", "tokenizers/target.json", "tokenizers/decoder.json")


def cases(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each call opens a damaged bundle and, where that works, uses it."""
    toy = write_toy_bundle(folder / "toy")
    archive = write_toy_bundle(folder / "toy.vljepa").read_bytes()
    model = load(toy, threads=1, precision="f32")
    manifest: dict[str, Any] = json.loads((toy / "manifest.json").read_bytes())
    files = {name: (toy / name).read_bytes() for name in model.bundle.manifest.entries()}
    graphs = sorted({graph.file for graph in model.bundle.manifest.graphs.values()})

    def put(name: str, data: bytes) -> None:
        (toy / name).write_bytes(data)
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        told = json.loads(json.dumps(manifest))
        for graph in told["graphs"].values():
            if graph["file"] == name:
                graph.update(entry)
        if name in told["files"]:
            told["files"][name] = entry
        (toy / "manifest.json").write_text(json.dumps(told))

    while True:
        (toy / "manifest.json").write_bytes(damaged_json(manifest, rng))
        yield "toy/manifest.json", lambda: use(load(toy, threads=1))

        damaged = folder / "damaged.vljepa"
        damaged.write_bytes(damaged_bytes(archive, rng))
        yield damaged.name, lambda damaged=damaged: Bundle.open(damaged)  # type: ignore[misc]

        name = rng.choice(TOKENIZERS)
        put(name, damaged_json(json.loads(files[name]), rng))
        yield f"toy/{name}", lambda: use_text(_text_of(Bundle.open(toy), model))
        (toy / name).write_bytes(files[name])

        name = rng.choice(graphs)
        put(name, damaged_bytes(files[name], rng))
        yield f"toy/{name}", lambda: use(load(toy, threads=1))
        (toy / name).write_bytes(files[name])


def _text_of(bundle: Bundle, model: Model) -> Text:
    return Text(bundle.manifest, model.graphs, read_tokenizers(bundle))


def use(model: Model) -> None:
    """All graphs and tokenizers of the model."""
    use_text(model.text)
    model.embed_video(np.zeros((9, 40, 40, 3), np.uint8))


def use_text(text: Text) -> None:
    """The text half of a model."""
    text.query("What is happening?")
    text.decode(text.embed(["a red ball", "\U0001f600 moves\n left"])[0])
