"""All of `python -m vljepa_edge.training.tiny` but for what is measured, without a network: plain cut-outs over plain
backgrounds, an EfficientNet-Lite0 with random weights, a random sentence encoder of one layer, photographs of plain
things on a plain ground with a few captions."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import vljepa_edge
from tests.engines.chain import cosine
from tests.export.quiet import quiet
from tests.export.small_parts import efficientnet
from tests.toy_bundle import write_toy_bundle
from tests.training.tiny.fakes import NAMES, cutout, grey_background
from tests.training.tiny_bert import write_sentence_encoder
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import ExportError, InputError
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.frame_encoder import FrameEncoder
from vljepa_edge.training.report import TrainReport
from vljepa_edge.training.tiny import assets, calibration, card, drawn, make, prepare, vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.recipe import DataRecipe, DecoderRecipe, MotionRecipe, PredictorRecipe, Recipe
from vljepa_edge.training.tiny.scenes import Painter
from vljepa_edge.video.source import open_source

HELD_AND_SEEN = [*NAMES, "ladder", "mango"]
LABELS = [f"kind {i % 30}" for i in range(1000)]
CLIPS = 16
STAGES = ("images", "clips", "sft")
MICRO = Recipe(
    name="micro", data=DataRecipe(train_clips=CLIPS, motion_clips=16, test_clips=66, card_clips=66),
    motion=MotionRecipe(width=4, epochs=1, batch=16), predictor=PredictorRecipe(hidden=32, layers=1, heads=2, ffn=48),
    decoder=DecoderRecipe(hidden=64, layers=1, wide=400),
    changes=[
        "loader.workers=0", "parallel.bf16=false", "device=cpu", "peak=0.1",
        *(f"stages.{stage}.{key}" for stage in STAGES for key in ("steps=2", "batch=8", "warmup=1")),
        "decoder.steps=2", "decoder.batch=8", "decoder.validation=2", "decoder.predicted.samples=12",
    ],
)  # fmt: skip
CAPTIONS = {
    "lemon": ("A yellow lemon lies on a grey table.", "Two lemons are on a table."),
    "owl": ("A brown owl sits in a tree.", "An owl is looking at the camera."),
    "kite": ("A man is flying a red kite in a park.", "A child holds a kite."),
}
FIGURES = {"seen": {"motion": 1}, "held": {"motion": 2}}


def write_everyday(folder: Path) -> Path:
    """What `vljepa data fetch everyday` writes, with one table: three photographs, two captions of each."""
    rows = []
    for i, (name, captions) in enumerate(CAPTIONS.items()):
        picture = grey_background(60 + 40 * i)[0][0].copy()
        thing = cutout((40 + 70 * i, 200 - 60 * i, 90))
        picture.paste(thing, (110, 120), thing)
        picture.save(folder / f"{name}.jpg")
        rows += [{"path": f"{name}.jpg", "caption": caption} for caption in captions]
    (folder / "coco-train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every asset is replaced; a fetch of any other fails."""
    (tmp_path / "everyday").mkdir()
    minilm = write_sentence_encoder(tmp_path / "minilm", ["the", "moves", "what", "is", *HELD_AND_SEEN], width=384)
    rng = np.random.default_rng(0)
    cutouts = {name: [cutout(tuple(rng.integers(0, 256, 3).tolist()))] for name in sorted(HELD_AND_SEEN)}
    photo = Image.fromarray(rng.integers(0, 256, (30, 26, 3), np.uint8)).resize((360, 340))
    net = efficientnet()
    net.classify.weight.mul_(50)  # sure of itself, so that some crops pass for photographs of a class
    monkeypatch.setattr(assets, "fetch", lambda asset, *_: pytest.fail(f"{asset.name} is fetched"))
    monkeypatch.setattr(assets, "stamps_dir", lambda: tmp_path)
    monkeypatch.setattr(assets, "background_dirs", lambda: [tmp_path])
    monkeypatch.setattr(assets, "minilm_dir", lambda: minilm)
    monkeypatch.setattr(assets, "imagenet_labels", lambda: LABELS)
    monkeypatch.setattr(assets, "efficientnet_lite0_weights", lambda: tmp_path / "none.pth")
    monkeypatch.setattr(EfficientNetLite0, "from_checkpoint", classmethod(lambda cls, path: net))
    for module in (prepare, drawn):
        monkeypatch.setattr(module, "load_cutouts", lambda folder: cutouts)
        monkeypatch.setattr(module, "load_backgrounds", lambda folders, test: [*grey_background(), [photo]])
    monkeypatch.setattr(prepare, "_PROJECTION_FRAMES", 12)
    monkeypatch.setattr(prepare, "fill", functools.partial(prepare.fill, workers=0))  # whose pictures are not replaced
    monkeypatch.setattr(card, "evaluate", lambda bundle, clips, *, data: FIGURES)
    monkeypatch.setattr(make.card_text, "markdown", lambda figures: f"# {figures}")
    for name, words in {
        "nouns": ["turnip", "yurt"], "people": ["man", "child"], "actions": ["walking"], "scenes": ["street"],
        "imagenet_names": [(label,) for label in LABELS],
    }.items():  # fmt: skip
        monkeypatch.setattr(vocabulary, name, lambda words=words: words)


