"""A complete random bundle of a few kilobytes that obeys the manifest, for tests that need a model but not a good one.

Its embedding follows the mean colour of the window, then (less) motion and the query; the order of frames matters. The
decoder says four words that depend on the embedding and ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from vljepa_edge.bundle.write import write_bundle

WORDS = (
    *("a", "ball", "box", "cup", "car", "red", "green", "blue", "moves", "left"),
    *("right", "up", "down", "grows", "shrinks", "still", "spins", "and", "then", "stops"),
)
TOKENS, CHANNELS, TEXT = 4, 8, 16  # appearance tokens a frame, their width, width of text tokens
_TYPES = {"uint8": TensorProto.UINT8, "int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
Spec = tuple[str, list[int], str]


def write_toy_bundle(
    path: Path,
    *,
    fps: float = 4.0,
    window: int = 8,
    width: int = 32,
    height: int = 32,
    embedding: int = 16,
    seed: int = 0,
    vjepa: bool = False,
) -> Path:
    """Write the bundle (a zip when `path` ends with .vljepa). Width and height: multiples of 8; window: at least 2.

    `vjepa`: one clip graph that takes `frames`, as V-JEPA 2 does, in place of frame features and a motion graph.
    """
    rng = np.random.default_rng(seed)
    decoder, vocabulary = _decoder_tokenizer()
    graphs: dict[str, tuple[str, bytes, str, list[Spec], list[Spec]]] = {}
    if vjepa:
        vision: list[Spec] = [("features", [1, window * TOKENS, CHANNELS], "float32")]
        frames: list[Spec] = [("frames", [1, window, height, width, 3], "uint8")]
        graphs["x_encoder_clip"] = ("x_encoder_clip", _clip(frames, vision, rng), "clip", frames, vision)
    else:
        frame: list[Spec] = [("frame", [1, height, width, 3], "uint8")]
        features: list[Spec] = [("appearance", [1, TOKENS, CHANNELS], "float32"), ("luma", [1, 8, 8], "float32")]
        luma: list[Spec] = [("luma", [1, window, 8, 8], "float32")]
        motion: list[Spec] = [("motion", [1, 2, 4], "float32")]
        vision = [("appearance", [1, window, TOKENS, CHANNELS], "float32"), *motion]
        graphs["x_encoder_appearance"] = (
            "x_encoder_appearance",
            _frame(frame, features, rng),
            "frame",
            frame,
            features,
        )
        graphs["x_encoder_motion"] = ("x_encoder_motion", _motion(luma, motion, rng), "clip", luma, motion)
    ids: list[Spec] = [("input_ids", [-1, -1], "int64"), ("attention_mask", [-1, -1], "int64")]
    tokens: list[Spec] = [("query_tokens", [-1, -1, TEXT], "float32")]
    texts: list[Spec] = [("embedding", [-1, embedding], "float32")]
    text = _text(ids, [*tokens, *texts], rng)
    graphs["query"] = ("text", text, "text", ids, tokens)
    graphs["y_encoder"] = ("text", text, "text", ids, texts)
    asked: list[Spec] = [*vision, ("query_tokens", [1, -1, TEXT], "float32"), ("query_mask", [1, -1], "int64")]
    answer: list[Spec] = [("embedding", [1, embedding], "float32")]
    graphs["predictor"] = ("predictor", _predictor(asked, answer, window, rng), "clip", asked, answer)
    step: list[Spec] = [*answer, ("ids", [1, -1], "int64")]
    logits: list[Spec] = [("logits", [1, vocabulary], "float32")]
    graphs["y_decoder"] = ("y_decoder", _decoder(step, logits, rng), "step", step, logits)

    manifest = {
        "name": "toy",
        "version": "0",
        "created": "2026-01-01T00:00:00+00:00",
        "licence": "Apache-2.0",
        "graphs": {
            role: {"file": f"graphs/{file}.onnx", "unit": unit, "inputs": _specs(inputs), "outputs": _specs(outputs)}
            for role, (file, _, unit, inputs, outputs) in graphs.items()
        },
        "video": {"width": width, "height": height, "resize": "cover", "fps": fps, "window": window, "hop": 1},
        "text": {
            "query_tokenizer": "tokenizers/query.json",
            "target_tokenizer": "tokenizers/target.json",
            "decoder_tokenizer": "tokenizers/decoder.json",
            "query_tokens": 64,
            "target_tokens": 64,
            "decoder_tokens": 16,
            "decoder_start": decoder.token_to_id("<s>"),
            "decoder_end": decoder.token_to_id("</s>"),
            "default_query": "What is happening?",
        },
        "embedding": {"width": embedding},
        "prompts": {"classify": "A photo of {label}."},
        "licences": [{"part": "all", "licence": "Apache-2.0", "source": "random numbers"}],
        "provenance": {"seed": seed},
    }
    files: dict[str, bytes | Path] = {f"graphs/{file}.onnx": model for file, model, *_ in graphs.values()}
    files |= {f"tokenizers/{name}.json": _text_tokenizer().to_str().encode() for name in ("query", "target")}
    files["tokenizers/decoder.json"] = decoder.to_str().encode()
    files["NOTICE"] = b"A toy for tests: random numbers, no licence attached to them.\n"
    return write_bundle(path, manifest, files)


def _specs(tensors: Iterable[Spec]) -> list[dict[str, Any]]:
    return [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in tensors]


class _Graph:
    """Nodes and constants as they come; `op` returns the name of its first output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def ints(self, *value: int) -> str:
        return self.const(value, np.int64)

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def unit(self, x: str, out: str) -> str:
        norm = self.op("ReduceL2", x, self.ints(-1), keepdims=1)
        return self.op("Div", x, norm, out=out)

    def masked_mean(self, tokens: str, mask: str) -> str:
        weights = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), self.ints(2))
        total = self.op("ReduceSum", self.op("Mul", tokens, weights), self.ints(1), keepdims=0)
        count = self.op("Max", self.op("ReduceSum", weights, self.ints(1), keepdims=0), self.const(1.0))
        return self.op("Div", total, count)

    def build(self, name: str, inputs: Iterable[Spec], outputs: Iterable[Spec]) -> bytes:
        def info(tensors: Iterable[Spec]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(n, _TYPES[dtype], [d if d >= 0 else f"d{i}" for i, d in enumerate(shape)])
                for n, shape, dtype in tensors
            ]

        graph = helper.make_graph(self.nodes, name, info(inputs), info(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString()
        return data


def _colour_tokens(g: _Graph, frames: str, count: int, height: int, width: int, weight: NDArray[Any], out: str) -> str:
    """uint8 [count,H,W,3] -> colours about 0 of a 2 x 2 grid, projected: [count,4,CHANNELS]."""
    pixels = g.op("Div", g.op("Sub", g.op("Cast", frames, to=TensorProto.FLOAT), g.const(127.5)), g.const(64.0))
    planes = g.op("Transpose", pixels, perm=[0, 3, 1, 2])
    half = [height // 2, width // 2]
    grid = g.op("AveragePool", planes, kernel_shape=half, strides=half)
    tokens = g.op("Transpose", g.op("Reshape", grid, g.ints(count, 3, TOKENS)), perm=[0, 2, 1])
    return g.op("MatMul", tokens, g.const(weight), out=out)


def _frame(inputs: list[Spec], outputs: list[Spec], rng: np.random.Generator) -> bytes:
    height, width = inputs[0][1][1:3]
    g = _Graph()
    _colour_tokens(g, "frame", 1, height, width, rng.normal(size=(3, CHANNELS)), "appearance")
    grey = g.op(
        "MatMul", g.op("Cast", "frame", to=TensorProto.FLOAT), g.const([[0.299 / 255], [0.587 / 255], [0.114 / 255]])
    )
    cell = [height // 8, width // 8]
    pooled = g.op("AveragePool", g.op("Transpose", grey, perm=[0, 3, 1, 2]), kernel_shape=cell, strides=cell)
    g.op("Reshape", pooled, g.ints(1, 8, 8), out="luma")
    return g.build("x_encoder_appearance", inputs, outputs)


def _motion(inputs: list[Spec], outputs: list[Spec], rng: np.random.Generator) -> bytes:
    window = inputs[0][1][1]
    g = _Graph()
    later = g.op("Slice", "luma", g.ints(1), g.ints(window), g.ints(1))
    earlier = g.op("Slice", "luma", g.ints(0), g.ints(window - 1), g.ints(1))
    weights = g.const(np.linspace(0.5, 1.5, window - 1).reshape(1, -1, 1, 1))
    change = g.op("ReduceSum", g.op("Mul", g.op("Sub", later, earlier), weights), g.ints(1), keepdims=0)
    mixed = g.op("MatMul", g.op("Reshape", change, g.ints(1, 64)), g.const(rng.normal(size=(64, 8)) / 8))
    g.op("Reshape", mixed, g.ints(1, 2, 4), out="motion")
    return g.build("x_encoder_motion", inputs, outputs)


def _clip(inputs: list[Spec], outputs: list[Spec], rng: np.random.Generator) -> bytes:
    _, window, height, width, _ = inputs[0][1]
    g = _Graph()
    flat = g.op("Reshape", "frames", g.ints(window, height, width, 3))
    tokens = _colour_tokens(g, flat, window, height, width, rng.normal(size=(3, CHANNELS)), "tokens")
    g.op("Reshape", tokens, g.ints(1, window * TOKENS, CHANNELS), out="features")
    return g.build("x_encoder_clip", inputs, outputs)


def _text(inputs: list[Spec], outputs: list[Spec], rng: np.random.Generator) -> bytes:
    g = _Graph()
    vocabulary = _text_tokenizer().get_vocab_size()
    words = g.op("Gather", g.const(rng.normal(size=(vocabulary, TEXT))), "input_ids")
    length = g.op("Gather", g.op("Shape", "input_ids"), g.const(1, np.int64))
    places = g.op("Range", g.const(0, np.int64), length, g.const(1, np.int64))
    wave = g.op("Cos", g.op("Cast", places, to=TensorProto.FLOAT))  # so that anagrams differ
    scale = g.op("Add", g.op("Unsqueeze", wave, g.ints(1)), g.const(1.5))
    g.op("Mul", words, scale, out="query_tokens")
    mean = g.masked_mean("query_tokens", "attention_mask")
    g.unit(g.op("MatMul", mean, g.const(rng.normal(size=(TEXT, outputs[1][1][1])))), "embedding")
    return g.build("text", inputs, outputs)


def _predictor(inputs: list[Spec], outputs: list[Spec], window: int, rng: np.random.Generator) -> bytes:
    embedding = outputs[0][1][1]
    g = _Graph()
    later = np.linspace(0.7, 1.3, window) / window
    if inputs[0][0] == "features":
        weights = np.repeat(later, TOKENS).reshape(1, -1, 1) / TOKENS
        seen = g.op("ReduceSum", g.op("Mul", "features", g.const(weights)), g.ints(1), keepdims=0)
    else:
        weights = later.reshape(1, -1, 1, 1) / TOKENS
        seen = g.op("ReduceSum", g.op("Mul", "appearance", g.const(weights)), g.ints(1, 2), keepdims=0)
    parts = g.op("MatMul", seen, g.const(rng.normal(size=(CHANNELS, embedding))))
    if "motion" in [name for name, *_ in inputs]:
        moved = g.op("MatMul", g.op("Reshape", "motion", g.ints(1, 8)), g.const(rng.normal(size=(8, embedding)) / 2))
        parts = g.op("Add", parts, moved)
    asked = g.op("MatMul", g.masked_mean("query_tokens", "query_mask"), g.const(rng.normal(size=(TEXT, embedding)) / 3))
    g.unit(g.op("Add", parts, asked), "embedding")
    return g.build("predictor", inputs, outputs)


def _decoder(inputs: list[Spec], outputs: list[Spec], rng: np.random.Generator) -> bytes:
    embedding, vocabulary = inputs[0][1][1], outputs[0][1][1]
    g = _Graph()
    last = g.op("Gather", "ids", g.const(-1, np.int64), axis=1)
    follows = rng.normal(size=(vocabulary, vocabulary)) - 1e3 * np.eye(vocabulary)  # no word twice in a row
    follows[:, :3] -= 1e3  # specials
    said = g.op("Add", g.op("MatMul", "embedding", g.const(4 * rng.normal(size=(embedding, vocabulary)))),
                g.op("Gather", g.const(follows), last))  # fmt: skip
    length = g.op("Cast", g.op("Gather", g.op("Shape", "ids"), g.const(1, np.int64)), to=TensorProto.FLOAT)
    end = np.zeros((1, vocabulary))
    end[0, 1] = 1e3  # </s>: below all words at four ids, above them at five
    g.op("Add", said, g.op("Mul", g.op("Sub", length, g.const(3.5)), g.const(end)), out="logits")
    return g.build("y_decoder", inputs, outputs)


def _text_tokenizer() -> Tokenizer:
    """A token a byte, so that no text is unknown."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(specials + letters)}, [], unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(specials)
    return tokenizer


def _decoder_tokenizer() -> tuple[Tokenizer, int]:
    specials = ["<s>", "</s>", "<unk>"]
    tokenizer = Tokenizer(
        models.WordLevel({token: i for i, token in enumerate([*specials, *WORDS])}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(specials)
    return tokenizer, tokenizer.get_vocab_size()
