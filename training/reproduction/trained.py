"""Arms that the general trainer trains: a run that ships, with changes, on the folder of tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vljepa_edge.training.reproduction.experiment import Arm, Setting
from vljepa_edge.training.reproduction.tables import digests

if TYPE_CHECKING:
    from vljepa_edge.export.pytorch.checkpoint import Tokenizers
    from vljepa_edge.nn.vljepa import VLJepa
    from vljepa_edge.training.config import RunConfig

MINILM, SMOLLM2 = "sentence-transformers/all-MiniLM-L6-v2", "HuggingFaceTB/SmolLM2-135M-Instruct"
LANGUAGE_WORDS, BAG_OF_WORDS = "words of SmolLM2-135M", "bag of words"
TABLES = ("coco-train.jsonl", "flickr8k-train.jsonl", "robot-train.jsonl")
"""That the miniature is trained on."""


class Trained(NamedTuple):
    """A trained arm. run: with every path in its place."""

    model: VLJepa
    tokenizers: Tokenizers
    run: RunConfig


Measure = Callable[[Trained, Setting], Mapping[str, float]]


class Stopped(KeyboardInterrupt):
    """A signal ended the training of an arm, which was saved: the same command goes on from there."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_status = 128 + number


def trained_arm(
    name: str, title: str, measure: Measure, changes: Sequence[str] = (), *, run: str = "miniature",
    tables: Sequence[str] = (), about: Mapping[str, Any] | None = None, paper: Mapping[str, float] | None = None,
) -> Arm:  # fmt: skip
    """An arm of a run that ships, with `KEY=VALUE` changes, measured by a function of a module.

    tables: of the folder of data, that it is trained and measured on. about: what else decides its figures.
    """

    def recipe(data: Path) -> dict[str, Any]:
        from vljepa_edge.training.config import load_run
        from vljepa_edge.training.reproduction.streams import streams_name

        made = load_run(run, changes).model_dump(mode="json")
        named = f"{measure.__module__}:{measure.__name__}"
        seen = {"run": made, "streams": streams_name(), "tables": digests(data, tables)}
        return {**seen, "measure": named, **(about or {})}

    def make(setting: Setting) -> Mapping[str, float]:
        found = measure(train_arm(setting, run, changes), setting)
        for left in ("start", "run/checkpoints", "run/model"):
            shutil.rmtree(setting.folder / left, ignore_errors=True)
        return found

    return Arm(name, title, recipe, make, paper or {})


def train_arm(setting: Setting, run: str, changes: Sequence[str] = ()) -> Trained:
    """Train it, or go on where it was interrupted. Raises Stopped, and what `training.loop.train` raises."""
    from vljepa_edge.nn.vljepa import VLJepa
    from vljepa_edge.training.build import build_model
    from vljepa_edge.training.config import load_run

    config = placed(load_run(run, changes), setting)
    model = run_to_end(config)
    tokenizers = build_model(config).tokenizers
    return Trained(VLJepa.from_pretrained(model).eval(), tokenizers, config)


def run_to_end(config: RunConfig) -> Path:
    """What it came to, see `TrainReport.model`; it goes on where it was interrupted. Raises as `train_arm` does."""
    from vljepa_edge.training.loop import train
    from vljepa_edge.training.run_folder import RunFolder

    begun = RunFolder(config.folder, config.checkpoint.keep).has_checkpoint()
    report = train(config, "latest" if begun else None)
    if report.model is None:
        assert report.stopped_by is not None
        raise Stopped(report.stopped_by)
    return report.model


def placed(config: RunConfig, setting: Setting) -> RunConfig:
    """The run with its data, its features and what it starts from in their places."""
    from vljepa_edge.training.reproduction.streams import FEATURES

    config = config.model_copy(
        update={
            "seed": setting.seed, "out": str(setting.folder / "run"), "features": str(setting.shared / FEATURES),
            "data": {name: _in_folder(spec, setting.data) for name, spec in config.data.items()},
            "model": _from_packages(config.model or {}, setting.shared),
        }
    )  # fmt: skip
    return config.model_copy(update={"init": str(_start(config, setting)), "model": None})


def _start(config: RunConfig, setting: Setting) -> Path:
    """A checkpoint of the assembled model with the frozen streams."""
    import torch

    from vljepa_edge.export.pipeline import tokenizers_of
    from vljepa_edge.nn.tiny_streams import TinyStreams
    from vljepa_edge.nn.vljepa import VLJepa
    from vljepa_edge.training.build import save_model
    from vljepa_edge.training.reproduction.streams import load_streams

    folder = setting.folder / "start"
    if not (folder / "tokenizers" / "decoder.json").exists():  # the last that is written
        architecture = config.architecture()
        torch.manual_seed(setting.seed)
        model = VLJepa.assemble(architecture)
        if isinstance(model.x_encoder, TinyStreams):
            load_streams(model.x_encoder)
        target = Path(architecture.y_encoder.source) / "tokenizer.json"
        texts = tokenizers_of(architecture, None, {"target": target} if target.is_file() else {})
        save_model(model, texts, folder, include_frozen=False)
    return folder


def _from_packages(model: Mapping[str, Any], shared: Path) -> dict[str, Any]:
    """The model with the weights of the pinned packages in place of the names of their sources."""
    from vljepa_edge.training.reproduction.word_encoders import bag_of_words, language_words
    from vljepa_edge.training.tiny import assets

    packaged: dict[str, Callable[[], Path]] = {
        MINILM: assets.minilm_dir,
        SMOLLM2: assets.smollm2_gguf,
        LANGUAGE_WORDS: partial(language_words, shared / "language-words"),
        BAG_OF_WORDS: partial(bag_of_words, shared / "bag-of-words"),
    }

    def found(part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        source = part.get("source")
        kept = {key: found(value) for key, value in part.items()}
        return kept | {"source": str(packaged[source]())} if source in packaged else kept

    named: dict[str, Any] = found(model)
    return named


def _in_folder(spec: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """A source whose table is the one of that name in the folder, through sources that wrap others."""

    def found(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _in_folder(value, data)
        return str(data / Path(value).name) if key == "path" else value

    return {key: found(key, value) for key, value in spec.items()}
