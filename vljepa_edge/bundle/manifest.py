"""What `manifest.json` of a bundle says, and the rules that tie its parts together.

A manifest that parses here is complete: every graph that the runtime asks for is named, its inputs can be made from
what the other graphs give, and every tokenizer it points to is a file of the bundle.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from vljepa_edge.bundle.confidence import ConfidenceEntry
from vljepa_edge.bundle.part import Part
from vljepa_edge.errors import BundleError
from vljepa_edge.support.install import upgrade

MANIFEST = "manifest.json"
SCHEMA = 1
"""What the manifest's `schema` must be. It counts changes after which an older version would misread a manifest. A new
key does not change it: a manifest that has the key says in `needs` which version of vljepa-edge reads it."""
X_ENCODER = "x_encoder_"
ROLES = ("query", "predictor", "y_encoder", "y_decoder")
MAX_PIXELS = 1 << 30  # of a window: 64 frames of 4096 x 4096
TEXT_BATCH = 32  # the most texts that the runtime gives a text graph at once
ALLOWED_FILES = (
    "graphs/*.onnx, tokenizers/*.json, texts/*.txt or .npy, checkpoint/*.safetensors or .json, "
    "NOTICE, LICENSE, *.md, *.txt"
)

_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_ALLOWED = re.compile(
    r"graphs/.+\.onnx|tokenizers/.+\.json|texts/.+\.(txt|npy)|checkpoint/.+\.(safetensors|json)|"
    r"NOTICE|LICENSE|[^/]+\.(md|txt)"
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=1 << 40)]
Count = Annotated[int, Field(ge=1, le=65536)]
Dim = Annotated[int, Field(ge=-1, le=1 << 24)]
Shape = Annotated[tuple[Dim, ...], Field(max_length=8)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 24)]
Text_ = Annotated[str, Field(min_length=1, max_length=10_000)]


class Tensor(Part):
    """One input or output of a graph. -1 in `shape` is a free dimension."""

    name: Text_
    shape: Shape
    dtype: Literal["uint8", "int64", "float32"]


class FileEntry(Part):
    """A file that is not a graph."""

    sha256: Sha256
    bytes: Size


class GraphEntry(Part):
    """One role and the ONNX file that plays it. Two roles may share a file."""

    file: Text_
    sha256: Sha256
    bytes: Size
    unit: Literal["frame", "clip", "text", "step"]
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]

    def input(self, name: str) -> Tensor | None:
        """The input of that name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> Tensor | None:
        """The output of that name, or None."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)


class VideoEntry(Part):
    """How frames are made: pixels, how they are fitted, frames a second; frames in a window and between windows."""

    width: Count
    height: Count
    resize: Literal["cover", "stretch"]
    fps: Annotated[float, Field(ge=0.001, le=1000)]
    window: Count
    hop: Count


class TextEntry(Part):
    """Tokenizer files, the most tokens each takes, and the ids that start and end a decoded text.

    decoder_prefix: places that a Y-decoder's cache holds for the embedding, before the text's.
    target_prompt: what the Y-encoder reads before every text; it counts among the target_tokens.
    empty_query: what the predictor is given for the empty query. "none": no token, as in the query-free first stage.
    "tokens": those that the tokenizer adds to every text, such as [CLS]; all bundles made before 0.9.
    """

    query_tokenizer: Text_
    target_tokenizer: Text_
    decoder_tokenizer: Text_
    query_tokens: Count
    target_tokens: Count
    decoder_tokens: Count
    decoder_prefix: Annotated[int, Field(ge=0, le=65536)] = 0
    decoder_start: TokenId | None
    decoder_end: TokenId
    default_query: str
    empty_query: Literal["tokens", "none"] = "tokens"
    target_prompt: Annotated[str, Field(max_length=10_000)] = ""


class EmbeddingEntry(Part):
    """The shared embedding space."""

    width: Count


class PromptsEntry(Part):
    """Texts that labels and candidates are put into, what the predictor is asked, and the scale of probabilities.

    classify has {label}, answer {candidate}. classify_query and transition are queries; None: the default query.
    scale: the inverse temperature of probabilities, 1 / the temperature of training. Other keys are kept, and unused.
    """

    model_config = ConfigDict(extra="allow")

    classify: str = "{label}"
    classify_query: str | None = None
    answer: str = "{candidate}"
    transition: str | None = None
    scale: Annotated[float, Field(gt=0)] = 20.0

    @field_validator("scale", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """Bundles made before version 0.9 have it as text, such as "38.58"."""
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                pass  # it is refused as the text that it is
        return value


class LicenceEntry(Part):
    """Where a part came from and under what terms."""

    part: Text_
    licence: Text_
    source: Text_
    url: str | None = None


class Manifest(Part):
    """All of `manifest.json`. Unknown keys are refused; `provenance` and `figures` are free JSON."""

    schema_version: Annotated[int, Field(alias="schema", ge=SCHEMA, le=SCHEMA)]
    needs: str | None = None
    name: Text_
    version: Text_
    created: Text_
    licence: Text_
    graphs: dict[str, GraphEntry]
    files: dict[str, FileEntry]
    video: VideoEntry
    text: TextEntry
    embedding: EmbeddingEntry
    prompts: PromptsEntry = Field(default_factory=PromptsEntry)
    confidence: ConfidenceEntry | None = None
    licences: tuple[LicenceEntry, ...]
    provenance: dict[str, Any] = Field(default_factory=dict)
    figures: dict[str, Any] = Field(default_factory=dict)

    @property
    def x_encoders(self) -> dict[str, GraphEntry]:
        """The X-encoder graphs by role, in the manifest's order."""
        return {role: graph for role, graph in self.graphs.items() if role.startswith(X_ENCODER)}

    def entries(self) -> dict[str, FileEntry]:
        """Every file of the bundle but the manifest itself, with its size and hash."""
        graphs = {g.file: FileEntry(sha256=g.sha256, bytes=g.bytes) for g in self.graphs.values()}
        return graphs | self.files

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        _check_roles(self)
        _check_files(self)
        _check_vision(self)
        _check_text(self)
        return self


