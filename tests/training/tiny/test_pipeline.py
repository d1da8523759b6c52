"""All of `python -m vljepa_edge.training.tiny` but for the card, without a network: plain cut-outs over plain
backgrounds, an EfficientNet-Lite0 with random weights and a random sentence encoder of one layer."""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

import vljepa_edge
from tests.engines.chain import cosine
from tests.export.quiet import quiet
from tests.export.small_parts import efficientnet
from tests.training.tiny.fakes import NAMES, cutout, grey_background
from tests.training.tiny_bert import write_sentence_encoder
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import ExportError
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.config import load_run
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.loop import train as train_run
from vljepa_edge.training.tiny import assets, calibration, card, drawn, make, prepare, vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.recipe import (
    DataRecipe,
    DecoderRecipe,
    MotionRecipe,
    PredictorRecipe,
    Recipe,
    StageRecipe,
)
from vljepa_edge.training.tiny.scenes import Painter
from vljepa_edge.video.source import open_source

HELD_AND_SEEN = [*NAMES, "ladder", "mango"]
LABELS = [f"kind {i % 30}" for i in range(1000)]
MICRO = Recipe(
    name="micro", seed=0,
    images=StageRecipe(steps=1, batch=8, image_share=1.0, motion_lr=0.0, warmup=1),
    clips=StageRecipe(steps=2, batch=8, photo_share=0.2, warmup=1),
    sft=StageRecipe(steps=2, batch=8, cosine=True, question_share=0.5, motion_lr=0.0, warmup=1),
    data=DataRecipe(train_clips=40, motion_clips=16, photo_crops=6, test_clips=66),
    motion=MotionRecipe(width=4, epochs=1, batch=16), predictor=PredictorRecipe(hidden=32, layers=1, heads=2, ffn=48),
    decoder=DecoderRecipe(hidden=64, layers=1, steps=2, batch=8, renamed=20),
)  # fmt: skip


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every asset is replaced; a fetch of any other fails."""
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
    monkeypatch.setattr(prepare, "load_cutouts", lambda folder: cutouts)
    monkeypatch.setattr(prepare, "load_backgrounds", lambda folders, test: [*grey_background(), [photo]])
    monkeypatch.setattr(prepare, "_PROJECTION_FRAMES", 12)
    monkeypatch.setattr(make, "sentences", functools.partial(make.sentences, wide=50))
    for name, words in {
        "nouns": ["turnip", "yurt"], "people": ["man", "child"], "actions": ["walking"], "scenes": ["street"],
        "imagenet_names": [(label,) for label in LABELS],
    }.items():  # fmt: skip
        monkeypatch.setattr(vocabulary, name, lambda words=words: words)


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_from_nothing_to_a_bundle_that_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    model, shop, log = make.train(MICRO, work)
    decoder, tokenizer = make.train_text_out(model, shop, log)
    renamed, texts = make.renamed_clips(model, shop)
    assert len(renamed) == len(texts) >= 20
    others = [word for word in shop.concepts.names if word not in shop.seen_names]
    assert sum(any(f" {word} " in f"{text[:-1]} " for word in others) for text in texts) > len(texts) / 4
    assert len(shop.held_names) == 2 and not set(shop.held_names) & set(shop.seen_names)
    for clips in (shop.train, shop.test("seen"), shop.test("seen_asked")):
        assert not {name for scene in clips.scenes for name in scene.names()} & set(shop.held_names)
    assert {scene.name for scene in shop.test("held").scenes} <= set(shop.held_names)
    for stage in ("images", "clips", "sft"):
        assert (work / f"{stage}.safetensors").is_file()

    out = make.export(model, decoder, tokenizer, shop, tmp_path / "bundle", None)
    loaded = vljepa_edge.load(out, threads=1, precision="f32")
    assert loaded.manifest.provenance["recipe"]["data"]["train_clips"] == 40

    checkpoint = make.save(model, decoder, tokenizer, shop)
    export_any(str(checkpoint), tmp_path / "exported", Plan("fp16"), None, quiet)
    assert Bundle.open(tmp_path / "exported").manifest.graphs == loaded.manifest.graphs  # their hashes too

    for name in ("query", "target"):  # whoever takes the tokenizer from the bundle pads as he likes
        kept = json.loads((out / "tokenizers" / f"{name}.json").read_text())
        assert kept["padding"] is None and kept["truncation"] is None

    frames = shop.painter(test=True).draw(Scene("left", shop.seen_names[0]), random.Random(0))
    times = [(frame, t / 4) for t, frame in enumerate(frames)]
    events = list(loaded.stream(times, policy="uniform:period=0.5"))
    assert events and events[-1].status == "closed"
    _agrees_with_training(loaded, model, shop, frames)
    _the_general_trainer_takes_over(work, tmp_path, monkeypatch)
    _goes_on_where_it_stopped(work, model, decoder, monkeypatch)


def _the_general_trainer_takes_over(work: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vljepa train tiny`, in small, from what `--start` writes."""
    monkeypatch.setattr(drawn, "load_cutouts", prepare.load_cutouts)
    monkeypatch.setattr(drawn, "load_backgrounds", prepare.load_backgrounds)
    start = make.write_start(MICRO, work, folder / "start")
    changes = [
        f"init={start}", f"out={folder / 'run'}", "loader.workers=0", "data.clips.count=16", "data.asked.count=16",
        "data.check.count=12", "evaluate.samples=12", "decoder.steps=3", "decoder.batch=4", "parallel.bf16=false",
        "device=cpu", "peak=0.1", *(f"stages.{i}.{key}" for i in (0, 1) for key in ("steps=3", "batch=8", "warmup=1")),
    ]  # fmt: skip
    report = train_run(load_run("tiny", changes))
    assert report.model is not None and report.refused == 0
    before, after = VLJepa.from_pretrained(start), VLJepa.from_pretrained(report.model)
    stems = [model.x_encoder.motion.state_dict() for model in (before, after)]  # type: ignore[union-attr]
    for name, value in stems[0].items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, stems[1][name]), "the motion stem is trained before the stages, and not in them"
    assert not torch.equal(before.predictor.head.weight, after.predictor.head.weight)
    export_any(str(report.model), folder / "by-run", Plan("fp16"), None, quiet)
    assert vljepa_edge.load(folder / "by-run", threads=1).manifest.graphs


