"""The documents are true: code runs, commands exist, links lead somewhere, tables are complete."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pytest
import typer

import vljepa_edge
from tests.media import write_png, write_video
from tests.toy_bundle import WORDS
from tests.video.bags import numbered, write_mcap
from tests.video.lerobot_data import write_dataset
from vljepa_edge.bundle.manifest import Manifest
from vljepa_edge.bundle.store import default_bundle
from vljepa_edge.cli import app
from vljepa_edge.cli.benchmarks import RUN as ANY_BENCHMARK
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform
from vljepa_edge.streaming.stats import Counts

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
DOCS = (*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md")))
LANGUAGES = ("bash", "python", "c", "cpp", "cmake", "text", "json", "yaml", "")


class Block(NamedTuple):
    """A fenced block of a document and the line that its code starts at."""

    language: str
    code: str
    line: int


def blocks(path: Path, language: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        line = match.string.count("\n", 0, match.start(2)) + 1
        if match[1] == language:
            yield Block(match[1], match[2], line)


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def having(language: str) -> pytest.MarkDecorator:
    chosen = [path for path in DOCS if any(blocks(path, language))]
    return pytest.mark.parametrize("path", chosen, ids=lambda path: path.name)


every = pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)


# --- code ---


@pytest.fixture
def desk(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the documents name; the embedded bundle is the toy."""
    for place in ("vljepa_edge.bundle.store", "vljepa_edge.model", "vljepa_edge.perception.text_encoder"):
        monkeypatch.setattr(f"{place}.default_bundle", lambda: toy)
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    for name in ("clip.mp4", "videos/first.mp4", "videos/second.mp4"):
        write_video(Path(name), 24)
    write_mcap(Path("drive.mcap"), numbered(20))
    write_dataset(Path("pusht"), [8, 8, 8, 8], cameras=("observation.images.top",))
    for name in ("photo.png", "before.png", "after.png"):
        write_png(Path(name), 40, 30)
    return tmp_path