def parse_manifest(raw: bytes) -> Manifest:
    """Read `manifest.json`.

    Raises BundleError naming the manifest when it isn't JSON, holds NaN, infinity or a key twice, or breaks a rule.
    """
    try:
        value = json.loads(
            raw, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer, object_pairs_hook=_once
        )
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            MANIFEST, f"is not valid JSON ({error}); write it with vljepa_edge.bundle.write.write_bundle"
        ) from None
    if isinstance(value, dict):
        _check_version(value)
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise BundleError(MANIFEST, _explain(error)) from None


def check_name(name: str, *, where: str = MANIFEST) -> None:
    """Raise BundleError unless `name` is a relative POSIX path that stays inside the bundle."""
    parts = PurePosixPath(name).parts
    if not _NAME.fullmatch(name) or ".." in parts or len(name) > 200:
        raise BundleError(
            name or "(empty name)",
            f"{where}: a file name must be relative, of letters, digits, _ . - and /",
        )


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")


def _integer(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"{text[:20]} is too large for a number")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def _check_depth(value: object, most: int = 32) -> None:
    """Readers of JSON in other languages, and what prints it, go a call deeper with each level."""
    if most == 0:
        raise ValueError("it is nested more than 32 levels deep")
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inside:
        if isinstance(item, dict | list):
            _check_depth(item, most - 1)


def _check_version(value: Mapping[str, Any]) -> None:
    """Raise BundleError for a manifest that only a later version reads, before it is held against this one's rules."""
    own = version("vljepa-edge")
    needs, schema = value.get("needs"), json.dumps(value.get("schema")).strip('"')
    if needs is not None and not (isinstance(needs, str) and _VERSION.fullmatch(needs)):
        raise BundleError(MANIFEST, f'needs: must be a version like "1.2.0", got {json.dumps(needs)[:80]}')
    if needs is not None and _numbers(needs) > _numbers(own):
        raise BundleError(MANIFEST, f"needs vljepa-edge {needs} or later, this is {own}; {upgrade()}")
    if _VERSION.fullmatch(schema) and _numbers(schema) > [SCHEMA]:
        reason = f"needs vljepa-edge later than {own}: it has schema {schema}, this version reads {SCHEMA}"
        raise BundleError(MANIFEST, f"{reason}; {upgrade()}")


