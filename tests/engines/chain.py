"""Frames and a query through every graph of a bundle, as the runtime does it, to compare engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import Graph

Arrays = dict[str, NDArray[Any]]


def smooth_frames(bundle: Bundle, seed: int) -> NDArray[np.uint8]:
    """uint8 [T, H, W, 3]: colour gradients that drift, so that no average is zero and every frame differs."""
    video = bundle.manifest.video
    rng = np.random.default_rng(seed)
    y, x, t = np.meshgrid(
        np.linspace(0, 1, video.height), np.linspace(0, 1, video.width), np.linspace(0, 1, video.window), indexing="ij"
    )
    waves = [np.sin(2 * np.pi * (a * x + b * y + c * t + d)) for a, b, c, d in rng.uniform(0.3, 2, (3, 4))]
    return np.ascontiguousarray((127.5 + 120 * np.stack(waves, -1)).astype(np.uint8).transpose(2, 0, 1, 3))


def token_ids(bundle: Bundle, text: str) -> Arrays:
    tokenizer = Tokenizer.from_str(bundle.read(bundle.manifest.text.query_tokenizer).decode())
    tokenizer.no_padding()
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def run_chain(graphs: Mapping[str, Graph], bundle: Bundle, frames: NDArray[np.uint8], query: str) -> Arrays:
    """Outputs that must agree: `predictor` and `y_encoder` embeddings, `logits` of the first decoded token."""
    entries = bundle.manifest.graphs
    cached: dict[str, list[NDArray[Any]]] = {}
    for role in bundle.manifest.x_encoders:
        if entries[role].unit == "frame":
            for frame in frames:
                for name, value in graphs[role]({"frame": frame[None]}).items():
                    cached.setdefault(name, []).append(value)
    ready: Arrays = {name: np.stack(values, axis=1) for name, values in cached.items()}
    ready["frames"] = frames[None]
    for role in bundle.manifest.x_encoders:
        if entries[role].unit == "clip":
            ready |= graphs[role]({name: ready[name] for name in graphs[role].inputs})
    tokens = token_ids(bundle, query)
    ready["query_tokens"] = graphs["query"](tokens)["query_tokens"]
    ready["query_mask"] = tokens["attention_mask"]
    embedding = graphs["predictor"]({name: ready[name] for name in graphs["predictor"].inputs})["embedding"]
    step: Arrays = {"embedding": embedding, "ids": np.array([[bundle.manifest.text.decoder_start or 0]], np.int64)}
    past = entries["y_decoder"].input("past")
    if past is not None:
        step["past"] = np.zeros((1, past.shape[1], 0, past.shape[3]), np.float32)
    return {
        "predictor": embedding,
        "y_encoder": graphs["y_encoder"](tokens)["embedding"],
        "logits": graphs["y_decoder"](step)["logits"],
    }


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
