"""A bundle and a table of clips in, a bundle that knows them better out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.bundle.write import check_replaceable
from vljepa_edge.engines import open_engine
from vljepa_edge.engines.base import Graph
from vljepa_edge.errors import InputError
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.perception import Perception
from vljepa_edge.training.data.recording import Recordings
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.training.data.sources.shards import Packed
from vljepa_edge.training.finetune.clips import Clips, OnStep, encode
from vljepa_edge.training.finetune.figures import are_classes, right_keys, tasks
from vljepa_edge.training.finetune.fit import Examples, Recipe, fit
from vljepa_edge.training.finetune.graph_module import GraphModule
from vljepa_edge.training.finetune.report import Figure, FineTuneReport
from vljepa_edge.training.finetune.split import Split, split
from vljepa_edge.training.finetune.write import write_fine_tuned

DEFAULT = "tiny"
STEPS = 300
HELD_OUT = 0.1


def fine_tune(
    init: str | Path,
    source: Source,
    out: Path,
    *,
    seed: int = 0,
    steps: int = STEPS,
    held_out: float = HELD_OUT,
    recipe: Recipe | None = None,
    on_step: OnStep = lambda what, done, total: None,
) -> FineTuneReport:
    """Train the predictor of a bundle on a source's clips and write the result at `out`.

    init: "tiny", the default bundle, or the path of any. source: captions, or questions and answers; see
    training.data.sources. steps: the most that are taken; training ends before where validation gets no better.
    held_out: the share of the videos that nothing is learned from, and that the report's figures are of; both its
    "before" and its "after" are taken on the runtime's engine. on_step: called with what is done, how much of it, and
    how much there is.

    Raises InputError for a table that can't be learned from, BundleError where `init` is no bundle or `out` is
    something else, VideoError when too many clips can't be read, TrainingError when the loss stays not finite. Nothing
    is written then.
    """
    check_replaceable(out)  # now rather than after all the work
    _check(source, seed, steps, held_out)
    samples = [source[i] for i in range(len(source))]
    media = list(map(Recordings().digest, samples))
    _check_texts(samples, split(media, held_out))
    parent = Bundle.open(default_bundle() if str(init) == DEFAULT else init)
    engine = open_engine("openvino")
    perception = Perception(parent, engine)
    begun = time.perf_counter()
    clips = encode(perception, source, media, on_step)
    parts = split(clips.media, held_out)
    texts = list(dict.fromkeys(sample.target for sample in clips.samples))
    examples = gather(perception, clips, texts)
    encoded = time.perf_counter()

    file = parent.manifest.graphs["predictor"].file
    module = GraphModule(parent.read(file), file)
    fitted = fit(
        module, examples, parts.train, parts.validation, seed=seed, steps=steps,
        recipe=recipe or Recipe(), on_step=lambda step: on_step("training", step, steps),
    )  # fmt: skip
    predictor = module.to_onnx() if fitted.best else None
    trained = time.perf_counter()

    rows, known = parts.held_out, examples.texts.numpy()
    before = _embed(perception.graphs["predictor"], examples, rows)
    after = before if predictor is None else _embed(engine.compile(predictor, "predictor"), examples, rows)
    figures = tuple(
        Figure(task.name, task.score(before, known), task.score(after, known), task.chance, len(task.trials))
        for task in tasks(clips.samples, rows, texts)
    )
    command = ["vljepa", "train", "--init", str(init), "--data", source.name, "--out", str(out)]
    report = FineTuneReport(
        command=shlex.join([*command, "--seed", str(seed), "--steps", str(steps)]),
        parent=f"{parent.manifest.name} {parent.manifest.version} {parent.digest}", data=source.name,
        data_sha256=clips.digest(), seed=seed, train=len(parts.train), validation=len(parts.validation),
        held_out=len(rows), videos=len(set(clips.media)), skipped=clips.skipped,
        nameless=sum(isinstance(sample, Packed) and not sample.video for sample in samples),
        steps=fitted.steps, best_step=fitted.best, validation_losses=fitted.losses, figures=figures,
        classes=are_classes(clips.samples),
        encode_seconds=encoded - begun, train_seconds=trained - encoded,
    )  # fmt: skip
    write_fine_tuned(out, parent, predictor, report)
    return report


def gather(perception: Perception, clips: Clips, texts: Sequence[str]) -> Examples:
    """Clips with what the frozen text graphs make of their queries and of `texts`, the distinct targets."""
    own = perception.manifest.text.default_query
    asked = {query: i for i, query in enumerate(dict.fromkeys([own, *(s.query for s in clips.samples if s.query)]))}
    queries = [perception.text.query(query, cut=True) for query in asked]
    longest = max(query.tokens.shape[1] for query in queries)
    tokens = np.zeros((len(queries), 1, longest, queries[0].tokens.shape[2]), np.float32)
    mask = np.zeros((len(queries), 1, longest), np.int64)
    for i, query in enumerate(queries):
        tokens[i, :, : query.tokens.shape[1]] = query.tokens
        mask[i, :, : query.mask.shape[1]] = query.mask
    place = {text: i for i, text in enumerate(texts)}
    numbers = {key: i for i, key in enumerate(dict.fromkeys(k for s in clips.samples for k in right_keys(s)))}
    keys = {sample.target: numbers[right_keys(sample)[0]] for sample in clips.samples}
    right = [[numbers[key] for key in right_keys(sample)] for sample in clips.samples]
    width = max(map(len, right))
    wrong = {text: i for i, text in enumerate(dict.fromkeys(t for s in clips.samples for t in s.negatives))}
    most = max(len(sample.negatives) for sample in clips.samples)
    named = [[wrong[text] for text in sample.negatives] for sample in clips.samples]
    return Examples(
        clips.streams,
        clips.stretch,
        torch.from_numpy(tokens),
        torch.from_numpy(mask),
        np.array([asked[sample.query or own] for sample in clips.samples]),
        torch.from_numpy(perception.embed_text(texts)),
        np.array([place[sample.target] for sample in clips.samples]),
        torch.tensor([keys[text] for text in texts]),
        torch.tensor([row + row[:1] * (width - len(row)) for row in right]),
        torch.from_numpy(perception.embed_text(list(wrong))),
        torch.tensor([row + [-1] * (most - len(row)) for row in named], dtype=torch.int64),
    )


def _embed(predictor: Graph, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, E): embeddings of the rows as a compiled predictor gives them, of unit norm; other rows are 0."""
    found = np.zeros((len(examples.target), examples.texts.shape[1]), np.float32)
    for row in rows:
        query = torch.tensor([int(examples.query[row])])
        windows = []
        for window in range(examples.windows):
            given = examples.inputs(np.array([row]), np.array([window]), query)
            arrays = {name: given[name][0].numpy() for name in predictor.inputs}
            windows.append(unit("predictor", predictor(arrays)["embedding"][0]))
        found[row] = unit("predictor", np.mean(windows, axis=0, dtype=np.float64))
    return found


def _check(source: Source, seed: int, steps: int, held_out: float) -> None:
    if len(source) == 0:
        raise InputError(f"{source.name}: has no rows, so there is nothing to learn from")
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    if not 0 < held_out < 1:
        raise InputError(f"held_out must be a share between 0 and 1, got {held_out}")


def _check_texts(samples: Sequence[Sample], parts: Split) -> None:
    learned = {samples[row].target for row in parts.train}
    if len(learned) < 2:
        raise InputError(
            f"the {len(parts.train)} clips to learn from all say {next(iter(learned), '')!r}; a table needs at least "
            "two different texts, so that there is something to tell apart"
        )
