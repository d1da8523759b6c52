"""`vljepa export`: whatever the source is, a bundle comes out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from tokenizers import Tokenizer

from vljepa_edge.bundle.manifest import MANIFEST
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import check_replaceable, parts_of, write_bundle
from vljepa_edge.errors import BundleError, ExportError
from vljepa_edge.export.int8.convert import Card, export_int8
from vljepa_edge.export.progress import OnStep
from vljepa_edge.export.pytorch.checkpoint import About, Tokenizers, write_checkpoint
from vljepa_edge.export.report import ExportReport
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.onnx_graphs.weights import is_quantised, restore_weights, store_weights
from vljepa_edge.perception.tokenizer import read_tokenizer
from vljepa_edge.support.process import peak_memory

StoredPrecision = Literal["fp32", "fp16", "int8"]
_BITS = {"fp32": 32, "fp16": 16, "int8": 16}  # an INT8 export starts from a bundle at 16


@dataclass(frozen=True)
class Written:
    """A bundle in floating point, which needs no judging."""

    precision: str
    bytes: int
    seconds: float
    peak_bytes: int | None
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        memory = "" if self.peak_bytes is None else f", peak memory {self.peak_bytes / 1e6:.0f} MB"
        return [f"{self.precision}, graphs of {self.bytes / 1e6:.1f} MB, took {self.seconds:.0f} s{memory}"]


@dataclass(frozen=True)
class Plan:
    """What to make of a source. calibration: for int8. window, fps: of a checkpoint's stream; window None: its own."""

    precision: StoredPrecision
    calibration: Path | None = None
    force: bool = False
    window: int | None = None
    fps: float = 4.0


def export_any(
    source: str, out: Path, plan: Plan, measure: Callable[[Path], Card] | None, on_step: OnStep
) -> ExportReport | Written:
    """Write the bundle. source: a bundle, a folder that VLJepa.save_pretrained wrote, or a hub id of
    one (NAME or NAME@REVISION).

    measure: takes the model card of an INT8 bundle. Raises BundleError for a source that can't be read, ExportError for
    one that can't be exported or an INT8 form that is not good enough.
    """
    begun = time.perf_counter()
    check_replaceable(out)  # now rather than after all the work
    if _is_bundle(Path(source)):
        bundle = _open_float(source)
        if plan.calibration is not None:
            return export_int8(bundle, plan.calibration, out, measure=measure, force=plan.force, on_step=on_step)
        _restore(bundle, out, _BITS[plan.precision])
    elif plan.calibration is not None:
        with TemporaryDirectory(prefix="vljepa-export-") as folder:
            bundle = Bundle.open(_export_checkpoint(source, Path(folder) / "float", plan, on_step))
            return export_int8(bundle, plan.calibration, out, measure=measure, force=plan.force, on_step=on_step)
    else:
        _export_checkpoint(source, out, plan, on_step)
    graphs = {graph.file: graph.bytes for graph in Bundle.open(out).manifest.graphs.values()}
    return Written(plan.precision, sum(graphs.values()), time.perf_counter() - begun, peak_memory())


def _is_bundle(path: Path) -> bool:
    return path.is_file() or (path / MANIFEST).is_file()


def _open_float(path: str) -> Bundle:
    """Raises ExportError for a bundle in INT8: what was rounded can't be had back."""
    bundle = Bundle.open(path)
    for file in {graph.file for graph in bundle.manifest.graphs.values()}:
        if is_quantised(bundle.read(file)):
            raise ExportError(f"{path} is in INT8 ({file}); export from the bundle or checkpoint that it was made of")
    return bundle


def _restore(bundle: Bundle, out: Path, bits: int) -> None:
    """The bundle with its weights stored at other bits."""
    manifest, files = parts_of(bundle)
    for file in {graph.file for graph in bundle.manifest.graphs.values()}:
        whole = restore_weights(bundle.read(file))
        files[file] = store_weights(whole, 16) if bits == 16 else whole
    write_bundle(out, manifest, files)


def _export_checkpoint(source: str, out: Path, plan: Plan, on_step: OnStep) -> Path:
    from vljepa_edge.nn.hub import hub_id, resolved
    from vljepa_edge.nn.vljepa import VLJepa, checkpoint_folder

    source = resolved(source)
    found = hub_id(source)
    folder = checkpoint_folder(source)
    model = VLJepa.from_pretrained(folder)
    name = Path(source if found is None else found.name).name
    tokenizers = tokenizers_of(model.config, folder)
    about = About(name, provenance={} if found is None else {"checkpoint": source})
    bits = _BITS[plan.precision]
    return write_checkpoint(model, tokenizers, out, about, on_step, bits=bits, window=plan.window, fps=plan.fps)


def tokenizers_of(
    config: VLJepaConfig, folder: Path | None, files: Mapping[str, str | Path] | None = None
) -> Tokenizers:
    """The tokenizers of a checkpoint's model: `files` by role (query, target, decoder); else `tokenizers/*.json` of its
    folder; else those of the model's sources. The decoder speaks the language model's.

    Raises BundleError when one can't be read.
    """
    target = config.y_encoder.source
    query = target if config.language_model is None else config.language_model.source
    found = []
    for role, source in (("query", query), ("target", target), ("decoder", query)):
        own = None if folder is None else folder / "tokenizers" / f"{role}.json"
        if files is not None and role in files:
            own = Path(files[role])
        elif own is not None and not own.is_file():
            own = None
        found.append(tokenizer_of(source) if own is None else read_tokenizer(own, _bytes(own)))
    return Tokenizers(*found)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(file, f"can't be read: {error.strerror}") from error


def tokenizer_of(source: str) -> Tokenizer:
    """That of a language model or an encoder: a .gguf file, a folder, or a hub id. Raises BundleError."""
    if Path(source).suffix == ".gguf":
        from vljepa_edge.nn.gguf_file import GgufFile
        from vljepa_edge.nn.weights import gguf_tokenizer

        return gguf_tokenizer(GgufFile(source))
    from transformers import AutoTokenizer

    from vljepa_edge.nn.weights import guarded

    try:
        tokenizer: Tokenizer = guarded(AutoTokenizer.from_pretrained, source).backend_tokenizer
    except Exception as error:  # also a tokenizer without a backend
        raise BundleError(
            source, f"gives no tokenizer: {error}; put one in the checkpoint's folder tokenizers"
        ) from error
    return tokenizer