def _agrees_with_training(loaded: vljepa_edge.Model, model: VLJepa, shop: prepare.Workshop, frames: np.ndarray) -> None:
    """What the device computes from frames is what training computed from its cached features."""
    query = CAPTION_QUERIES[0]
    appearance, luma = shop.frame_encoder(frames)
    states, mask = shop.queries.batch([query])
    with torch.inference_mode():
        kept = {
            "appearance": torch.from_numpy(appearance[None]).float(),
            "luma": torch.from_numpy(luma[None]).float() / 255,
        }
        expected = model.predict(kept, states, mask)[0].numpy()
    _, found = loaded.embed_windows([(frame, t / 4) for t, frame in enumerate(frames)], query, full=True)
    assert cosine(found[0], expected) > 0.99
    seen = card.Seen(loaded, frames)  # how the card looks at a clip: as a stream does
    np.testing.assert_allclose(loaded.vision.predict(seen.features, loaded.text.query(query)), found[0], atol=1e-5)
    apart = np.abs(seen.conse() - appearance[..., -384:]).max(-1)
    assert np.mean(apart < 0.05) > 0.9  # where bf16 is native it may turn over which classes are a region's likeliest
    scene = Scene("left", shop.seen_names[0])
    read = card.zero_training([seen, seen], [scene, scene], shop.seen_names, loaded)
    assert read["best"] == max(read.values()) and len(read) == 9
    texts = ["The owl moves to the left.", "Yes."]
    shop.sentences.add(texts, keep=False)
    with torch.inference_mode():
        targets = model.encode_text(shop.sentences(texts)).numpy()
    for one, other in zip(loaded.embed_text(texts), targets, strict=True):
        assert cosine(one, other) > 0.99


def _goes_on_where_it_stopped(work: Path, model: VLJepa, decoder: YDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run in the same folder draws, encodes and trains nothing, and ends with the same weights."""

    def fail(*_: object) -> None:
        pytest.fail("something was done again")

    monkeypatch.setattr(Painter, "draw", fail)
    monkeypatch.setattr(make, "pretrain_motion", fail)
    monkeypatch.setattr("vljepa_edge.training.tiny.stages._step", fail)
    monkeypatch.setattr(prepare.SentenceEncoder, "sentences", fail)
    monkeypatch.setattr(make, "quick_figures", lambda *_: {})  # its questions are embedded again
    monkeypatch.setattr(make, "embed", fail)
    again, shop, log = make.train(MICRO, work)
    said_again, _ = make.train_text_out(again, shop, log)
    for module, first in ((again, model), (said_again, decoder)):
        assert not module.training
        for name, value in module.state_dict().items():
            torch.testing.assert_close(value, first.state_dict()[name], rtol=0, atol=0)


@pytest.mark.usefixtures("no_network")
def test_a_recipe_may_ask_for_no_crops_of_photographs(tmp_path: Path) -> None:
    shop = prepare.Workshop(dataclasses.replace(MICRO, data=DataRecipe(photo_crops=0)), tmp_path / "work")
    assert shop.photos is None


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
    [([], True, ["bundle-fp16 to out"]), ([], False, ["bundle-fp16 to out", "out"]), (["--no-int8"], True, ["out"])],
)
def test_the_command_reads_its_arguments(
    option: list[str], good: bool, last: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`python -m vljepa_edge.training.tiny`: train, decode, export, measure, export with figures, and INT8 or 16 bits
    for --out."""
    calls: list[str] = []
    figures = {"seen": {"motion": 1}, "held": {"motion": 2}}
    arguments = ["--work", str(tmp_path), "--out", str(tmp_path / "out"), "--seed", "7", *option]
    monkeypatch.setattr("sys.argv", ["tiny", *arguments])

    def train(recipe: Recipe, folder: Path) -> tuple[None, None, object]:
        calls.append(f"train {recipe.name} {recipe.seed} {folder == tmp_path}")
        return None, None, lambda _: None

    monkeypatch.setattr(make, "train", train)
    monkeypatch.setattr(make, "train_text_out", lambda *_: (None, None))
    monkeypatch.setattr(make, "save", lambda *_: calls.append("save"))
    monkeypatch.setattr(make, "export", lambda *a: calls.append(f"export {a[4].name} {a[5]}"))
    monkeypatch.setattr(make, "card", SimpleNamespace(evaluate=lambda out: figures))

    def quantise(floating: Path, shop: object, out: Path, log: object) -> bool:
        calls.append(f"{floating.name} to {out.name}")
        return good

    monkeypatch.setattr(make, "quantise", quantise)
    make.main()
    last = [f"export out {figures}" if call == "out" else call for call in last]
    assert calls == ["train tiny 7 True", "save", "export bundle-fp16 None", f"export bundle-fp16 {figures}", *last]


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