def _numbers(text: str) -> list[int]:
    """The numbers that a version starts with, to compare: 0.9 of 0.9.0.dev3."""
    leading = re.match(r"[\d.]*\d|", text)
    numbers = [int(number) for number in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _explain(error: ValidationError) -> str:
    lines, unknown = [], []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            unknown.append(where)
        else:
            lines.append(f"{where}: {message}" if where else message)
    if unknown:
        reason = f"needs vljepa-edge later than {version('vljepa-edge')}, which does not know {_few(unknown, ', ')}"
        lines.insert(0, f"{reason}; {upgrade()}, or remove the unknown")
    return _few(lines, "; ")


def _few(items: Sequence[str], between: str) -> str:
    return between.join(items[:3]) + (f"{between}and {len(items) - 3} more" if len(items) > 3 else "")


def _check_roles(manifest: Manifest) -> None:
    missing = [role for role in ROLES if role not in manifest.graphs]
    if not manifest.x_encoders:
        missing.insert(0, f"{X_ENCODER}*")
    if missing:
        raise ValueError(
            f"graphs: {', '.join(missing)} missing; a bundle needs {X_ENCODER}* (one or more), {', '.join(ROLES)}"
        )
    units = {"query": "text", "y_encoder": "text", "y_decoder": "step", "predictor": "clip"}
    for role, graph in manifest.graphs.items():
        if role.startswith(X_ENCODER):
            allowed: tuple[str, ...] = ("frame", "clip")
        elif role in units:
            allowed = (units[role],)
        else:
            raise ValueError(f"graphs.{role}: a role must be one of {X_ENCODER}*, {', '.join(ROLES)}")
        if graph.unit not in allowed:
            raise ValueError(f"graphs.{role}.unit must be {' or '.join(allowed)}, got {graph.unit}")


def _check_files(manifest: Manifest) -> None:
    seen: dict[str, str] = {}
    for role, graph in manifest.graphs.items():
        if graph.file in manifest.files:
            raise ValueError(f"files: {graph.file} is a graph ({role}) and must be named under graphs only")
        first = next(g for g in manifest.graphs.values() if g.file == graph.file)
        if (first.sha256, first.bytes) != (graph.sha256, graph.bytes):
            raise ValueError(f"graphs.{role}: {graph.file} has two different hashes or sizes")
    for name in manifest.entries():
        check_name(name)
        if not _ALLOWED.fullmatch(name) or name.startswith("graphs/") != (name not in manifest.files):
            raise BundleError(name, f"is not a file that a bundle may hold; allowed are {ALLOWED_FILES}")
        if seen.setdefault(name.casefold(), name) != name:
            raise ValueError(f"files: {name} and {seen[name.casefold()]} differ in case only")
    for field in ("query_tokenizer", "target_tokenizer", "decoder_tokenizer"):
        name = getattr(manifest.text, field)
        if name not in manifest.files:
            raise ValueError(f"text.{field}: {name} is not among files")
    general = None if manifest.confidence is None else manifest.confidence.general
    for field in ("texts", "embeddings"):
        if general is not None and getattr(general, field) not in manifest.files:
            raise ValueError(f"confidence.general.{field}: {getattr(general, field)} is not among files")


def _check_vision(manifest: Manifest) -> None:
    """Frame graphs take the frame, clip graphs take frames or frame features, the predictor takes what those give."""
    video = manifest.video
    pixels = video.window * video.width * video.height
    if pixels > MAX_PIXELS:
        raise ValueError(f"video: a window of {pixels} pixels is too large; a window has at most {MAX_PIXELS}")
    cached: dict[str, tuple[int, ...]] = {}
    windowed: dict[str, tuple[int, ...]] = {}
    for role, graph in manifest.x_encoders.items():
        if graph.unit == "frame":
            _expect(role, graph.inputs, {"frame": ((1, video.height, video.width, 3), "uint8")})
            for tensor in graph.outputs:
                _add(cached, tensor, role)
    stacked = {name: (shape[0], video.window, *shape[1:]) for name, shape in cached.items()}
    frames = {"frames": (1, video.window, video.height, video.width, 3)}
    for role, graph in manifest.x_encoders.items():
        if graph.unit == "clip":
            allowed = {name: (shape, "float32") for name, shape in stacked.items()}
            _expect(role, graph.inputs, allowed | {"frames": (frames["frames"], "uint8")}, some=True)
            for tensor in graph.outputs:
                _add(windowed, tensor, role, taken=cached)
    predictor = manifest.graphs["predictor"]
    query = manifest.graphs["query"].output("query_tokens")
    width = query.shape[-1] if query and query.shape else -1
    allowed = {name: (shape, "float32") for name, shape in (stacked | windowed).items()}
    allowed |= {"query_tokens": ((1, -1, width), "float32"), "query_mask": ((1, -1), "int64")}
    _expect("predictor", predictor.inputs, allowed, some=True)
    _expect("predictor", predictor.outputs, {"embedding": ((1, manifest.embedding.width), "float32")}, extra=True)


def _check_text(manifest: Manifest) -> None:
    ids: Mapping[str, tuple[tuple[int, ...], str]] = {
        "input_ids": ((-1, -1), "int64"),
        "attention_mask": ((-1, -1), "int64"),
    }
    embedding = manifest.embedding.width
    graphs = manifest.graphs
    if manifest.text.empty_query == "none" and graphs["predictor"].input("query_mask") is None:
        raise ValueError(
            "text.empty_query: 'none' needs a predictor with a query_mask, which marks every token as none"
        )
    _expect("query", graphs["query"].inputs, ids)
    _expect("query", graphs["query"].outputs, {"query_tokens": ((-1, -1, -1), "float32")}, extra=True)
    _expect("y_encoder", graphs["y_encoder"].inputs, ids)
    _expect("y_encoder", graphs["y_encoder"].outputs, {"embedding": ((-1, embedding), "float32")}, extra=True)
    _check_y_decoder(graphs["y_decoder"], embedding)
    logits = graphs["y_decoder"].output("logits")
    vocabulary = logits.shape[-1] if logits else -1
    for field in ("decoder_start", "decoder_end"):
        token = getattr(manifest.text, field)
        if token is not None and 0 <= vocabulary <= token:
            raise ValueError(f"text.{field}: must be below {vocabulary}, the width of the logits, got {token}")


def _check_y_decoder(graph: GraphEntry, embedding: int) -> None:
    """Either all of the text goes in at each step, or the latest tokens and a cache, `past`, that comes out longer."""
    inputs: dict[str, tuple[tuple[int, ...], str]] = {
        "embedding": ((1, embedding), "float32"),
        "ids": ((1, -1), "int64"),
    }
    outputs: dict[str, tuple[tuple[int, ...], str]] = {"logits": ((1, -1), "float32")}
    past = graph.input("past")
    if past is not None:
        shape = past.shape
        if len(shape) != 4 or shape[2] != -1 or min(shape[1], shape[3]) < 1:
            raise ValueError(f"graphs.y_decoder.past: {list(shape)} does not fit; expected [1, rows, -1, head size]")
        inputs["past"] = outputs["present"] = ((1, shape[1], -1, shape[3]), "float32")
    _expect("y_decoder", graph.inputs, inputs)
    _expect("y_decoder", graph.outputs, outputs, extra=True)


def _add(
    shapes: dict[str, tuple[int, ...]], tensor: Tensor, role: str, taken: Mapping[str, object] | None = None
) -> None:
    if tensor.name in shapes or tensor.name in (taken or {}):
        raise ValueError(f"graphs.{role}: two X-encoder graphs have an output {tensor.name}")
    if not tensor.shape or tensor.dtype != "float32":
        raise ValueError(f"graphs.{role}: output {tensor.name} must be float32 [1, ...]")
    shapes[tensor.name] = tensor.shape


def _expect(
    role: str,
    given: tuple[Tensor, ...],
    allowed: Mapping[str, tuple[tuple[int, ...], str]],
    *,
    some: bool = False,
    extra: bool = False,
) -> None:
    """`given` are tensors of `allowed`: all of them, or `some`; `extra` allows others beside them."""
    names = [tensor.name for tensor in given]
    if len(set(names)) != len(names):
        raise ValueError(f"graphs.{role}: a name occurs twice in {', '.join(names)}")
    missing = [] if some else [name for name in allowed if name not in names]
    if missing:
        raise ValueError(f"graphs.{role}: {', '.join(missing)} missing")
    for tensor in given:
        if tensor.name not in allowed:
            if extra:
                continue
            raise ValueError(f"graphs.{role}: a tensor must be one of {', '.join(allowed)}, got {tensor.name}")
        shape, dtype = allowed[tensor.name]
        fits = len(shape) == len(tensor.shape) and all(
            a == b or -1 in (a, b) for a, b in zip(shape, tensor.shape, strict=True)
        )
        if not fits or tensor.dtype != dtype:
            given_text, expected = f"{tensor.dtype} {list(tensor.shape)}", f"{dtype} {list(shape)}"
            raise ValueError(f"graphs.{role}.{tensor.name}: {given_text} does not fit; expected {expected}")