def sources_of(work: Path) -> set[str]:
    """The data that a run was trained on, from the file that it keeps of itself."""
    return set(make.load_run(work / "run" / "config.yaml").data)


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("everyday", [True, False], ids=["photographs", "drawn alone"])
def test_from_nothing_to_a_bundle_that_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everyday: bool) -> None:
    work, out = tmp_path / "work", tmp_path / "bundle"
    if everyday:
        write_everyday(tmp_path / "everyday")
    make.make(MICRO, work, out, tmp_path / "everyday", int8=False)
    of_photographs = {"coco", "coco_asked", "coco_moving"}
    assert sources_of(work) == {"stills", "drawn", "drawn_asked", *(of_photographs if everyday else ())}

    shop = prepare.Workshop(MICRO, work)
    assert len(shop.held_names) == 2 and not set(shop.held_names) & set(shop.seen_names)
    source = drawn.DrawnClips(CLIPS, 1)
    assert not {name for scene in source.scenes for name in scene.names()} & set(shop.held_names)
    assert {scene.name for scene in shop.held_luma()[1]} <= set(shop.held_names)

    loaded = vljepa_edge.load(out, threads=1, precision="f32")
    _says_what_it_was_made_of(out, loaded, everyday)
    export_any(str(work / "run" / "model"), tmp_path / "exported", Plan("fp16"), None, quiet)
    assert Bundle.open(tmp_path / "exported").manifest.graphs == loaded.manifest.graphs  # their hashes too
    for name in ("query", "target"):  # whoever takes the tokenizer from the bundle pads as he likes
        kept = json.loads((out / "tokenizers" / f"{name}.json").read_text())
        assert kept["padding"] is None and kept["truncation"] is None

    frames = shop.painter(test=True).draw(Scene("left", shop.seen_names[0]), random.Random(0))
    events = list(loaded.stream([(frame, t / 4) for t, frame in enumerate(frames)], policy="uniform:period=0.5"))
    assert events and events[-1].status == "closed"
    model = VLJepa.from_pretrained(work / "run" / "model")
    _starts_with_a_motion_stem_that_the_run_leaves(work, model)
    _agrees_with_training(loaded, model, shop, frames)
    _goes_on_where_it_stopped(work, out, tmp_path / "everyday", monkeypatch)


def _says_what_it_was_made_of(out: Path, loaded: vljepa_edge.Model, everyday: bool) -> None:
    provenance: dict[str, Any] = loaded.manifest.provenance
    assert provenance["recipe"]["data"]["train_clips"] == CLIPS
    assert provenance["run"]["stages"][0]["steps"] == 2
    assert [(table["table"], table["rows"]) for table in provenance["data"]] == [("coco-train", 6)] * everyday
    assert loaded.manifest.figures == FIGURES
    notice = (out / "NOTICE").read_text()
    assert "all-MiniLM-L6-v2" in notice and ("COCO 2017" in notice) is everyday and "Flickr8k" not in notice
    assert not [key for key, value in provenance.items() if str(out.parent) in json.dumps(value)]


def _starts_with_a_motion_stem_that_the_run_leaves(work: Path, model: VLJepa) -> None:
    stem, start = load_file(work / "motion_stem.safetensors"), VLJepa.from_pretrained(work / make.START)
    for name, value in make.motion_stem(start).state_dict().items():
        assert torch.equal(value, stem[name])
    for name, value in make.motion_stem(model).state_dict().items():
        assert torch.equal(value, stem[name]), "the motion stem is trained before the stages, and not in them"
    assert not torch.equal(start.predictor.head.weight, model.predictor.head.weight)
    assert model.config.predictor.concept is not None and model.config.predictor.concept.trust == 0.25


