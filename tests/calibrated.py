"""A bundle with calibrators, made of another one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.model import load

LOGISTIC = {"kind": "logistic", "slope": 4.0, "offset": -1.0}


def write_calibrated(bundle: Path, out: Path, *, general: Sequence[str] = (), slope: float = 4.0, **entry: Any) -> Path:
    """The bundle with `entry` as its confidence. general: sentences to fall back on; slope: of their calibrator."""
    source = Bundle.open(bundle)
    files: dict[str, bytes | Path] = {name: source.read(name) for name in source.manifest.entries()}
    manifest = source.manifest.model_dump(mode="json", by_alias=True, exclude={"files", "created"})
    manifest["confidence"] = entry
    if general:
        rows = io.BytesIO()
        np.save(rows, load(bundle, threads=1, precision="f32").embed_text(general).astype(np.float16))
        files |= {"texts/general.txt": "\n".join(general).encode(), "texts/general.npy": rows.getvalue()}
        names = {"texts": "texts/general.txt", "embeddings": "texts/general.npy"}
        entry["general"] = {**names, "calibrator": {"kind": "logistic", "slope": slope, "offset": 0.0}}
    return write_bundle(out, manifest, files)
