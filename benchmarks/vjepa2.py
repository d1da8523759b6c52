"""A V-JEPA 2 encoder, small and full size, every way that a CPU can run it, one thread.

Peers: transformers' VJEPA2Model in PyTorch, eager and by torch.compile (fp32; bf16 where the CPU has it), our lean
encoder with the same weights in PyTorch, its graph on ONNX Runtime and OpenVINO in floating point, and what ONNX
Runtime's dynamic quantisation makes of it. Ours: the graph in INT8 on OpenVINO.
Weights are random (no released ones come in a package), frames are the clip's. Limit: the peak of INT8 products.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import THREADS, Bench, cosine, installed
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.flops import graph_cost
from benchmarks.interleave import Case, Samples
from vljepa_edge.engines import Precision, open_engine
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.video.preprocess import resize

Clip = NDArray[np.uint8]
_CALIBRATION_WINDOWS = 4


@dataclass(frozen=True)
class Size:
    """An encoder and its input: `key` names its figures."""

    key: str
    title: str
    config: XEncoderConfig
    frames: int


SMALL = Size(
    "small", "V-JEPA 2, 384 wide, 12 layers, 8 frames at 128 px", XEncoderConfig("random", 384, 12, 6, 1536, 128), 8
)
FULL = Size("full", "V-JEPA 2 ViT-L, 24 layers, 8 frames at 256 px", XEncoderConfig("random"), 8)


def stages(bench: Bench) -> list[Stage]:
    missing = installed("torch", "transformers", "onnx", "onnxruntime")
    return [] if missing else [_stage(bench, size) for size in (SMALL, FULL)]


def _stage(bench: Bench, size: Size) -> Stage:
    windows = clip_windows(bench.frames, size)
    given = windows[0]
    peers, graph = _torch_cases(size.config, given, bench.precision)
    engines: list[tuple[str, str, Precision, bytes]] = [
        ("OpenVINO, INT8", "openvino", "auto", quantised(graph, windows[1:])),
        ("OpenVINO, f32", "openvino", "f32", graph),
        ("ONNX Runtime, f32", "onnxruntime", "auto", graph),
    ]
    if bench.precision != "f32":
        engines.insert(1, (f"OpenVINO, {bench.precision}", "openvino", "auto", graph))
    engines.append(("ONNX Runtime, INT8", "onnxruntime", "auto", engines[0][3]))
    engines.append(("ONNX Runtime, INT8 by quantize_dynamic", "onnxruntime", "auto", dynamic(graph)))
    cases = []
    for name, engine, precision, model in engines:
        run = open_engine(engine, threads=THREADS, precision=precision).compile(model, name)
        cases.append(Case(name, lambda run=run: run({"frames": given})["x_encoder"]))  # type: ignore[misc]
    cases += peers
    expected = np.asarray(peers[0].run())
    alike = [(case.name, cosine(np.asarray(case.run()), expected)) for case in cases]
    exact = dict(alike)

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        base = next(s for s in samples if s.name == peers[0].name)
        ours = [s for s in samples if not s.name.startswith("transformers")]
        best = max((s for s in ours if exact[s.name] >= 0.999), key=base.times)
        cost = graph_cost(graph, {"frames": given.shape})
        limit = Limit(1e3 * bench.limits.compute_s(cost, "int8", THREADS), f"{cost.flops / 1e9:.3g} GOP in INT8")
        notes = (
            "Cosine to transformers in fp32: " + "; ".join(f"{value:.5f} {name}" for name, value in alike) + ".",
            f"The fastest with a cosine of 0.999 or more: {best.name}, {base.times(best):.2f}x as fast.",
        )
        figures = {f"vjepa2 {size.key} INT8": base.times(samples[0]), f"vjepa2 {size.key} best": base.times(best)}
        return Comparison(size.title, samples, limit, notes, figures)

    return Stage(size.title, cases, tell)


def clip_windows(frames: Sequence[Clip], size: Size) -> list[NDArray[np.uint8]]:
    """One window to time and others to calibrate on, uint8 (1, T, H, W, 3), from the clip."""
    side = size.config.size
    scaled = [resize(frame, side, side, "cover") for frame in frames]
    starts = np.linspace(0, max(0, len(scaled) - size.frames), _CALIBRATION_WINDOWS + 1).astype(int)
    return [np.stack([scaled[(start + i) % len(scaled)] for i in range(size.frames)])[None] for start in starts]


def quantised(graph: bytes, windows: Sequence[NDArray[np.uint8]]) -> bytes:
    """The encoder's graph with every layer in INT8, as `vljepa export` makes it before it looks for weak layers."""
    import onnx

    from vljepa_edge.export.int8.qdq import layers, prepare, quantise
    from vljepa_edge.export.int8.smooth import smooth
    from vljepa_edge.onnx_graphs.weights import store_weights

    model = onnx.load_from_string(graph)
    prepare(model)
    inputs = [{"frames": window} for window in windows]
    smooth(model, inputs)
    return store_weights(quantise(model, layers(model), inputs).SerializeToString(), 16)


def dynamic(graph: bytes) -> bytes:
    """The graph as ONNX Runtime quantises it without calibration: activations are scaled while it runs."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="vljepa-bench-") as folder:
        path = Path(folder) / "dynamic.onnx"
        model = onnx.load_from_string(graph)
        quantize_dynamic(model, path, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)
        return path.read_bytes()


def _torch_cases(config: XEncoderConfig, given: NDArray[np.uint8], precision: str) -> tuple[list[Case], bytes]:
    """transformers and our encoder in PyTorch, the former in fp32 eager first; and our encoder's graph in fp32."""
    import torch
    from transformers import VJEPA2Config, VJEPA2Model

    from benchmarks.torch_peers import eager
    from vljepa_edge.export.pytorch.streamed import export_streamed, inline
    from vljepa_edge.nn.x_encoder import MEAN, STD, XEncoder

    torch.manual_seed(0)
    hf = VJEPA2Config(
        crop_size=config.size, frames_per_clip=given.shape[1], hidden_size=config.hidden,
        num_hidden_layers=config.layers, num_attention_heads=config.heads, mlp_ratio=config.ffn / config.hidden,
        pred_num_hidden_layers=1,
    )  # fmt: skip
    theirs = VJEPA2Model(hf).eval()
    ours = XEncoder.from_hf(theirs, config.source).eval()
    frames = torch.from_numpy(given)
    pixels = ((frames.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 1, 4, 2, 3).contiguous()

    def encode(pixels: Any) -> Any:
        return theirs.encoder(pixel_values_videos=pixels).last_hidden_state.float()

    compiled = torch.compile(encode, fullgraph=True)
    cases = [
        Case("transformers, fp32 eager", eager(encode, pixels)),
        Case("transformers, fp32 torch.compile", eager(compiled, pixels)),
        Case("lean, fp32 eager", eager(lambda x: ours(x).float(), frames)),
    ]
    if precision == "bf16":
        cases += [
            Case("transformers, bf16 autocast", eager(encode, pixels, bf16=True)),
            Case("transformers, bf16 torch.compile", eager(compiled, pixels, bf16=True)),
            Case("lean, bf16 autocast", eager(lambda x: ours(x).float(), frames, bf16=True)),
        ]
    with tempfile.TemporaryDirectory(prefix="vljepa-bench-") as folder:
        path = Path(folder) / "x_encoder.onnx"
        export_streamed(ours, {"frames": frames}, ("x_encoder",), {}, 32, path)
        return cases, inline(path)