def _agrees_with_training(loaded: vljepa_edge.Model, model: VLJepa, shop: prepare.Workshop, frames: np.ndarray) -> None:
    """What the device computes from frames is what training computed from its cached features."""
    query = CAPTION_QUERIES[0]
    kept = FrameEncoder(shop.appearance_stream, len(frames))(torch.from_numpy(frames[None]))
    states, mask = shop.sentence_encoder.tokens([query])
    with torch.inference_mode():
        expected = model.eval().predict(kept, states, mask.bool())[0].numpy()
    _, found = loaded.embed_windows([(frame, t / 4) for t, frame in enumerate(frames)], query, full=True)
    assert cosine(found[0], expected) > 0.99
    seen = card.Seen(loaded, frames)  # how the card looks at a clip: as a stream does
    np.testing.assert_allclose(loaded.vision.predict(seen.features, loaded.text.query(query)), found[0], atol=1e-5)
    apart = np.abs(seen.conse() - kept["appearance"][0, ..., -384:].numpy()).max(-1)
    assert np.mean(apart < 0.05) > 0.9  # where bf16 is native it may turn over which classes are a region's likeliest
    scene = Scene("left", shop.seen_names[0])
    read = card.zero_training([seen, seen], [scene, scene], shop.seen_names, loaded)
    assert read["best"] == max(read.values()) and len(read) == 9
    texts = ["The owl moves to the left.", "Yes."]
    with torch.inference_mode():
        targets = model.encode_text(shop.sentence_encoder.sentences(texts)).numpy()
    for one, other in zip(loaded.embed_text(texts), targets, strict=True):
        assert cosine(one, other) > 0.99


