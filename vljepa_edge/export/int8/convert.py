"""A bundle in floating point -> the same bundle in INT8, measured and accepted before it is written.

Each graph file in turn: SmoothQuant, QDQ, bias correction, then the layers that don't bear it back to 16 bits, and more
of them while the gate refuses the result. What is left in floating point is stored at 16 bits, embedding tables at 8. A
file whose weights the source has at 8 bits stays as it is: rounding its activations too would save no room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import onnx

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import CARD, parts_of, write_bundle
from vljepa_edge.engines import available, open_engine
from vljepa_edge.errors import ExportError
from vljepa_edge.export.int8 import acceptance
from vljepa_edge.export.int8.bias_correction import correct_biases
from vljepa_edge.export.int8.calibration import Arrays, Calibration, embed_clip, read_folder, record
from vljepa_edge.export.int8.comparison import GraphComparison, embeddings_of
from vljepa_edge.export.int8.fidelity import Fidelity, fidelity
from vljepa_edge.export.int8.qdq import layers, prepare, quantise
from vljepa_edge.export.int8.sensitivity import Sensitivity
from vljepa_edge.export.int8.smooth import smooth
from vljepa_edge.export.int8.speed import compare_bundles
from vljepa_edge.export.progress import OnStep
from vljepa_edge.export.report import Attempt, ExportReport, GraphReport
from vljepa_edge.model import Model
from vljepa_edge.onnx_graphs.weights import has_8bit_weights, restore_weights, store_weights
from vljepa_edge.support.process import peak_memory

PART_TARGETS = (Fidelity(0.9995, 0.995), Fidelity(0.9998, 0.999), Fidelity(0.9999, 0.999), Fidelity(0.9999, 0.9995))
"""What every graph must keep of the embeddings that come of it, or else of its outputs; while the gate refuses the
result, the next one. The mean tightens before the worst: where one class takes another's place among those that ConSE
reads, a single embedding jumps, however little was rounded."""
_FIT_INPUTS, _COMPARED_INPUTS = 256, 64
SPEED_SECONDS = 3.0  # for each stage


class Card(NamedTuple):
    """The task figures of a bundle, and the same as a document."""

    figures: dict[str, Any]
    markdown: str


class _File(NamedTuple):
    """One graph file, its layers measured."""

    comparison: GraphComparison
    sensitivity: Sensitivity
    smoothed: int
    size: int
    seconds: float


def export_int8(
    source: Bundle, folder: Path, out: Path, *, measure: Callable[[Path], Card] | None, force: bool, on_step: OnStep
) -> ExportReport:
    """Write the INT8 form of `source` at `out`; what was measured is returned, and kept as its provenance.export.

    folder: videos and photos, half to calibrate on and half to compare on. measure: takes the model card of a bundle,
    which is compared with the source's own figures. Raises ExportError when the result is not accepted, unless `force`;
    then the report says why.
    """
    begun = time.perf_counter()
    engine = open_engine("openvino", precision="f32")
    reference = Model(source, engine)
    data = read_folder(folder, reference, on_step)
    fit = record(source, data.fit, data.queries, data.texts, _FIT_INPUTS, on_step)
    held_out = record(source, data.held_out, data.queries, data.texts, _COMPARED_INPUTS, on_step)
    files: dict[str, _File] = {}
    for file in fit:
        model = source.read(file)
        if has_8bit_weights(model):
            continue
        beyond = embeddings_of(reference, data, file)
        compare = partial(GraphComparison, inputs=held_out[file], beyond=beyond, engine=engine, title=file)
        files[file] = _quantise(model, file, fit[file], compare, on_step)
    expected = _embed(reference, data)
    tried: list[Attempt] = []
    with TemporaryDirectory(prefix="vljepa-export-") as work:
        for target in PART_TARGETS:
            parts, graphs = _choose(files, target)
            candidate = Bundle.open(_write(Path(work) / f"int8-{len(tried)}", source, graphs, {}, None))
            card = None if measure is None else measure(candidate.path)
            embeddings = fidelity([expected], [_embed(Model(candidate, open_engine("openvino")), data)])
            found = acceptance.failures(embeddings, source.manifest.figures, None if card is None else card.figures)
            tried.append(Attempt(target, tuple(found)))
            if not tried[-1].problems:
                break
        agreement = _agreement(candidate, data)
        speed = compare_bundles(source, candidate, data.held_out[0], data.texts[-1], SPEED_SECONDS)
        report = ExportReport(
            source=f"{source.manifest.name} {source.manifest.version} {source.digest}", engine="openvino",
            clips_fit=len(data.fit), clips_held_out=len(data.held_out), tried=tuple(tried), parts=parts,
            embeddings=embeddings, agreement=agreement, speed=speed, bytes_before=_graph_bytes(source),
            bytes_16=_bytes_at_16(source), bytes_after=_graph_bytes(candidate),
            seconds=time.perf_counter() - begun, peak_bytes=peak_memory(),
            figures_before=acceptance.task_figures(source.manifest.figures),
            figures_after=None if card is None else acceptance.task_figures(card.figures),
        )  # fmt: skip
    if report.problems and not force:
        why = "; ".join(report.problems)
        raise ExportError(f"{out} was not written: {why}. --force writes it all the same", report)
    _write(out, source, graphs, report.to_dict(), card)
    return report


def _quantise(
    model: bytes,
    file: str,
    fit: Sequence[Arrays],
    compare: Callable[[onnx.ModelProto], GraphComparison],
    on_step: OnStep,
) -> _File:
    """Quantise every layer of a graph, and see what each does to it."""
    begun = time.perf_counter()
    original = onnx.load_from_string(restore_weights(model))
    prepare(original)
    smoothed = smooth(original, fit)
    names = layers(original)
    quantised = quantise(original, names, fit)
    correct_biases(quantised, original, names, fit)
    comparison = compare(original)
    sensitivity = Sensitivity(original, quantised, names, comparison, on_step, file.rpartition("/")[2])
    return _File(comparison, sensitivity, smoothed, len(model), time.perf_counter() - begun)


def _choose(files: Mapping[str, _File], target: Fidelity) -> tuple[tuple[GraphReport, ...], dict[str, bytes]]:
    """Every graph with as much in INT8 as the target allows."""
    parts, graphs = [], {}
    for name, file in files.items():
        begun = time.perf_counter()
        choice = file.sensitivity.choose(target)
        stored = graphs[name] = store_weights(choice.model.SerializeToString(), 16, table_bits=8)
        outputs = file.comparison(onnx.load_from_string(stored))  # with what 16 bits and the tables' 8 do to it too
        seconds = file.seconds + time.perf_counter() - begun
        parts.append(GraphReport(name, choice.layers, outputs, file.smoothed, file.size, len(stored), seconds))
    return tuple(parts), graphs


def _agreement(candidate: Bundle, data: Calibration) -> dict[str, Fidelity]:
    """Embeddings of other engines that are here, to those of OpenVINO in fp32."""
    if available()["onnxruntime"] is not None:
        return {}
    same = _embed(Model(candidate, open_engine("openvino", precision="f32")), data)
    other = fidelity([same], [_embed(Model(candidate, open_engine("onnxruntime")), data)])
    return {f"onnxruntime, {kind}": found for kind, found in other.items()}


def _embed(model: Model, data: Calibration) -> Arrays:
    """Embeddings of the held-out clips under every query, and of the texts, as a user gets them."""
    queries = [model.text.query(query, cut=True) for query in data.queries]
    return {
        "video": np.concatenate([embed_clip(model.vision, clip, queries) for clip in data.held_out]),
        "text": model.embed_text(data.texts),
    }


def _graph_bytes(bundle: Bundle) -> int:
    return sum({graph.file: graph.bytes for graph in bundle.manifest.graphs.values()}.values())


def _bytes_at_16(bundle: Bundle) -> int:
    files = {graph.file for graph in bundle.manifest.graphs.values()}
    return sum(len(store_weights(restore_weights(bundle.read(file)), 16)) for file in files)


def _write(out: Path, source: Bundle, graphs: Mapping[str, bytes], report: dict[str, Any], card: Card | None) -> Path:
    """The source with other graphs. Its figures and card are not this bundle's, so they give way to `card`."""
    manifest, files = parts_of(source, {CARD})
    files |= graphs
    manifest["figures"] = {} if card is None else card.figures
    manifest["provenance"] = {**manifest["provenance"], "export": {"precision": "int8", **report}}
    if card is not None:
        files[CARD] = card.markdown.encode()
    return write_bundle(out, manifest, files)
