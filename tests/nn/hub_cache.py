"""The Hugging Face hub's cache as huggingface_hub lays it out, and no network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import huggingface_hub.constants
import pytest


def publish(cache: Path, name: str, commit: str, source: Path, *refs: str) -> Path:
    """The files of `source` as the model's snapshot of `commit`, which branches and tags `refs` name."""
    model = cache / f"models--{name.replace('/', '--')}"
    (model / "blobs").mkdir(parents=True, exist_ok=True)
    for ref in refs:
        (model / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (model / "refs" / ref).write_text(commit)
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        part = file.relative_to(source)
        blob = hashlib.sha256(file.read_bytes()).hexdigest()
        (model / "blobs" / blob).write_bytes(file.read_bytes())
        link = model / "snapshots" / commit / part
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(*[".."] * (len(part.parts) + 1), "blobs", blob))
    return model / "snapshots" / commit


def offline(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """What HF_HUB_OFFLINE=1 and HF_HUB_CACHE say, which huggingface_hub reads when it is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
