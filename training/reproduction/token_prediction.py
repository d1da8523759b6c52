"""Embedding prediction against token prediction (section 4.5 of the paper) in miniature: two runs that see the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Results, Setting, column, named
from vljepa_edge.training.reproduction.tables import digests
from vljepa_edge.training.reproduction.trained import MINILM, placed, run_to_end
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vljepa_edge.training.config import RunConfig

EMBEDDINGS, TOKENS = "embeddings", "tokens"
RUNS = {EMBEDDINGS: "miniature_embeddings", TOKENS: "miniature_tokens"}
BATCH = 128
POINTS = (14, 28, 56, 112)
"""Steps after which both are measured: an eighth, a quarter, half and all of a run."""
MEASURES = ("CIDEr", "top-5")
TRAINED_ON = ("coco-train.jsonl", "flickr8k-train.jsonl")
MEASURED_ON = ("coco-val.jsonl", "flickr8k-dev.jsonl")
TEXTS: dict[str, Any] = {"steps": 300, "batch": 128, "warmup": 30, "noise": 0.6}
"""How the language model and the Y-decoder are trained, each; see `language_parts`."""
_MEASURE_VERSION = 1
_BEGIN, _POINTS = "begin", "points.json"


def at(measure: str, step: int) -> str:
    """The name of a figure after so many steps: by the samples seen."""
    return f"{measure} at {step * BATCH:,}"


def begun(name: str, setting: Setting) -> RunConfig:
    """An arm's run, with what it starts from in its place, made now unless it is there.

    Raises AssetError for a package that can't be had.
    """
    from dataclasses import replace

    from vljepa_edge.training.build import build_model, save_model
    from vljepa_edge.training.config import Decoder, load_run
    from vljepa_edge.training.data.sources import open_source
    from vljepa_edge.training.reproduction.language_parts import language_parts, take_last_layers
    from vljepa_edge.training.y_decoder import read_corpus

    run = placed(load_run(RUNS[name]), setting)
    sizes = load_run(RUNS[TOKENS]).tokens
    assert sizes is not None
    model, tokenizers, _ = build_model(run)

    def read() -> list[str]:
        return read_corpus(sorted(run.data), {name: open_source(spec) for name, spec in run.data.items()})

    training = Decoder(corpus=["texts"], **TEXTS)
    recipe = {"training": TEXTS, "sizes": sizes.model_dump(mode="json"), "target": MINILM,
              "tables": digests(setting.data, TRAINED_ON)}  # fmt: skip
    folder = setting.shared / f"texts-{named(recipe)}"
    parts = language_parts(folder, model, tokenizers.target, read, sizes, training, setting.report)
    take_last_layers(model.predictor.stack, parts.language)
    model.attach_y_decoder(parts.decoder)
    save_model(model, replace(tokenizers, decoder=parts.tokenizer), setting.folder / _BEGIN, include_frozen=False)
    update: dict[str, Any] = {"init": str(setting.folder / _BEGIN)}
    if run.tokens is not None:
        update["tokens"] = run.tokens.model_copy(update={"text": str(parts.file)})
    return run.model_copy(update=update)


def _make(name: str, setting: Setting) -> Mapping[str, float]:
    from vljepa_edge.training.data.sources import open_source
    from vljepa_edge.training.reproduction.token_scores import arm_at, held_out, scored

    run = begun(name, setting)
    run_to_end(run)
    held = None
    file = setting.folder / _POINTS
    points: dict[str, dict[str, float]] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for number, step in enumerate(POINTS):
        if str(step) in points:
            continue
        speaker, tokenizer = arm_at(run, step)
        if held is None:
            held = held_out(setting.data, tokenizer)
            speaker.reader.fill([open_source(str(setting.data / table)) for table in MEASURED_ON], setting.report)
        setting.report("measuring", number, len(POINTS))
        points[str(step)] = scored(speaker, held)
        with replacing(file) as part:
            part.write_text(json.dumps(points), encoding="utf-8")
    for left in ("start", _BEGIN, "run/checkpoints", "run/model"):
        shutil.rmtree(setting.folder / left, ignore_errors=True)
    return {at(measure, step): value for step in POINTS for measure, value in points[str(step)].items()}


def _arm(name: str, title: str, first: tuple[float, float], last: tuple[float, float]) -> Arm:
    """first, last: CIDEr and top-5 of the paper, after 500 thousand and 15 million samples."""

    def recipe(data: Path) -> dict[str, Any]:
        from vljepa_edge.training.config import load_run
        from vljepa_edge.training.reproduction.streams import streams_name

        return {
            "run": load_run(RUNS[name]).model_dump(mode="json"), "texts": TEXTS, "points": POINTS,
            "streams": streams_name(),
            "language": load_run(RUNS[TOKENS]).model_dump(mode="json")["tokens"], "measure": _MEASURE_VERSION,
            "tables": digests(data, (*TRAINED_ON, *MEASURED_ON)),
        }  # fmt: skip

    paper = {at(m, POINTS[0]): v for m, v in zip(MEASURES, first, strict=True)}
    paper |= {at(m, POINTS[-1]): v for m, v in zip(MEASURES, last, strict=True)}
    return Arm(name, title, recipe, partial(_make, name), paper)


def draw(canvas: Figure, experiment: Experiment, results: Results) -> None:
    """A pane a measure: means over samples seen, the least and the most of the seeds as a band."""
    canvas.set_size_inches(4.6 * len(MEASURES), 3.2)
    panes = canvas.subplots(1, len(MEASURES), squeeze=False)[0]
    samples = [step * BATCH for step in POINTS]
    for pane, measure in zip(panes, MEASURES, strict=True):
        for arm, colour in zip(experiment.arms, ("tab:blue", "tab:orange"), strict=True):
            values = [column(results.get(arm.name, {}), at(measure, step)) for step in POINTS]
            if all(len(own) for own in values):
                pane.plot(samples, [own.mean() for own in values], "o-", color=colour, label=arm.title, ms=4)
                pane.fill_between(
                    samples, [own.min() for own in values], [own.max() for own in values], color=colour, alpha=0.25
                )
        pane.set_xscale("log", base=2)
        pane.set_xticks(samples, [f"{count:,}" for count in samples])
        pane.set_xlabel("samples seen")
        pane.set_title(measure, fontsize=9)
        pane.grid(alpha=0.3)
    panes[0].legend(fontsize=8)


_JUDGED = POINTS[1:]
TOKEN_PREDICTION = Experiment(
    "token-prediction",
    "section 4.5, Figure 3",
    "From the same samples a model that predicts embeddings learns to caption and to classify faster than one of twice "
    "its size that predicts tokens.",
    f"`{EMBEDDINGS}` above `{TOKENS}` in CIDEr and in top-5, each at the last point and at every point before it but "
    f"the first, where the paper finds both alike. {RULE}",
    {
        at(measure, step): {
            "CIDEr": "CIDEr of captions of photographs that nothing was trained on, the mean of COCO val and Flickr8k "
            "dev, after so many samples seen",
            "top-5": "top-5 accuracy of the objects of COCO val's photographs, after so many samples seen",
        }[measure]
        for measure in MEASURES
        for step in POINTS
    },
    (
        _arm(EMBEDDINGS, "predicts embeddings", (1.23, 14.9), (14.8, 41.0)),
        _arm(TOKENS, "predicts tokens", (1.35, 14.0), (7.1, 27.2)),
    ),
    all_of([Contrast(EMBEDDINGS, TOKENS, (at(measure, step),)) for step in _JUDGED for measure in MEASURES]),
    (
        "Both take the same samples in the same order, the same cached features, batches of 128, learning rate, AdamW "
        "and augmentation. Runs: `training/configs/miniature_embeddings.yaml` and `miniature_tokens.yaml`.",
        "A language model of 6 layers is trained on the texts alone. The token predictor starts from all of it, the "
        "other predictor from its last 3 layers: in the paper from Llama-3.2-1B's 16 layers and from the last 8.",
        "The token predictor is causal all over, vision and query too, as the paper's baseline is. It trains 2.7 times "
        "as many numbers as the other, its token embedding counted; in the paper 1.24B and 0.49B.",
        "Both see the 256 channels of appearance that are vision alone. The default has 384 more, ConSE, means of "
        "MiniLM's embeddings of class names: the targets' own space, which only who predicts embeddings could read.",
        "Targets are MiniLM's embeddings, which do not train, as SONAR's in the paper. A Y-decoder for them is trained "
        "once on the same texts, with as many steps as the language model. As in the paper neither counts as samples "
        "seen. Every point is decoded by that one Y-decoder.",
        "Classes are texts such as \"A dog.\"; the question is \"What object is in the scene?\". An embedding takes "
        "the nearest class. Tokens take the class of the lowest perplexity, the mean over its tokens and its end.",
        "The paper's figures are those after 500 thousand and 15 million samples, on YouCook2, MSR-VTT and PVD-Bench, "
        "and on CrossTask and EgoExo4D. They don't compare with ours; differences between arms do.",
        "Nothing was chosen by these figures.",
    ),
    (*TRAINED_ON, *MEASURED_ON),
    draw,
)  # fmt: skip