def _goes_on_where_it_stopped(work: Path, out: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run in the same folder draws, encodes and trains nothing, and writes the same bundle."""

    def fail(*_: object) -> None:
        pytest.fail("something was done again")

    before = Bundle.open(out).manifest
    with monkeypatch.context() as patch:
        patch.setattr(Painter, "draw", fail)
        patch.setattr(make, "pretrain_motion", fail)
        patch.setattr(make, "train", fail)
        patch.setattr(FrameEncoder, "encode", fail)
        patch.setattr(prepare.SentenceEncoder, "sentences", fail)
        make.make(MICRO, work, out, tables, int8=False)
    assert Bundle.open(out).manifest.graphs == before.graphs


def test_a_run_that_a_signal_stopped_is_resumed_and_is_no_bundle_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def stopped(run: make.RunConfig, resume: str | None) -> TrainReport:
        asked.append(resume)
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / make.LATEST).write_text("")
        return TrainReport(run.folder, None, 3, 0, 0, {}, 15)

    monkeypatch.setattr(make, "train", stopped)
    monkeypatch.setattr(make, "write_start", lambda *_: None)
    for _ in range(2):
        with pytest.raises(SystemExit, match="stopped by signal 15; the same command goes on from there"):
            make.make(MICRO, tmp_path / "work", tmp_path / "out", tmp_path / "everyday")
    assert asked == [None, "latest"] and not (tmp_path / "out").exists()


def test_a_run_takes_the_tables_that_are_there_and_its_files_from_the_work_folder(tmp_path: Path) -> None:
    work, tables = tmp_path / "work", tmp_path / "tables"
    tables.mkdir()
    alone = make.run_of(MICRO, work, tables)
    assert set(alone.data) == {"stills", "drawn", "drawn_asked"} and make.sets_of(alone) == []
    for name in ("coco-train", "robot-train"):
        (tables / f"{name}.jsonl").write_text('{"path": "a.jpg", "caption": "A cat."}\n')
    found = make.run_of(MICRO, work, tables)
    assert {name for name in found.data if "of" in found.data[name]} == {
        "coco", "coco_asked", "coco_moving", "robot",
    }  # fmt: skip
    for spec in (found.data["coco_asked"], found.data["coco"]["of"]):
        assert spec["of"]["path"] == str(tables / "coco-train.jsonl")
    assert make.sets_of(found) == ["coco", "video_droid", "video_bridge", "video_openvla"]
    for run in (alone, found):
        assert [set(stage.data) - set(run.data) for stage in run.stages] == [set()] * 3
        assert (run.name, run.seed, run.init, run.folder) == ("micro", 0, str(work / "start"), work / "run")
        assert run.features == str(work / "features")
        assert {run.data[name]["count"] for name in ("stills", "drawn", "drawn_asked")} == {CLIPS}
        concepts = {run.data[name]["concepts"] for name in ("stills", "drawn", "drawn_asked")}
        assert concepts == {str(work / "start" / "concepts.safetensors")}
        assert run.decoder is not None and run.decoder.corpus[0] == str(work / "start" / "corpus.txt")
        assert [stage.steps for stage in run.stages] == [2, 2, 2]
    other = make.run_of(MICRO.model_copy(update={"seed": 3}), work, tables)
    assert other.seed == 3 and other.data["drawn"]["seed"] != found.data["drawn"]["seed"]


def test_another_recipes_folder_is_refused(tmp_path: Path) -> None:
    prepare.Workshop(MICRO, tmp_path / "work")
    prepare.Workshop(MICRO, tmp_path / "work")
    with pytest.raises(InputError, match=r"work holds the run of another recipe \(see its recipe\.json\)"):
        prepare.Workshop(MICRO.model_copy(update={"changes": []}), tmp_path / "work")


@pytest.mark.usefixtures("no_network")
def test_held_out_names_are_no_names_to_rename_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "nouns", lambda: ["turnip", *HELD_AND_SEEN])
    shop = prepare.Workshop(MICRO, tmp_path / "work")
    assert set(shop.held_names) < set(HELD_AND_SEEN)
    assert not set(shop.held_names) & set(shop.concepts.names)
    assert set(shop.seen_names) < set(shop.concepts.names)


def test_a_log_keeps_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = make.Log(tmp_path)
    log("one")
    log("two")
    assert (tmp_path / "log.txt").read_text() == capsys.readouterr().out == "   0.0 min  one\n   0.0 min  two\n"


@pytest.mark.parametrize(
    ("option", "good", "last"),
    [
        ([], True, ["bundle-fp16 to out"]),
        ([], False, ["bundle-fp16 to out", "export out"]),
        (["--no-int8"], True, ["export out"]),
    ],
)
@pytest.mark.parametrize("data", [[], ["--data", "mine"]], ids=["cache", "mine"])
def test_the_command_reads_its_arguments(
    option: list[str], good: bool, last: list[str], data: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`python -m vljepa_edge.training.tiny`: start, train, export, INT8 or 16 bits for --out, and what is measured on
    that."""
    calls: list[str] = []
    arguments = ["--work", str(tmp_path), "--out", str(tmp_path / "out"), "--seed", "7", *option, *data]
    monkeypatch.setattr("sys.argv", ["tiny", *arguments])
    monkeypatch.setattr(make, "default_folder", lambda: Path("default"))

    def run_of(recipe: Recipe, folder: Path, tables: Path) -> SimpleNamespace:
        calls.append(f"run {recipe.name} {recipe.seed} {folder == tmp_path} {tables}")
        return SimpleNamespace(data={"drawn": {}}, folder=tmp_path / "run")

    def train(run: object, resume: str | None) -> TrainReport:
        calls.append(f"train {resume}")
        return TrainReport(tmp_path, tmp_path / "run" / "model", 1, 0, 0, {}, None)

    def quantise(floating: Path, shop: object, out: Path, log: object) -> bool:
        calls.append(f"{floating.name} to {out.name}")
        return good

    monkeypatch.setattr(make, "run_of", run_of)
    monkeypatch.setattr(make, "train", train)
    monkeypatch.setattr(make, "write_start", lambda shop, data, out, log: calls.append(f"start {out.name}"))
    monkeypatch.setattr(make, "VLJepa", SimpleNamespace(from_pretrained=lambda folder: SimpleNamespace(config=None)))
    monkeypatch.setattr(make, "tokenizers_of", lambda *_: None)
    monkeypatch.setattr(make, "export", lambda *a: calls.append(f"export {a[4].name}"))
    monkeypatch.setattr(make, "quantise", quantise)
    monkeypatch.setattr(make, "finish", lambda *a: calls.append(f"{a[0].name} by {a[3]}"))
    make.main()
    tables = "mine" if data else "default"
    assert calls == [f"run tiny 7 True {tables}", "start start", "train None", "export bundle-fp16", *last,
                     f"out by {tables}"]  # fmt: skip


def test_a_start_alone_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What `vljepa train tiny` starts from."""
    arguments = ["--work", str(tmp_path / "work"), "--data", str(tmp_path), "--start", "mine"]
    monkeypatch.setattr("sys.argv", ["tiny", *arguments])
    written: list[tuple[set[str], Path]] = []
    monkeypatch.setattr(make, "write_start", lambda shop, data, out, log: written.append((set(data), out)))
    monkeypatch.setattr(make, "train", lambda *_: pytest.fail("it trains"))
    make.main()
    assert written == [({"stills", "drawn", "drawn_asked"}, Path("mine"))]


@pytest.mark.parametrize(
    ("sets", "there", "chosen"),
    [(["coco", "flickr8k"], ["coco", "flickr8k"], "flickr8k"), (["coco"], ["coco", "flickr8k"], "coco"),
     (["coco", "flickr8k"], ["coco"], "coco"), (["coco"], ["flickr8k"], None), ([], ["coco"], None),
     (["coco"], ["coco, 49"], None), (["coco", "flickr8k"], ["coco", "flickr8k, 49"], "coco")],
)  # fmt: skip
def test_what_ships_is_measured_its_confidence_first(
    sets: list[str], there: list[str], chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its confidence is fitted to photographs of a set that it was trained on: other terms don't come in by that."""
    bundle, tables = write_toy_bundle(tmp_path / "toy"), tmp_path / "everyday"
    tables.mkdir()
    before, calls, lines = Bundle.open(bundle).manifest, [], []
    for one in there:
        name, _, count = one.partition(", ")
        rows = [{"path": f"{number}.jpg", "caption": said}
                for number in range(int(count or 50)) for said in ("A dog.", "A red dog.", "A dog runs.")]  # fmt: skip
        for part in ("dev", "train"):
            (tables / f"{name}-{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def calibrate(
        path: Path, table: Path, *, general: list[str], wanted_precision: float, picture: Path
    ) -> SimpleNamespace:
        calls.append(f"calibrate {path.name} {table.name} {general} {picture.name}")
        return SimpleNamespace(min_confidence=0.5, shown=0.4, precision=0.8)

    def evaluate(path: Path, clips: int, *, data: Path) -> dict[str, object]:
        calls.append(f"evaluate {path.name} {clips} {data.name}")
        return FIGURES

    monkeypatch.setattr(make, "calibrate", calibrate)
    monkeypatch.setattr(make, "general_sentences", lambda table: [(f"of {table.name}", 3)])
    monkeypatch.setattr(card, "evaluate", evaluate)
    monkeypatch.setattr(make.card_text, "markdown", lambda figures: f"# {figures}")
    make.finish(bundle, MICRO, sets, tables, lines.append)  # type: ignore[arg-type]
    fitted = [f"calibrate toy {chosen}-dev.jsonl ['of {chosen}-train.jsonl'] toy.reliability.png"] * bool(chosen)
    assert calls == [*fitted, "evaluate toy 66 everyday"]
    assert lines[0].startswith("shown from 0.50 on: 40% of texts, 80% right" if chosen else "too few photographs")
    after = Bundle.open(bundle)
    assert after.manifest.figures == FIGURES and after.manifest.graphs == before.graphs
    assert after.read("MODEL_CARD.md").decode() == f"# {FIGURES}"


def test_an_int8_form_that_loses_too_much_is_told_apart_from_one_that_could_not_be_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report, lines = SimpleNamespace(lines=lambda: ["0.91 mean"]), []
    shop = SimpleNamespace(folder=tmp_path, painter=lambda test: None, seen_names=[])
    monkeypatch.setattr(make, "write_calibration", lambda *_: tmp_path)
    monkeypatch.setattr(make, "Bundle", SimpleNamespace(open=lambda path: path))
    for error, judged in ((ExportError("below 0.99", report), True), (ExportError("no clips"), False)):
        monkeypatch.setattr(make, "export_int8", Mock(side_effect=error))
        arguments = (tmp_path, shop, tmp_path / "out", lines.append)
        if judged:
            assert not make.quantise(*arguments)  # type: ignore[arg-type]
            assert lines == ["0.91 mean"]
        else:
            with pytest.raises(ExportError, match="no clips"):
                make.quantise(*arguments)  # type: ignore[arg-type]


def test_an_error_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["tiny", "--work", str(tmp_path)])
    monkeypatch.setattr(make, "make", Mock(side_effect=ExportError("no clips")))
    with pytest.raises(SystemExit, match=r"^error: no clips$"):
        make.main()


@pytest.mark.usefixtures("no_network")
def test_calibration_clips_are_frames_as_they_were_drawn_and_never_of_held_out_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "CLIPS", 3)
    monkeypatch.setattr(calibration, "STILLS", 1)
    shop = prepare.Workshop(MICRO, tmp_path / "work")
    drawn: list[np.ndarray] = []
    painter = shop.painter(test=False)
    monkeypatch.setattr(painter, "draw", lambda *a: drawn.append(Painter.draw(painter, *a)) or drawn[-1])
    folder = calibration.write_calibration(tmp_path / "clips", painter, shop.seen_names)
    for i, frames in enumerate(drawn):
        with open_source(folder / f"clip{i:02}.mkv", size=(224, 224), fps=4.0) as source:
            read = np.stack([frame.image for frame in source])
        np.testing.assert_array_equal(read, frames)
    assert (folder / "still0.png").is_file()
    words = (folder / "queries.txt").read_text() + (folder / "texts.txt").read_text()
    assert CAPTION_QUERIES[0] in words and not any(name in words for name in shop.held_names)
