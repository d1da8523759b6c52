"""A training run as one YAML file: model, data, stages, parallelism, checkpoints, evaluation, Y-decoder.

`extends:` names another file, or one that ships in `configs/`; what the file says itself goes over it, mapping by
mapping. `a.b=c` on the command line goes over both. Every value has a type and a range, checked before any work; floats
are YAML 1.2's (`1e-3` is a number).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import from_dict, to_dict
from vljepa_edge.nn.hub import CONFIG
from vljepa_edge.training.data.augment import AUGMENTATIONS
from vljepa_edge.training.data.feature_augment import FEATURE_AUGMENTATIONS
from vljepa_edge.training.yaml12 import read_yaml

CONFIGS = Path(__file__).parent / "configs"
PRESETS = {"paper": VLJepaConfig.paper, "tiny": VLJepaConfig.tiny}

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Part(BaseModel):
    """A mapping of the file. An unknown key is an error, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TokenizerFiles(Part):
    """Files in the format of Hugging Face tokenizers; without one, that of the checkpoint or of the part's source."""

    query: str | None = None
    target: str | None = None
    decoder: str | None = None


class Frames(Part):
    """What is taken from each stretch of video: `count` frames, evenly, or at `rate` frames a second."""

    count: Count
    width: Count
    height: Count
    resize: Literal["cover", "stretch"] = "cover"
    rate: Rate | None = None


class Objective(Part):
    """pair: <X_V, X_Q, Y>. future: Y is the text that holds `delta` seconds after the stretch (action anticipation).
    classify: Y is one of `classes`, scored against all of them."""

    kind: Literal["pair", "future", "classify"] = "pair"
    delta: Rate | None = None
    classes: list[str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Objective:
        if (self.kind == "future") != (self.delta is not None):
            raise ValueError("delta must be given for the objective future, and only for it")
        if (self.kind == "classify") != (self.classes is not None):
            raise ValueError("classes must be given for the objective classify, and only for it")
        if self.classes is not None and len(set(self.classes)) < 2:
            raise ValueError(f"classes must be at least 2 different texts, got {self.classes}")
        return self


class Loss(Part):
    """One term of the loss. info_nce is the paper's (section 3); the others are those that it names beside it."""

    kind: Literal["info_nce", "cosine", "l1", "l2", "vicreg", "sigreg"]
    weight: Rate = 1.0


class Stage(Part):
    """One stage of training.

    data: weight of each source of the run, replay among them. query: false is the query-free pretraining. batch:
    samples of a step on all devices together. chunk: samples that go through the model at once on one device; with
    fewer than the batch's share the gradient is still that of the complete batch (GradCache). multipliers: of the
    learning rate, by the beginning of a parameter's name. y_encoder: trained, frozen, or ema (targets from a moving
    average of it, `ema` a step). negatives: most wrong texts of each sample that are taken. augment: names of
    augmentations of pixels, or with `cache` of features. cache: compute what the frozen X-encoder makes of each stretch
    once, and keep it at 16 bits. average: of the weights, over steps; the stage ends with it. None: with the last
    weights.
    """

    name: Name
    steps: Count
    batch: Annotated[int, Field(ge=2)]
    data: dict[str, Rate]
    frames: Frames
    lr: Rate
    query: bool
    objective: Objective = Objective()
    loss: Annotated[list[Loss], Field(min_length=1)] = [Loss(kind="info_nce")]
    chunk: Count | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Whole = 0
    weight_decay: Amount = 0.05
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)] = [0.9, 0.98]
    clip: Rate = 1.0
    multipliers: dict[str, Amount] = {"y_encoder.": 0.05}
    y_encoder: Literal["trained", "ema", "frozen"] = "trained"
    ema: Share = 0.999
    average: Share | None = None
    negatives: Whole = 0
    augment: list[str] = []
    cache: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Stage:
        if not self.data:
            raise ValueError(f"the stage {self.name} must take data from at least one source")
        if self.betas[1] >= 1 or self.betas[0] >= 1:
            raise ValueError(f"betas must be below 1, got {self.betas}")
        allowed = FEATURE_AUGMENTATIONS if self.cache else AUGMENTATIONS
        if not set(self.augment) <= set(allowed):
            what = "cached features" if self.cache else "pixels"
            raise ValueError(
                f"stage {self.name}: augmentations of {what} must be of {', '.join(allowed)}, got {self.augment}"
            )
        return self


class Parallel(Part):
    """How the model lies on the devices of a torchrun. fsdp2 shards layers; activations are kept or made again."""

    mode: Literal["none", "ddp", "fsdp2"] = "none"
    bf16: bool = True
    checkpoint_activations: bool = False
    compile: bool = False


class Checkpoints(Part):
    """every: steps from one to the next. keep: how many of the last are kept, the best one aside."""

    every: Count = 500
    keep: Count = 3