@having("python")
def test_python_blocks_run_from_top_to_bottom(path: Path, desk: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(path, "python"):
        code = "\n" * (block.line - 1) + block.code  # so that a traceback names the document's line
        exec(compile(code, str(path), "exec"), names)
    streams = [value for value in names.values() if isinstance(value, vljepa_edge.Stream)]
    assert all(stream.stats().errors == 0 and stream.last_error is None for stream in streams)


@every
def test_blocks_say_what_they_are(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n```") % 2 == 0, "a block is not closed"
    opened = re.findall(r"^```(\w*)$", text, re.MULTILINE)[::2]
    assert set(opened) <= set(LANGUAGES)


@having("yaml")
def test_recipes_and_runs_load(path: Path, tmp_path: Path) -> None:
    recipe = pytest.importorskip("vljepa_edge.training.tiny.recipe")
    config = pytest.importorskip("vljepa_edge.training.config")
    for block in blocks(path, "yaml"):
        file = tmp_path / "file.yaml"
        file.write_text(block.code)
        load = config.load_run if re.search("^(stages|extends):", block.code, re.MULTILINE) else recipe.load_recipe
        assert load(file).name


# --- commands ---


def commands(path: Path) -> Iterator[str]:
    """Shell lines of the bash blocks, and what stands in `code` and begins with a command."""
    for block in blocks(path, "bash"):
        yield from (line for line in block.code.splitlines() if line.strip() and not line.startswith("#"))
    yield from re.findall(r"`((?:vljepa|make|pip install|python) [^`]+)`", prose(path))


def check_vljepa(words: list[str]) -> None:
    """Walk down to the command; every option that is written must be one of its own."""
    command: Any = typer.main.get_command(app)
    rest = iter(words)
    for word in rest:
        if not hasattr(command, "commands") or word.startswith("-"):
            rest = iter([word, *rest])
            break
        if word == "COMMAND":  # any
            return
        if word in BENCHMARKS and ANY_BENCHMARK in command.commands:
            word = ANY_BENCHMARK
        assert word in command.commands, f"there is no command {word!r}"
        command = command.commands[word]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    written = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert written <= known | {"--help"}, f"{' '.join(words)}: no option {written - known}"


def check_command(line: str) -> None:
    name, *words = shlex.split(line.partition(" | ")[0].replace("...", "X").removeprefix(".venv-dev/bin/"))
    if name == "vljepa":
        check_vljepa([word.strip("[]") for word in words])
    elif name == "make":
        targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
        assert {word for word in words if "=" not in word} <= targets
        arguments = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
        for word in shlex.split(arguments):
            assert not word.startswith(("training/", "tests/")) or (ROOT / word).exists()
    elif name == "pip":
        extras = re.findall(r"\[(\w+)\]", line)
        assert all(f"\n{extra} = [" in read("pyproject.toml") for extra in extras)
        assert all((ROOT / word).exists() for word in words if word.startswith("requirements/"))
    elif name == "python":
        assert (ROOT / words[0]).is_file() or words[0] in ("-m", "-X", "-c")
    elif name == "pytest":
        assert (ROOT / words[0]).exists()
    else:
        raise AssertionError(f"{name!r} is no command that this test knows: {line}")


@every
def test_commands_and_their_options_exist(path: Path) -> None:
    for line in commands(path):
        check_command(line)


def test_every_command_is_in_the_readme() -> None:
    command: Any = typer.main.get_command(app)
    assert all(f"`vljepa {name}" in read("README.md") for name in command.commands)


# --- links and paths ---


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    titles = re.findall(r"^#+ +(.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if target.startswith("https://"):
            continue
        file, _, anchor = unquote(target).partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@every
def test_no_path_of_one_machine(path: Path) -> None:
    absolute = re.findall(r"(?<![\w:/.~$*-])/[A-Za-z][\w.-]*/[\w./-]*", path.read_text("utf-8"))
    everywhere = ("/dev/", "/streams/", "/events/", "/camera/", "/vljepa/", "/etc/", "/opt/vljepa", "/var/")
    assert [found for found in absolute if not found.startswith(everywhere)] == []


@every
def test_files_named_in_code_exist(path: Path) -> None:
    folders = "vljepa_edge|bindings|training|tests|docs|examples|requirements|benchmarks"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", prose(path))
    later = {"docs/performance.md"}  # written by `make bench`
    assert [name for name in named if name not in later and not (ROOT / name).exists()] == []


# --- tables that must be complete ---


def test_every_public_name_is_documented() -> None:
    text = read("docs/python-api.md")
    errors = [name for name in vljepa_edge.__all__ if name.endswith("Error")]
    assert [name for name in (*vljepa_edge.__all__, *errors) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("kind", [vljepa_edge.Model, vljepa_edge.Stream], ids=lambda kind: kind.__name__)
def test_every_public_method_is_documented(kind: type) -> None:
    text = read("docs/python-api.md")
    names = [name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")]
    assert [name for name in names if f"`{kind.__name__}.{name}" not in text] == []


SIGNATURES = (
    *("embed_video", "embed_windows", "windows", "classify", "answer", "transition"),
    *("stream", "astream", "open_stream"),
)


@pytest.mark.parametrize("method", SIGNATURES)
def test_signatures_are_the_real_ones(method: str) -> None:
    written = re.search(rf"`Model\.{method}\(([^`]*)\)`", read("docs/python-api.md"))
    assert written is not None
    parameters = list(inspect.signature(getattr(vljepa_edge.Model, method)).parameters.values())[1:]

    def shown(parameter: inspect.Parameter) -> str:
        default = parameter.default
        if default is inspect.Parameter.empty:
            return parameter.name
        return f"{parameter.name}={json.dumps(default) if isinstance(default, str) else default}"

    assert written[1] == ", ".join(map(shown, parameters))


def test_every_count_and_field_of_an_event_is_documented() -> None:
    rows = "".join(line for line in read("docs/streaming.md").splitlines() if line.startswith("|"))
    names = [item.name for kind in (Counts, vljepa_edge.Event) for item in fields(kind)]
    assert [name for name in names if f"`{name}`" not in rows] == []


@pytest.mark.parametrize("kind", [RunningWard, Budget, LocalVariance, Uniform], ids=lambda kind: kind.name)
def test_policies_are_documented_with_their_defaults(kind: type[Policy]) -> None:
    section = read("docs/streaming.md").partition(f"**`{kind.name}`**")[2].partition("\n**`")[0]
    for key in fields(kind):
        assert f"| `{key.name}` | {key.default!r} |" in section


def test_every_key_of_the_manifest_is_documented() -> None:
    text = read("docs/bundle.md")
    keys = {item.alias or name for name, item in Manifest.model_fields.items()}
    for part in ("video", "text", "embedding"):
        kind: Any = Manifest.model_fields[part].annotation
        keys |= set(kind.model_fields)
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_every_key_of_a_recipe_is_documented() -> None:
    recipe = pytest.importorskip("vljepa_edge.training.tiny.recipe")
    kinds = (recipe.Recipe, recipe.DataRecipe, recipe.MotionRecipe, recipe.PredictorRecipe, recipe.DecoderRecipe)
    names = {name for kind in kinds for name in kind.model_fields}
    assert [name for name in sorted(names) if f"`{name}`" not in read("docs/training.md")] == []


def test_every_key_of_a_stage_is_documented() -> None:
    config = pytest.importorskip("vljepa_edge.training.config")
    names = {*config.Stage.model_fields, *config.Predicted.model_fields}
    text = read("docs/runs.md")
    assert [name for name in sorted(names) if f"`{name}`" not in text and f"{name}:" not in text] == []
    augmentations = {*config.AUGMENTATIONS, *config.FEATURE_AUGMENTATIONS}
    assert [name for name in sorted(augmentations) if f"`{name}`" not in text] == []


def test_every_package_that_training_fetches_is_documented() -> None:
    assets = pytest.importorskip("vljepa_edge.training.tiny.assets")
    assert [asset.name for asset in assets.ASSETS if f"| {asset.name} |" not in read("docs/training.md")] == []


# --- figures and the picture ---


def load_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIGURES = {
    "clips_per_split": 660,
    **{
        split: {
            "motion_top1_of_11": 80.1, "motion_moving_camera": 77.7,
            "motion_unseen_paraphrase": 70.2, "object_top1_of_32": 60.3,
            "retrieval_R@1": 50.4, "retrieval_R@5": 40.5, "retrieval_captions": 2266,
            "answers_exists": 81.0, "zero_training_exists": 61.0,
            "answers_moves": 81.5, "answers_direction": 82.0, "answers_count": 83.0,
            "decoded_motion": 84.0, "decoded_object": 85.0,
            "nearest_caption_object": 86.0,
            "object_close_up": 87.0, "zero_training_object_close_up": 12.5,
            "answers_exists_close_up": 88.0, "zero_training_exists_close_up": 62.0,
            "zero_training_object_top1_of_32": {"frame": 10.0, "best": 11.5},
        }
        for split in ("seen", "held")
    },
    "real_photos": {"count": 24, "model": 75.0, "best_zero_training": 70.8, "rows": []},
    "real_videos": {"windows": 20, "says_right": 45.0, "picks_right": 50.0, "rows": []},
}  # fmt: skip

RUN = """# Performance

Written by `make bench` on 2026-11-22; do not edit. Every figure below is from that one run.

* Machine: a CPU, 2 cores (avx2, avx512_vnni, avx512_bf16), Linux-6, load 0.1 when it began.
* Model: small 1.2.3 (digest 0123456789ab); OpenVINO computes in INT8 and bf16.

## The bars

| | measured | bar | |
|---|---:|---:|---:|
| a hop with scaling, one thread, p50 | 9.5 ms | at most 25 ms | met |

## Where a hop's time goes

| **hop: frame in, decision out** | 77 ms | 78 ms | 79 ms |

### predictor, one hop

| **OpenVINO, INT8 and bf16** | 3.1 ms | 2 ms to 4 ms | 1 |  |
| OpenVINO, INT8 and f32 | 4.2 ms | 3 ms to 5 ms | 1.3x |  |

### Y-decoder, one caption

| **decode_text** | 6.3 ms | 5 ms to 7 ms | 1 |  |
"""
OLD_RUN = RUN.replace(", avx512_vnni, avx512_bf16", "").replace("INT8 and bf16", "f32").replace("9.5 ms", "29 ms")


def with_figures(toy: Path, figures: dict[str, Any]) -> Manifest:
    manifest = json.loads((toy / "manifest.json").read_text())
    return Manifest.model_validate_json(json.dumps({**manifest, "figures": figures}))


def cells(table: str) -> dict[str, list[str]]:
    """A table in Markdown as its rows by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {first: rest for first, *rest in rows}


def test_the_figures_of_quality_are_those_of_the_manifest(toy: Path) -> None:
    text = load_script("fill_figures").quality(with_figures(toy, FIGURES))
    assert all(
        f"{figure}" in text
        for figure in (80.1, 77.7, 70.2, 60.3, 50.4, 40.5, 11.5, "2,266", 70.8, 45.0, 87.0, 12.5, 62.0)
    )
    assert "`vljepa eval card`" in text


def test_captioned_photographs_stand_above_the_other_figures_where_they_were_measured(toy: Path) -> None:
    quality = load_script("fill_figures").quality
    found = {"items": 565, "captions": 2826, "text_to_item_R@1": 24.25, "text_to_item_R@5": 57, "CIDEr": 31.4}
    there = {"questions": 1176, "by_cosine": 81.5, "by_asking": 78.3}
    text = quality(with_figures(toy, FIGURES | {"everyday": {"coco-val": found, "is-there": there}}))
    assert "| COCO val2017, a part | 565 | 2,826 | 24.2 | 57.0 | 31.4 |" in text
    assert "1,176 questions" in text and "81.5 %" in text and "78.3 %" in text
    assert text.endswith(quality(with_figures(toy, FIGURES)))


def test_speed_has_a_column_for_each_kind_of_arithmetic_that_was_measured() -> None:
    rows = cells(load_script("fill_figures").speed({"new.md": RUN, "old.md": OLD_RUN}))
    assert rows[""] == ["bf16 and VNNI", "VNNI, bf16 switched off", "AVX2 alone"]
    assert rows["processor"] == ["a CPU, 2 cores", "the same", "a CPU, 2 cores"]
    assert rows["model"] == ["small 1.2.3"] * 3
    assert rows["computes in"] == ["INT8 and bf16", "INT8 and f32", "f32"]
    assert rows["predictor"] == ["3.1 ms", "4.2 ms", "3.1 ms"]
    assert rows["Y-decoder, one text (not part of a hop)"] == ["6.3 ms", "–", "6.3 ms"]
    assert rows["measured"] == ["[2026-11-22](docs/new.md)", "[2026-11-22](docs/new.md)", "[2026-11-22](docs/old.md)"]


def test_a_hop_means_the_same_in_every_column() -> None:
    rows = cells(load_script("fill_figures").speed({"new.md": RUN, "old.md": OLD_RUN}))
    assert rows["**a hop, p50**"] == ["9.5 ms", "–", "29 ms"]  # pushed alone, not the 77 ms while a file is read
    assert rows["**a hop, p99**"] == ["–", "–", "–"]


def test_the_benchmark_still_writes_what_is_read_from_it() -> None:
    script = load_script("fill_figures")
    written = "".join(path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    assert all(f'"{row}"' in written for _, row in (*script.BARS, *script.AFTER))
    for path in script.PERFORMANCE:
        rows = cells(script.speed({path.name: path.read_text("utf-8")}))
        assert all(values[0] != script.NOT_MEASURED for values in rows.values()), path.name


def test_what_was_not_measured_is_said(toy: Path) -> None:
    script = load_script("fill_figures")
    assert "no figures" in script.quality(with_figures(toy, {}))
    assert "make bench" in script.speed({})


def test_only_the_block_is_replaced() -> None:
    fill = load_script("fill_figures").fill
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    once = fill(text, "x", "new\n\nmore")
    assert once == "a\n<!-- x:begin -->\nnew\n\nmore\n<!-- x:end -->\nb\n"
    assert fill(once, "x", "new\n\nmore") == once
    for broken in ("nothing", text + text):
        with pytest.raises(ValueError, match="there must be one"):
            fill(broken, "x", "new")


def test_each_figure_in_the_readme_is_explained() -> None:
    rows = load_script("fill_figures").ROWS
    assert [key for _, key in rows if f"`{key}`" not in read("docs/training.md")] == []


def shipped() -> Manifest:
    if not (default_bundle() / "manifest.json").is_file():
        pytest.skip("the embedded bundle is not here yet")
    return vljepa_edge.Bundle.open(default_bundle()).manifest


def test_documents_show_the_figures_of_the_embedded_bundle() -> None:
    manifest = shipped()
    script = load_script("fill_figures")
    hint = "out of date; run: python docs/fill_figures.py"
    assert script.quality(manifest) in read("README.md"), hint
    assert script.speed({path.name: path.read_text("utf-8") for path in script.PERFORMANCE}) in read("README.md"), hint
    assert script.parts(manifest) in read("docs/model.md"), hint


def test_the_picture_was_drawn_by_the_embedded_bundle() -> None:
    shipped()
    digest = vljepa_edge.Bundle.open(default_bundle()).digest
    assert digest in read("docs/images/stream.svg"), "out of date; run: python docs/make_pictures.py"


def test_the_committed_picture_holds_no_frame_of_a_video() -> None:
    picture = read("docs/images/stream.svg")
    assert "<image" not in picture and "base64" not in picture and len(picture) < 50_000


def test_the_picture_shows_every_segment_of_a_run(model: vljepa_edge.Model, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    script = load_script("make_pictures")
    images = [np.full((48, 64, 3), colour, np.uint8) for colour in (20, 220, 20) for _ in range(40)]
    video = write_video(tmp_path / "clip.mp4", images)
    run = script.record(model, video, "clip.mp4 <&>", RunningWard(threshold=0.1), frames=True)
    assert len(run.segments) > 1
    texts = [element.text or "" for element in ElementTree.fromstring(script.draw(run)).iter() if element.text]
    assert all(any(event.text in text for text in texts) for event in run.segments)
    assert any(word in " ".join(texts) for word in WORDS)
    scores = dict(run.scores)  # the curve is the policy's own
    cuts = [event for event in run.events if event.status == "open"]
    assert all(scores[event.decided_at] == pytest.approx(event.change) for event in cuts)
    assert script.draw(run).count("<image") == 10
    run.frames.clear()
    assert "<image" not in script.draw(run)
