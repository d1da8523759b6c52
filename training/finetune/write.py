"""The bundle that comes of a fine-tuning: the parent with another predictor, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import CARD, parts_of, write_bundle
from vljepa_edge.training.finetune.report import FineTuneReport


def write_fine_tuned(out: Path, parent: Bundle, predictor: bytes | None, report: FineTuneReport) -> Path:
    """Write the bundle at `out`. predictor: the new graph; None: the parent's stays.

    Every other graph, tokenizers, NOTICE and licences are the parent's to the byte. Its figures, card and confidence
    were measured on other weights and are left out, and so is a checkpoint of them. Where the captions are classes,
    labels are classified as they were learned: as they stand, under the bundle's default query. Raises BundleError.
    """
    about = parent.manifest
    graph = about.graphs["predictor"].file
    general = None if about.confidence is None else about.confidence.general
    left = {CARD, *(() if general is None else (general.texts, general.embeddings))}
    left |= {name for name in about.entries() if name.startswith("checkpoint/")}
    manifest, files = parts_of(parent, left)
    if predictor is not None:
        files[graph] = predictor
    files[CARD] = _card(out.stem, parent, report).encode()
    del manifest["confidence"]
    manifest |= {"name": out.stem, "version": "1", "figures": {}}
    if report.classes:
        manifest["prompts"] |= {"classify": "{label}", "classify_query": None}
    learned = {"part": graph, "licence": about.licence, "source": f"fine-tuned by vljepa train from {report.parent}"}
    manifest["licences"] = [*manifest["licences"], learned]
    earlier = about.provenance.get("fine_tune", [])
    manifest["provenance"] = {**about.provenance, "fine_tune": [*earlier, report.to_dict()]}
    return write_bundle(out, manifest, files)


def _card(name: str, parent: Bundle, report: FineTuneReport) -> str:
    rows = "\n".join(
        f"| {figure.name} | {figure.of} | {figure.before} | {figure.after} | {figure.chance} |"
        for figure in report.figures
    )
    problems = "".join(f"\n* {problem}" for problem in report.problems)
    return f"""# {name}

Fine-tuned by `vljepa train` from {report.parent}, on {report.train + report.validation} clips of {report.data}
(SHA-256 of its files and texts {report.data_sha256}), seed {report.seed}, {report.steps} steps. Only the predictor was
trained. Nothing of the parent's own model card was measured again, so nothing of it is said here.

Per cent right on {report.held_out} clips of videos that nothing was learned from:

| | of | before | after | chance |
|---|---|---|---|---|
{rows}
{problems}
Licence: {parent.manifest.licence}; see NOTICE and the licences in manifest.json. What the clips' own terms ask is not
known here.
"""