class Evaluate(Part):
    """Retrieval on a validation set, every `every` steps. data: a source of the run that no stage takes data from."""

    data: str
    every: Count = 500
    samples: Annotated[int, Field(ge=2)] = 1000


class Loader(Part):
    """workers: processes that open videos. corrupt: share of samples that may be unreadable before the run ends."""

    workers: Whole = 2
    corrupt: Share = 0.02


class Predicted(Part):
    """Samples whose predicted embeddings the Y-decoder reads too, as the last stage sees them: what the predictor makes
    of a video is not quite its text's own embedding. share: of the decoder's batches."""

    data: Annotated[dict[str, Rate], Field(min_length=1)]
    samples: Count = 8000
    share: Share = 0.3


class Decoder(Part):
    """The Y-decoder, trained after the stages (section 3.1 of the paper, which does not disclose it).

    corpus: text files (a line a text) or sources of the run (their targets). noise: length of the random step that is
    added to an embedding before it is decoded, since predicted embeddings are not the texts' own. predicted: learn from
    predicted embeddings too; None: from texts alone. source: a Llama-family model (folder, hub id or .gguf) that it
    starts from; None: the light stack of the model's config.
    """

    corpus: Annotated[list[str], Field(min_length=1)]
    steps: Count = 3000
    batch: Count = 192
    lr: Rate = 1e-3
    warmup: Whole = 100
    noise: Amount = 0.6
    weight_decay: Amount = 0.02
    clip: Rate = 1.0
    validation: Count = 200
    predicted: Predicted | None = None
    source: str | None = None


class TokenModel(Part):
    """A model that says the answer's tokens in place of its embedding, to compare with (section 4.5 of the paper): it
    reads the same frozen features and queries, has causal Llama layers, and learns by cross-entropy.

    Its tokens are the decoder's tokenizer's. text: trained before: a file of its layers and
    its token embedding; None: from scratch. max_tokens: of an answer, its start and end token counted.
    """

    hidden: Annotated[int, Field(ge=2)] = 256
    layers: Count = 6
    heads: Count = 4
    ffn: Count = 704
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_tokens: Annotated[int, Field(ge=3)] = 32
    text: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> TokenModel:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden must be a multiple of 2 x heads ({2 * self.heads}), got {self.hidden}")
        return self


