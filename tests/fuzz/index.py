"""Indexes whose index.json or arrays are damaged, with honest hashes where those would give it away."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.fuzz._damage import damaged_bytes, damaged_json
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.model import Model, load
from vljepa_edge.tasks.retrieve import Index


def cases(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each call loads a damaged index and, where that works, searches it and saves it."""
    model = load(write_toy_bundle(folder / "toy"), threads=1, precision="f32")
    made = Index(model)
    for name, level in (("dark", 20), ("bright", 240)):
        made.add(np.full((20, 32, 32, 3), level, np.uint8), name=name)
    saved = made.save(folder / "index")
    files = {path.name: path.read_bytes() for path in saved.iterdir()}
    note = json.loads(files["index.json"])
    while True:
        for path in saved.iterdir():
            path.unlink()
        for name, data in files.items():
            (saved / name).write_bytes(data)
        if rng.random() < 0.5:
            name = "index.json"
            (saved / name).write_bytes(damaged_json(note, rng))
        else:
            told = json.loads(files["index.json"])
            kind = rng.choice(("embeddings", "spans"))
            name = told["arrays"][kind]["file"]
            data = damaged_bytes(files[name], rng)
            (saved / name).write_bytes(data)
            told["arrays"][kind]["sha256"] = hashlib.sha256(data).hexdigest()
            (saved / "index.json").write_text(json.dumps(told))
        yield f"index/{name}", lambda: use(saved, model)


def use(folder: Path, model: Model) -> None:
    """What a program does with an index."""
    index = Index.load(folder, model)
    index.search("a red ball", k=9)
    index.add(np.zeros((32, 32, 3), np.uint8), name="another")
    index.remove(*index.names[:1])
    index.save(folder)
    assert Index.load(folder, model).names == index.names
