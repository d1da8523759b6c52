"""The pipeline written out naively for the toy bundle: each window is encoded from scratch with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from vljepa_edge.bundle.store import Bundle


class Scratch:
    """One toy bundle, without vljepa_edge's vision, text, window or stream."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def run(self, file: str, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        return list(self._sessions[file].run(None, inputs))

    def ids(self, tokenizer: str, text: str) -> NDArray[np.int64]:
        found = Tokenizer.from_str(self.bundle.read(f"tokenizers/{tokenizer}.json").decode()).encode(text).ids
        cut = found if len(found) <= 64 else [*found[:63], found[-1]]  # a text that is too long keeps its end token
        return np.array([cut], np.int64)

    def embed_text(self, text: str) -> NDArray[np.float32]:
        ids = self.ids("target", text)
        vector: NDArray[np.float32] = self.run("text", input_ids=ids, attention_mask=np.ones_like(ids))[1][0]
        return vector

    def embed_window(self, frames: Sequence[NDArray[np.uint8]], query: str) -> NDArray[np.float32]:
        """Exactly 8 frames of 32 x 32."""
        encoded = [self.run("x_encoder_appearance", frame=frame[None]) for frame in frames]
        luma = np.stack([item[1][0] for item in encoded])[None]
        appearance = np.stack([item[0][0] for item in encoded])[None]
        ids = self.ids("query", query)
        mask = np.ones_like(ids)
        tokens = self.run("text", input_ids=ids, attention_mask=mask)[0]
        (motion,) = self.run("x_encoder_motion", luma=luma)
        given = {"appearance": appearance, "motion": motion, "query_tokens": tokens, "query_mask": mask}
        vector: NDArray[np.float32] = self.run("predictor", **given)[0][0]
        return vector

    def embed_stream(self, frames: Sequence[NDArray[np.uint8]], query: str) -> NDArray[np.float32]:
        """A row a frame: the window that ends there, filled with the first frame."""
        padded = [frames[0]] * 7 + list(frames)
        return np.stack([self.embed_window(padded[i : i + 8], query) for i in range(len(frames))])

    def decode(self, embedding: NDArray[np.float32]) -> str:
        tokenizer = Tokenizer.from_str(self.bundle.read("tokenizers/decoder.json").decode())
        end = tokenizer.token_to_id("</s>")
        ids = [tokenizer.encode("<s>").ids[0]]
        while len(ids) <= 16:
            (logits,) = self.run("y_decoder", embedding=embedding[None], ids=np.array([ids], np.int64))
            ids.append(int(logits[0].argmax()))
            if ids[-1] == end:
                break
        return str(tokenizer.decode(ids))

    @cached_property
    def _sessions(self) -> dict[str, ort.InferenceSession]:
        names = ("x_encoder_appearance", "x_encoder_motion", "predictor", "text", "y_decoder")
        return {name: ort.InferenceSession(self.bundle.read(f"graphs/{name}.onnx")) for name in names}
