"""Modules that have moved, or whose job another does now: importing an old path says which."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# Old path -> new path, below vljepa_edge.
MOVED = {
    "assets": "support.assets",
    "atomic": "support.atomic",
    "demo_video": "support.demo_video",
    "media_files": "support.media_files",
    "memory": "support.process",
    "mend": "support.install",
    "manifest": "bundle.manifest",
    "onnx_file": "bundle.onnx_bytes",
    "embedding": "perception.finite",
    "text": "perception.text",
    "vision": "perception.vision",
    "video.window": "perception.window",
    "perception.still": "_core",
    "streaming.pace": "_core",
    "streaming.sampler": "_core",
    "engines.cuda_runtime": "engines.tensorrt.cuda_runtime",
    "engines.tensorrt_build": "export.tensorrt.build",
    "engines.tensorrt_log": "engines.tensorrt.log",
    "engines.tensorrt_profiles": "export.tensorrt.profiles",
    "engines.tensorrt_store": "engines.tensorrt.store",
    "engines.torch_ops": "engines.torch.ops",
    "export.bias_correction": "export.int8.bias_correction",
    "export.calibration": "export.int8.calibration",
    "export.checkpoint": "export.pytorch.checkpoint",
    "export.fidelity": "export.int8.fidelity",
    "export.gate": "export.int8.acceptance",
    "export.half": "onnx_graphs.half",
    "export.judge": "export.int8.comparison",
    "export.onnx_graph": "onnx_graphs.weights",
    "export.onnx_run": "export.int8.onnx_run",
    "export.plugin_match": "onnx_graphs.plugin_match",
    "export.plugin_nodes": "onnx_graphs.plugin_nodes",
    "export.qdq": "export.int8.qdq",
    "export.qdq_check": "onnx_graphs.qdq_check",
    "export.sensitivity": "export.int8.sensitivity",
    "export.smooth": "export.int8.smooth",
    "export.speed": "export.int8.speed",
    "export.streamed": "export.pytorch.streamed",
    "export.tiny_bundle": "export.pytorch.checkpoint",
    "export.text_encoder": "export.pytorch.text_encoder",
    "export.pytorch.tiny_bundle": "export.pytorch.checkpoint",
    "export.y_decoder": "export.pytorch.y_decoder",
    "kernels.aot": "kernels.tools.aot",
    "kernels.attention_backward": "kernels.ops.attention_backward",
    "kernels.attention_inputs": "kernels.ops.attention_inputs",
    "kernels.bidirectional_attention": "kernels.ops.bidirectional_attention",
    "kernels.bundle": "kernels.tools.cubins",
    "kernels.gate": "kernels.tools.gate",
    "kernels.info_nce": "kernels.ops.info_nce",
    "kernels.int8_linear": "kernels.ops.int8_linear",
    "kernels.masked_mean_pool": "kernels.ops.masked_mean_pool",
    "kernels.occupancy": "kernels.tools.occupancy",
    "kernels.patchify": "kernels.ops.patchify",
    "kernels.ptx": "kernels.tools.ptx",
    "kernels.rms_norm": "kernels.ops.rms_norm",
    "kernels.sass": "kernels.tools.sass",
    "kernels.swiglu": "kernels.ops.swiglu",
    "kernels.tensorrt_kernels": "kernels.tensorrt.kernels",
    "kernels.tensorrt_plugin": "kernels.tensorrt.plugin",
    "kernels.tune": "kernels.tools.tune",
    "kernels.workloads": "kernels.tools.workloads",
    "training.batches": "training.data.loader",
    "training.calibration": "training.tiny.calibration",
    "training.card": "training.tiny.card",
    "training.card_text": "training.tiny.card_text",
    "training.checkpoint": "training.run_folder",
    "training.data.assets": "training.tiny.assets",
    "training.data.frames": "video.stretch",
    "training.data.captions": "training.tiny.captions",
    "training.data.cutouts": "training.tiny.cutouts",
    "training.data.qt_resources": "training.tiny.qt_resources",
    "training.data.real": "training.tiny.real_sets",
    "training.data.real_photos": "training.tiny.real_photos",
    "training.data.real_sets": "training.tiny.real_sets",
    "training.data.real_videos": "training.tiny.real_videos",
    "training.data.scenes": "training.tiny.scenes",
    "training.data.vocabulary": "training.tiny.vocabulary",
    "training.data.words": "training.tiny.word_lists",
    "training.figures.captioning": "evaluation.cider",
    "training.decoder": "training.tiny.decoder",
    "training.evaluate": "training.tiny.drawn_figures",
    "training.features": "training.tiny.features",
    "training.metrics": "evaluation.ranks",
    "training.model": "training.tiny.model",
    "training.motion": "training.tiny.motion",
    "training.photographs": "training.tiny.photographs",
    "training.prepare": "training.tiny.prepare",
    "training.recipe": "training.tiny.recipe",
    "training.renaming": "training.tiny.renaming",
    "training.stages": "training.loop",
    "training.texts": "training.tiny.texts",
    "training.tiny.batches": "training.data.loader",
    "training.tiny.checkpoint": "training.run_folder",
    "training.tiny.stages": "training.loop",
}


class MovedFinder:
    """Asked after all other finders, so only for modules that are not there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        if package == "vljepa_edge" and old in MOVED:
            raise ModuleNotFoundError(f"{name} has moved to {package}.{MOVED[old]}; import that", name=name)
        return None


def explain_moves() -> None:
    """Add the finder to this process, once."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedFinder())