class RunConfig(Part):
    """All of a run.

    data: sources by name; null takes one out of the run, and out of every stage. model: a VLJepaConfig, as a preset
    with changes; a checkpoint has its own. init: `sources` (each part from the weights that the config names),
    `random`, or a checkpoint (folder or hub id). out: the folder, None: runs/NAME. features: the folder of cached
    features, None: one in the run's. concept_trust: how much of the concepts' plain mean the finished predictor reads
    out beside what training made of them, for a predictor that has concepts: training fits it to what it is shown, the
    plain mean knows the rest too. tokens: what is trained in place of predictor and Y-encoder. peak: TFLOP/s of one
    device, for the model FLOPs utilisation; None: known GPUs from a table, a CPU is measured.
    """

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    out: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    model: dict[str, Any] | None = None
    init: str = "sources"
    tokenizers: TokenizerFiles = TokenizerFiles()
    data: dict[str, dict[str, Any]]
    features: str | None = None
    concept_trust: Amount = 0.0
    stages: Annotated[list[Stage], Field(min_length=1)]
    tokens: TokenModel | None = None
    decoder: Decoder | None = None
    parallel: Parallel = Parallel()
    checkpoint: Checkpoints = Checkpoints()
    evaluate: Evaluate | None = None
    loader: Loader = Loader()
    tensorboard: bool = False
    peak: Rate | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return without_nulls(values) if isinstance(values, dict) and isinstance(values.get("data"), dict) else values

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        if (self.model is None) == (self.init in ("sources", "random")):
            raise ValueError(
                "model must be given where init is sources or random, and left out where it is a checkpoint"
            )
        for stage in self.stages:
            if self.parallel.mode == "fsdp2" and (stage.y_encoder == "ema" or stage.average is not None or stage.cache):
                raise ValueError(
                    f"stage {stage.name}: ema, average and cache must be off under fsdp2; take none or ddp"
                )
        if self.tokens is not None:
            self._fits_tokens()
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"names of stages must differ, got {names}")
        for stage in self.stages:
            for source in stage.data:
                if source not in self.data:
                    raise ValueError(f"stage {stage.name}: {source!r} must be one of the data {sorted(self.data)}")
        if self.decoder is not None and self.decoder.predicted is not None:
            last = self.stages[-1].data
            for source in self.decoder.predicted.data:
                if source not in last:
                    raise ValueError(
                        f"decoder.predicted: {source!r} must be one of the last stage's data {sorted(last)}"
                    )
        if self.evaluate is not None:
            held = set(self.data).difference(*(stage.data for stage in self.stages))
            if self.evaluate.data not in held:
                raise ValueError(
                    f"evaluate.data must be one of the data that no stage takes {sorted(held)}, got "
                    f"{self.evaluate.data!r}"
                )
        return self

    def _fits_tokens(self) -> None:
        """A token predictor has no embedding to evaluate or decode, no classes and no negatives."""
        if self.evaluate is not None or self.decoder is not None or self.concept_trust or self.parallel.mode == "fsdp2":
            raise ValueError("a run of tokens must have no evaluate, decoder and concept_trust, and not fsdp2")
        for stage in self.stages:
            if stage.objective.classes is not None or stage.negatives:
                raise ValueError(f"stage {stage.name}: a run of tokens must have no classes and no negatives")

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints, log and curves are."""
        return Path(self.out) if self.out is not None else Path("runs") / self.name

    def architecture(self) -> VLJepaConfig:
        """The model's config. Raises InputError for an unknown preset or key, BundleError for a checkpoint without."""
        if self.model is None:
            from vljepa_edge.nn.vljepa import checkpoint_folder, read_config

            return read_config(checkpoint_folder(self.init) / CONFIG)
        own = dict(self.model)
        preset = own.pop("preset", None)
        if preset is None:
            return from_dict(VLJepaConfig, own, "model")
        if preset not in PRESETS:
            raise InputError(f"model.preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        return from_dict(VLJepaConfig, merged(to_dict(PRESETS[preset]()), own), "model")

    def to_yaml(self) -> str:
        """Every value, defaults too."""
        text: str = yaml.safe_dump(json.loads(self.model_dump_json()), sort_keys=False, allow_unicode=True, width=120)
        return text


def load_run(file: str | Path, changes: Sequence[str] = ()) -> RunConfig:
    """A run from a YAML file, or from the name of one that ships. changes: `a.b=c`, c being YAML.

    Paths of data and weights are relative to the current folder. Raises InputError that names the key.
    """
    path = _find(file, None)
    values = _read(path, ())
    for change in changes:
        _change(values, change)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a file's values: the key, what it must be, and what it is."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    found = f", got {first['input']!r}" if where and not isinstance(first["input"], (dict, list)) else ""
    return f"{where + ': ' * bool(where)}{message}{found}"


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `under`: mappings key by key, everything else as it is. A null takes a mapping away."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merged(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return out


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """A run's values without the sources that are null, wherever they are named."""
    gone = {name for name, spec in values["data"].items() if spec is None}

    def kept(part: Any) -> Any:
        if not isinstance(part, dict) or not isinstance(part.get("data"), dict):
            return part
        return {**part, "data": {name: item for name, item in part["data"].items() if name not in gone}}

    out: dict[str, Any] = kept(values)
    if isinstance(out.get("stages"), list):
        out["stages"] = [kept(stage) for stage in out["stages"]]
    decoder = out.get("decoder")
    if isinstance(decoder, dict):
        decoder = {**decoder, "predicted": kept(decoder.get("predicted"))}
        if isinstance(decoder.get("corpus"), list):
            decoder["corpus"] = [name for name in decoder["corpus"] if not (isinstance(name, str) and name in gone)]
        out["decoder"] = decoder
    evaluate = out.get("evaluate")
    if isinstance(evaluate, dict) and isinstance(evaluate.get("data"), str) and evaluate["data"] in gone:
        out["evaluate"] = None
    return out


def _find(file: str | Path, beside: Path | None) -> Path:
    """A file beside the one that names it, here, or among those that ship."""
    given = Path(file)
    tried = [given if beside is None else beside.parent / given, CONFIGS / f"{file}.yaml"]
    for path in tried:
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    raise InputError(f"{file} must be a YAML file or one of {shipped}; there is no such file")


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise InputError(f"{path} extends itself")
    try:
        values = read_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a mapping, got {type(values).__name__}")
    below = values.pop("extends", None)
    if below is None:
        return values
    if not isinstance(below, str):
        raise InputError(f"{path}: extends must be the name of a file, got {below!r}")
    return merged(_read(_find(below, path), (*above, path.resolve())), values)


def _change(values: dict[str, Any], change: str) -> None:
    """Lay `a.b=c` over `values`. A number picks an item of a list, and so does the name of a stage."""
    where, equals, text = change.partition("=")
    if not equals or not where:
        raise InputError(f"a change must be KEY=VALUE, such as stages.0.lr=1e-4, got {change!r}")
    try:
        value = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where} must be a YAML value, got {text!r}: {error}") from error
    at: Any = values
    keys = where.split(".")
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(at, list):
            places = [
                i for i, item in enumerate(at) if str(i) == key or (isinstance(item, dict) and item.get("name") == key)
            ]
            if not places:
                raise InputError(f"{where}: {key!r} must be a number below {len(at)} or the name of an item")
            at, key = at, places[0]  # type: ignore[assignment]
        elif not isinstance(at, dict):
            raise InputError(f"{where}: {'.'.join(keys[:number])} is no mapping")
        if last:
            at[key] = value
        else:
            at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
