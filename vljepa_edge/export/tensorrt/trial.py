"""What an engine that was just built is run on once, before it is kept: its numbers must be finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.export.tensorrt.profiles import Shapes
from vljepa_edge.perception.text_encoder import bundle_tokenizer


def trial_inputs(bundle: Bundle, file: str, shapes: Shapes) -> dict[str, NDArray[Any]]:
    """Inputs of the graph in a file at their typical sizes, `shapes` as of Profiles.shapes: the tokens of the default
    query over and over, all of them seen, and noise for pixels and features."""
    role, entry = next(item for item in bundle.manifest.graphs.items() if item[1].file == file)
    rng = np.random.default_rng(0)
    made: dict[str, NDArray[Any]] = {}
    for tensor in entry.inputs:
        _, shape, _ = shapes.get(tensor.name, (tensor.shape,) * 3)
        if tensor.dtype == "uint8":
            made[tensor.name] = rng.integers(0, 256, shape, np.uint8)
        elif tensor.dtype == "float32":
            made[tensor.name] = rng.standard_normal(shape, np.float32)
        else:
            made[tensor.name] = np.resize(np.array(_whole_numbers(bundle, role, tensor.name), np.int64), shape)
    return made


def _whole_numbers(bundle: Bundle, role: str, name: str) -> list[int]:
    """Token ids where the input takes some, else a mask's 1."""
    text = bundle.manifest.text
    if name == "ids":
        return [text.decoder_end if text.decoder_start is None else text.decoder_start]
    if name != "input_ids":
        return [1]
    is_target = role == "y_encoder"
    tokenizer = bundle_tokenizer(bundle, text.target_tokenizer if is_target else text.query_tokenizer)
    return tokenizer.encode([text.target_prompt * is_target + text.default_query])[0]
